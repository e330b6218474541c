"""A server that is nearly right, and does what the protocol leaves open in another way than chatd.

Usage: subtle_server.py PORT [bare|newline|length]

Allowed: `Command` is a number, receipts have `Comment` alone, text is escaped and objects are pretty-printed,
`Friends` is without the user who logs in, names that differ in letter case are two names, and clients may have to
end each object by a newline, or put its length before it.

Wrong: IsUserGuest is true and not 1; an empty message is thrown away; receipts always say 1; after a logout the end
of the connection is announced again; and who has logged out can still speak.
"""
import json
import re
import socket
import struct
import sys
import threading

FRAMING = sys.argv[2] if len(sys.argv) > 2 else "bare"
RESERVED = ("admin", "administrator", "guest", "user", "table")
lock = threading.RLock()
users, passwords = {}, {}  # name: user; name: password
decode = json.JSONDecoder().raw_decode


class User(threading.Thread):
    def __init__(self, connection):
        super().__init__(daemon=True)
        self.connection, self.name_in_chat, self.is_guest = connection, None, True

    def send(self, message):
        data = json.dumps(message, indent=None if FRAMING == "newline" else 1).encode()
        if FRAMING == "length":
            data = struct.pack(">I", len(data)) + data
        elif FRAMING == "newline":
            data += b"\n"
        try:
            self.connection.sendall(data)
        except OSError:
            pass  # its own thread will notice

    def messages(self):
        if FRAMING == "length":
            while True:
                (length,) = struct.unpack(">I", self.exactly(4))
                if length > 1 << 16:
                    raise ValueError("too long")
                yield json.loads(self.exactly(length).decode())
        buffer = b""
        while True:
            data = self.connection.recv(65536)
            if not data or len(buffer) > 1 << 16:
                return
            buffer += data
            if FRAMING == "newline":
                *lines, buffer = buffer.split(b"\n")
                yield from (json.loads(line.decode()) for line in lines if line.strip())
                continue
            if not buffer.lstrip().startswith(b"{"):
                return
            while b"}" in data and buffer.strip():
                try:
                    text = buffer.decode().lstrip()
                    message, end = decode(text)
                except ValueError:
                    break  # not whole yet
                buffer = text[end:].encode()
                yield message

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.connection.recv(count - len(data))
            if not more:
                raise OSError("the end")
            data += more
        return data

    def run(self):
        try:
            for message in self.messages():
                with lock:
                    self.obey(message)
        except (OSError, ValueError, RecursionError):
            pass
        with lock:
            self.leave()
        self.connection.close()

    def leave(self):
        if users.get(self.name_in_chat) is self:
            del users[self.name_in_chat]
        if self.name_in_chat:  # Wrong: the name stays set after a logout.
            self.tell({"Command": 31, "LogOutUserName": self.name_in_chat})

    def tell(self, message):
        for user in users.values():
            if user is not self:
                user.send(message)

    def obey(self, message):
        command, text = message.get("Command"), message.get("Message")
        name, password = message.get("Name"), message.get("Password")
        is_name = isinstance(name, str) and re.fullmatch("[A-Za-z0-9]{4,}", name) and name not in RESERVED
        if command == "01":
            right = passwords.get(name) == password if password or (is_name and name in passwords) else True
            if not is_name or name in users or not right or self.name_in_chat:
                return self.send({"Command": 11, "Flag": 0})
            self.send({"Command": 11, "Flag": 1, "Friends": [[each, user.is_guest] for each, user in users.items()]})
            self.name_in_chat, self.is_guest, users[name] = name, not password, self
            self.tell({"Command": 30, "LogOnUserName": name, "IsUserGuest": self.is_guest})  # Wrong: true, not 1.
        elif command == "02":
            if is_name and name not in passwords and re.fullmatch("[A-Za-z0-9]+", password or ""):
                passwords[name] = password
                return self.send({"Command": 12, "Flag": 1})
            self.send({"Command": 12, "Flag": 0, "Message": "no"})
        elif command == "03":
            self.leave()
        elif command == "04" and self.name_in_chat:
            friend = message.get("FriendName")
            if isinstance(friend, str) and friend in users and text:  # Wrong: an empty text is one too.
                users[friend].send({"Command": 13, "FriendName": self.name_in_chat, "Message": text})
            self.send({"Comment": 14, "Flag": 1})  # Wrong: was it sent?
        elif command == "05" and self.name_in_chat and text:
            for user in list(users.values()):
                user.send({"Command": 32, "Speaker": self.name_in_chat, "Message": text})


listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    User(listener.accept()[0]).start()
