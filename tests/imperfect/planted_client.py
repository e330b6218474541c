"""A small client that is sound, or makes one mistake that beginners make: examples/check.py must tell the two apart.

Usage: planted_client.py HOST PORT NAME [BUG]; then type lines such as "hello" (for all), "@Bobby hello", "/who",
"/register NAME PASSWORD" or "/quit". "planted_client.py --bugs" lists the mistakes.
"""
import codecs
import json
import os
import re
import socket
import struct
import sys
import threading

BUGS = {
    # Cutting the stream into messages
    "recv-is-message": "takes one recv for one message",
    "half-character": "decodes what one recv returned, and spoils a character that is not whole",
    "buffer-1024": "keeps 1024 bytes of a message, however long it is",
    "cut-at-brace": "takes every closing brace for the end of a message",
    "buffer-never-emptied": "crashes when 8192 bytes have come in all",
    "reads-after-typing": "reads only after a line was typed",
    # Dealing with what comes
    "came-not-listed": "does not put who comes (30) into the list",
    "left-still-listed": "does not take who leaves (31) from the list",
    "refusal-shown-as-sent": "does not look at the Flag of a receipt",
    "refusal-ignored": "shows nothing where a receipt says 0",
    "heartbeat-as-receipt": "takes every 14 for a receipt",
    "refused-login-ignored": "takes every 11 for a success",
    "close-unnoticed": "does not notice that the server closes",
    "stranger-crashes": "crashes at a speaker who is not in the list",
    "stranger-dropped": "drops what a speaker says who is not in the list",
    "own-message-twice": "shows what its user says at once, and again when it comes back",
    "unknown-command": "crashes at a command that it does not know",
    "extra-keys": "crashes at a key that it does not know",
    "guest-mark-needed": "crashes at a 30 without IsUserGuest",
    "empty-friends": "crashes when Friends is empty",
    "crash-behind-prompt": "stops reading by an exception, which is told on the line of its prompt",
    # Showing text
    "control-characters": "writes the control characters of a message to the terminal",
    "markup": "removes what looks like a tag",
    # Sending
    "login-twice": "logs in twice",
    "name-blank": "sends a blank behind the name",
    "wrong-key": "writes Friend instead of FriendName",
    "room-quotes": "pastes what it says in the room into JSON",
    "blanks-collapsed": "makes one blank of several",
    "gbk": "encodes text as GBK",
    "little-endian": "puts a length before each message, its lowest byte first",
    "heartbeat-answered": "answers a heartbeat by a receipt",
    "logout-silent": "closes without a 03",
    "logout-waits": "waits for an answer to 03",
}
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Reader:
    """Cuts a stream into messages."""

    def __init__(self, bug):
        self.bug, self.text, self.total = bug, "", 0
        self.utf8 = codecs.getincrementaldecoder("utf-8")()

    def feed(self, data):
        if self.bug == "recv-is-message":
            return [json.loads(data)]
        self.text += data.decode(errors="replace") if self.bug == "half-character" else self.utf8.decode(data)
        if self.bug == "cut-at-brace":
            *whole, self.text = self.text.split("}")
            return [json.loads(text + "}") for text in whole]
        if self.bug == "buffer-1024":
            self.text = self.text[:1024]
        messages = []
        while self.text.lstrip():
            self.text = self.text.lstrip()
            if self.bug == "buffer-never-emptied" and self.total > 8192:
                raise BufferError("no room for " + self.text)
            try:
                message, end = json.JSONDecoder().raw_decode(self.text)
            except ValueError:
                break  # not whole yet
            self.text = self.text[end:]
            self.total += end
            messages.append(message)
        return messages


class Client:
    def __init__(self, host, port, name, bug):
        self.name, self.bug, self.online, self.is_over = name, bug, {}, threading.Event()
        self.reader, self.sock = Reader(bug), socket.create_connection((host, port))
        self.handlers = {1: None, 10: self.on_notice, 11: self.on_login, 12: self.on_registered, 13: self.on_private,
                         14: self.on_receipt, 30: self.on_came, 31: self.on_left, 32: self.on_room}

    def send(self, command, **keys):
        text = json.dumps({"Command": command, **keys}, ensure_ascii=False)
        if self.bug == "room-quotes" and command == "05":
            text = '{"Command": "05", "Message": "%s"}' % keys["Message"]
        data = text.encode("gbk" if self.bug == "gbk" else "utf-8")
        self.sock.sendall(struct.pack("<I", len(data)) + data if self.bug == "little-endian" else data + b"\n")

    def read(self):
        """Handles what comes next. Returns False when nothing more will."""
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        for message in self.reader.feed(data) if data else []:
            self.handle(message)
        return bool(data)

    def read_on(self):
        while self.read():
            pass
        if not self.is_over.is_set() and self.bug != "close-unnoticed":
            show("* the server has closed the connection")
            os._exit(1)
        self.is_over.set()

    def handle(self, message):
        command = int(message.get("Command", message.get("Comment", 0)))
        if command not in self.handlers and self.bug != "unknown-command":
            return
        known = message if self.bug == "extra-keys" else {
            key: value for key, value in message.items() if key in KEYS}
        self.handlers[command](**{"Command": command, **known})

    def on_notice(self, Command, Message):
        show("* " + Message)

    def on_login(self, Command, Friends, Flag=1, Message=""):
        if Flag != 1 and self.bug != "refused-login-ignored":
            show("* login refused " + Message)
            os._exit(1)
        self.online.update(Friends)
        if self.bug == "empty-friends":
            show("* the first is " + Friends[0][0])
        self.who()

    def on_registered(self, Command, Flag, Message=""):
        show("* registered" if Flag == 1 else "* not registered " + Message)

    def on_private(self, Command, FriendName, Message):
        self.show_text(f"[{FriendName}] ", Message)
        if self.bug == "crash-behind-prompt":  # as Java tells it, where a prompt stands before; and the rest goes on
            print("> ", end="", flush=True)
            print('Exception in thread "Thread-0" java.lang.NullPointerException', file=sys.stderr, flush=True)
            sys.exit()  # ends this thread, and nothing is said of that

    def on_receipt(self, Command, Flag=None, Comment="", FriendName="", Message=""):
        if Flag is None and self.bug == "heartbeat-answered":
            self.send("14", Flag=1)
        if Flag is None and self.bug != "heartbeat-as-receipt":
            return
        if Flag == 1 or self.bug == "refusal-shown-as-sent":
            show("* sent")
        elif self.bug != "refusal-ignored":
            show("* NOT sent")

    def on_came(self, Command, LogOnUserName, IsUserGuest=None):
        if self.bug == "guest-mark-needed":
            IsUserGuest = ("no guest", "guest")[IsUserGuest]
        show(f"* {LogOnUserName} is here")
        if self.bug != "came-not-listed":
            self.online[LogOnUserName] = IsUserGuest

    def on_left(self, Command, LogOutUserName):
        show(f"* {LogOutUserName} has left")
        if self.bug != "left-still-listed":
            self.online.pop(LogOutUserName, None)

    def on_room(self, Command, Speaker, Message):
        if self.bug == "stranger-crashes":
            self.online[Speaker]
        if self.bug != "stranger-dropped" or Speaker in self.online:
            self.show_text(Speaker + ": ", Message)

    def show_text(self, head, text):
        if self.bug == "markup":
            text = re.sub("<.*?>", "", text)
        if self.bug != "control-characters":
            text = UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)
        show(head + text)

    def who(self):
        show("* online: " + ", ".join(sorted(self.online.copy())))

    def log_in(self):
        for _ in range(2 if self.bug == "login-twice" else 1):
            self.send("01", Name=self.name + " " * (self.bug == "name-blank"))

    def obey(self, line):
        word, _, rest = line.partition(" ")
        if self.bug == "blanks-collapsed":
            rest = " ".join(rest.split())
        if word == "/who":
            self.who()
        elif word == "/register":
            name, _, password = rest.partition(" ")
            self.send("02", Name=name, Password=password)
        elif word.startswith("@"):
            self.send("04", Message=rest, **{"Friend" if self.bug == "wrong-key" else "FriendName": word[1:]})
        else:
            if self.bug == "own-message-twice":
                show("me: " + line)
            self.send("05", Message=line)

    def log_out(self):
        if self.bug != "logout-silent":
            self.is_over.set()
            self.send("03")
            if self.bug == "logout-waits":
                threading.Event().wait()


KEYS = {"Command", "Comment", "Flag", "Friends", "FriendName", "IsUserGuest", "LogOnUserName", "LogOutUserName",
        "Message", "Speaker"}


def show(text):
    print(text + "\n", end="", flush=True)


def main():
    if sys.argv[1:] == ["--bugs"]:
        return print(*BUGS, sep="\n")
    host, port, name, bug = (sys.argv[1:] + [None])[:4]
    if bug and bug not in BUGS:
        sys.exit(f"no such bug: {bug}")
    client = Client(host, int(port), name, bug)
    client.log_in()
    if bug != "reads-after-typing":
        threading.Thread(target=client.read_on, daemon=True).start()
    for line in sys.stdin:
        line = line.rstrip("\r\n")
        if line == "/quit":
            break
        client.obey(line)
        if bug == "reads-after-typing":
            client.read()
    client.log_out()


if __name__ == "__main__":
    main()
