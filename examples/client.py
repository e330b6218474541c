#!/usr/bin/env python3
"""A terminal client for the classroom chat server, written to be read and built upon.

Both sides send JSON objects in UTF-8, over TCP or TLS; "Command" says what one means:
  01 logs in; 11 answers with who is online. 30 (came) and 31 (left) keep that list exact.
  02 registers a name; 12 answers. 03 logs out, and the server hangs up.
  04 tells one person, who gets 13; you get a receipt: 14 with Flag 1 (sent) or 0 (not).
  05 tells the room: all get 32, you too. 10 is a notice; a 14 without Flag, a heartbeat.
TCP carries bytes, not messages. FrameReader finds the objects in them: get that right!
"""
import argparse, codecs, contextlib, hashlib, json, os, re, select, socket, ssl, sys, threading

HELP = "TEXT (for all), @NAME TEXT or /msg NAME TEXT, /who, /register NAME PASSWORD, /quit"
SHOWN = {  # how to show each Command and Flag; what is not listed here is not shown
    ("10", None): "* the server says: {Message}", ("11", 0): "* login refused: {Message}",
    ("12", 0): "* not registered: {Message}", ("12", 1): "* registered",
    ("13", None): "[{FriendName} to you] {Message}", ("32", None): "{Speaker}: {Message}",
    ("14", 0): "* NOT sent to {FriendName}: {Message}", ("14", 1): "* sent to {FriendName}",
    ("30", None): "* {LogOnUserName} is here", ("31", None): "* {LogOutUserName} has left",
    ("lost", None): "* connection lost: {Message}"}  # not from the server: run() says this
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class FrameReader:
    """Finds the objects in a stream: one recv() may bring half of one, or three of them."""
    def __init__(self):  # the decoder keeps half a character, the text half an object
        self.decoder, self.text = codecs.getincrementaldecoder("utf-8")(), ""

    def feed(self, data):
        """Take some bytes; return the objects that are whole with them."""
        self.text, objects = (self.text + self.decoder.decode(data)).lstrip(), []
        while self.text.startswith("{"):
            try:
                found, end = json.JSONDecoder().raw_decode(self.text)
            except ValueError:  # its end is still on the way
                break
            objects.append(found)
            self.text = self.text[end:].lstrip()
        return objects


class Client(threading.Thread):
    """One connection. Its thread shows what arrives, while the main thread sends."""
    def __init__(self, host, port=None, tls=False, fingerprint=None):
        super().__init__(daemon=True)
        self.friends, self.logged_in, self.leaving = {}, threading.Event(), False
        tls, self.found = tls or fingerprint is not None, None  # not in the clear by mistake
        self.sock = socket.create_connection((host, port or (4399 if tls else 4004)), 10)
        if tls:  # no authority signed the certificate: its fingerprint has to vouch for it
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock)
            self.found = hashlib.sha256(self.sock.getpeercert(True)).hexdigest()
            if fingerprint is not None and fingerprint.replace(":", "").lower() != self.found:
                raise ConnectionError(f"refused, because its fingerprint is {self.found}")
        self.sock.setblocking(False)
        self.lock = threading.Lock()  # two threads at once inside a TLS socket break it

    def send(self, command, **keys):
        data = json.dumps({"Command": command, **keys}).encode() + b"\n"
        with contextlib.suppress(OSError):  # if the connection is lost, run() says so
            while data:
                select.select([], [self.sock], [])  # wait outside of the lock, as in run()
                with self.lock, contextlib.suppress(*NOT_YET):
                    data = data[self.sock.send(data):]  # send() may take only a part

    def run(self):
        reader, data = FrameReader(), None
        try:
            while data != b"":
                select.select([self.sock], [], [])
                data = None
                with self.lock, contextlib.suppress(*NOT_YET):
                    data = self.sock.recv(65536)
                for message in reader.feed(data or b""):
                    self.show(message)
            raise ConnectionError("the server has closed it")
        except Exception as error:  # that, or the network failed, or the server talks nonsense
            if not self.leaving:
                self.show({"Command": "lost", "Message": error})

    def show(self, message):
        command, flag = message.get("Command"), message.get("Flag")
        if command == "11":
            self.friends.update(message.get("Friends", ()))
        elif command == "30":
            self.friends[message["LogOnUserName"]] = message.get("IsUserGuest", 0)
        self.friends.pop(message.get("LogOutUserName"), None)  # only a 31 has this key
        if (command, flag) in SHOWN:
            say(SHOWN[command, flag].format(**{"FriendName": "?", "Message": "?", **message}))
        if command == "lost" or command == "11" and flag != 1:
            os._exit(1)  # the whole program: the main thread may be waiting for a line
        elif command == "11":
            self.who()
            self.logged_in.set()

    def who(self):
        friends = sorted(self.friends.copy().items())  # a copy, as show() may change it
        say("* online: " + ", ".join(name + " (guest)" * bool(guest) for name, guest in friends))

    def obey(self, line):
        word, name, text = (re.sub("^@", "/msg ", line).split(" ", 2) + ["", ""])[:3]
        if word == "/msg" and text:
            self.send("04", FriendName=name, Message=text)
        elif word == "/register" and text:
            self.send("02", Name=name, Password=text)
        elif word == "/who":
            self.who()
        elif word.startswith("/"):
            say(HELP)
        elif line:
            self.send("05", Message=line)


def say(text):  # in one write; what steers the terminal or reorders the line is escaped
    print(UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text) + "\n", end="", flush=True)


def main():
    parser = argparse.ArgumentParser(epilog="Then type: " + HELP)
    parser.add_argument("host")
    parser.add_argument("name", help="letters and digits, at least 4")
    parser.add_argument("password", nargs="?", default="", help="leave it out to be a guest")
    parser.add_argument("--port", type=int, help="default: 4004, with --tls 4399")
    parser.add_argument("--tls", action="store_true", help="encrypt the connection")
    parser.add_argument("--fingerprint", metavar="HEX", help="its SHA-256; implies --tls")
    args = parser.parse_intermixed_args()
    sys.stdin.reconfigure(errors="replace")
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        client = Client(args.host, args.port, args.tls, args.fingerprint)
    except (OSError, ValueError, OverflowError, KeyboardInterrupt) as error:
        sys.exit(f"cannot connect to {args.host}: {error}")
    if client.found and not args.fingerprint:
        say(f"* NOT verified: anybody may be this server. Its fingerprint is {client.found}")
    client.start()
    client.send("01", Name=args.name, Password=args.password)
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        client.logged_in.wait(15) or sys.exit("no answer to the login; is this the right port?")
        for line in iter(input, "/quit"):
            client.obey(line)
    client.leaving = True
    client.send("03")
    client.join(10)


if __name__ == "__main__":
    main()
