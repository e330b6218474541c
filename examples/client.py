#!/usr/bin/env python3
"""A terminal client for the classroom chat server, written to be read.

Both sides send JSON objects in UTF-8, over TCP or TLS; "Command" says what one means:
  01 logs in; 11 answers with who is online. 30 (came) and 31 (left) keep that list exact.
  02 registers a name; 12 answers. 03 logs out, and the server hangs up.
  04 tells one person, who gets 13; you get a receipt: 14 with Flag 1 (sent) or 0 (not).
  05 tells the room: all get 32, you too. 10 is a notice; a 14 without Flag, a heartbeat.
TCP carries bytes, not messages. FrameReader finds the objects in them: get that right!
"""
import argparse, codecs, contextlib, hashlib, json, os, re, socket, ssl, sys, threading

HELP = "TEXT (for all), @NAME TEXT or /msg NAME TEXT, /who, /register NAME PASSWORD, /quit"
SHOWN = {  # how to show each Command and Flag; what is not listed here is not shown
    ("10", None): "* the server says: {Message}", ("11", 0): "* login refused: {Message}",
    ("12", 0): "* not registered: {Message}", ("12", 1): "* registered",
    ("13", None): "[{FriendName} to you] {Message}", ("32", None): "{Speaker}: {Message}",
    ("14", 0): "* NOT sent to {FriendName}: {Message}", ("14", 1): "* sent to {FriendName}",
    ("30", None): "* {LogOnUserName} is here", ("31", None): "* {LogOutUserName} has left"}
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def say(text):
    """Print one line; escape what steers the terminal (controls) or reorders the line."""
    print(UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text) + "\n", end="", flush=True)


class FrameReader:
    """Finds the objects in a stream: one recv() may bring half of one, or three of them."""

    def __init__(self):
        self.decoder = codecs.getincrementaldecoder("utf-8")()  # characters get split, too
        self.frame, self.depth, self.in_string, self.escaped = [], 0, False, False

    def feed(self, data):
        """Take some bytes; return the objects that end in them, each at its closing brace."""
        objects = []
        for char in self.decoder.decode(data):
            self.frame.append(char)
            if self.escaped or char == "\\":
                self.escaped = not self.escaped
            elif char == '"':
                self.in_string = not self.in_string
            elif char in "{}" and not self.in_string:  # in a string they are just text
                self.depth += 1 if char == "{" else -1
                if self.depth <= 0:
                    objects.append(json.loads("".join(self.frame)))  # skips white space
                    self.frame = []
        return objects


class Client(threading.Thread):
    """One connection. Its thread shows what arrives, while the main thread sends."""

    def __init__(self, host, port, tls, fingerprint):
        super().__init__(daemon=True)
        self.friends, self.logged_in, self.leaving = {}, threading.Event(), False
        tls = tls or fingerprint is not None  # never in the clear by mistake
        self.sock = socket.create_connection((host, port or (4399 if tls else 4004)), 10)
        if tls:  # no authority signed the certificate: its fingerprint has to vouch for it
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock)
            found = hashlib.sha256(self.sock.getpeercert(binary_form=True)).hexdigest()
            if fingerprint is None:
                say(f"* NOT verified: anybody may be this server. Its fingerprint is {found}")
            elif fingerprint.replace(":", "").lower() != found:
                sys.exit(f"refused: the server's fingerprint is {found}, not the one you gave")
        self.sock.settimeout(None)  # the 10 seconds were for connecting

    def send(self, command, **keys):
        text = json.dumps({"Command": command, **keys}, ensure_ascii=False)
        with contextlib.suppress(OSError):  # if the connection is lost, run() says so
            self.sock.sendall(text.encode("utf-8", "replace"))

    def run(self):
        reader, why = FrameReader(), "connection closed by the server"
        try:
            for data in iter(lambda: self.sock.recv(65536), b""):
                for message in reader.feed(data):
                    self.show(message)
        except Exception as error:  # the network failed, or the server talks nonsense
            why = f"connection lost: {error}"
        if not self.leaving:
            say(f"* {why}")
            os._exit(1)  # the whole program: the main thread may be waiting for a line

    def show(self, message):
        command, flag = message.get("Command"), message.get("Flag")
        if (command, flag) in SHOWN:
            say(SHOWN[command, flag].format(**{"FriendName": "?", "Message": "?", **message}))
        if command == "11" and flag != 1:
            os._exit(1)
        elif command == "11":
            self.friends.update(message["Friends"])
            self.who()
            self.logged_in.set()
        elif command == "30":
            self.friends[message["LogOnUserName"]] = message.get("IsUserGuest", 0)
        elif command == "31":
            self.friends.pop(message["LogOutUserName"], None)

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
            print(HELP)
        elif line:
            self.send("05", Message=line)


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
    except (OSError, ValueError, OverflowError) as error:
        sys.exit(f"cannot connect to {args.host}: {error}")
    client.send("01", Name=args.name, Password=args.password)
    client.start()
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        client.logged_in.wait()
        for line in iter(input, "/quit"):
            client.obey(line)
    client.leaving = True
    client.send("03")
    client.join()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
