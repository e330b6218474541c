#!/usr/bin/env python3
"""A terminal client for the classroom chat server, written to be read and built upon.

Both sides send JSON objects in UTF-8, over TCP or TLS; "Command" says what one means:
  01 logs in; 11 answers with who is online. 30 (came) and 31 (left) keep that list exact.
  02 registers a name; 12 answers. 03 logs out, and the server hangs up.
  04 tells one person, who gets 13; you get a receipt: 14 with Flag 1 (sent) or 0 (not).
  05 tells the room: all get 32, you too. 10 is a notice; a 14 without Flag, a heartbeat.
TCP carries bytes, not messages. FrameReader finds the objects in them: get that right!
"""
import sys
if sys.version_info < (3, 7):  # Python 2 has to understand the whole file in order to say so
    sys.exit("This needs Python 3.7 or newer, and is run by %d.%d. Try: python3" % sys.version_info[:2])
import argparse, codecs, collections, contextlib, hashlib, json, os, re, select, socket, ssl, threading, time

HELP = "TEXT (for all), @NAME TEXT or /msg NAME TEXT, /who, /register NAME PASSWORD, /quit"
SHOWN = {  # how to show each Command and Flag; what is not listed here is not shown
    ("10", None): "* the server says: {Message}", ("32", None): "{Speaker}: {Message}",
    ("12", 0): "* not registered: {Message}", ("12", 1): "* registered",
    ("13", None): "[{FriendName} to you] {Message}", ("14", 1): "* sent to {FriendName}",
    ("14", 0): "* NOT sent to {FriendName}: {Message}",
    ("30", None): "* {LogOnUserName} is here", ("31", None): "* {LogOutUserName} has left",
    # These two do not come from the server:
    ("unverified", None): "* NOT verified: anybody may be this server. Its fingerprint is {Message}",
    ("lost", 1): "* {Message}; trying again in {Pause} s"}
TYPES = {"Flag": int, "IsUserGuest": int, "Friends": list}  # all other values are text
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff]")
NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
LOST_AFTER = os.environ.get("CHAT_LOST_AFTER", "0")  # seconds; 0 is three heartbeats
LOST_AFTER = int(LOST_AFTER) if LOST_AFTER.isdecimal() else sys.exit("CHAT_LOST_AFTER is no number")


class FrameReader:
    """Finds the objects in a stream: one recv() may bring half of one, or three of them."""
    def __init__(self):  # the decoder keeps half a character, the text half an object
        self.decoder, self.text = codecs.getincrementaldecoder("utf-8")("replace"), ""

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
        if self.text[:1] not in ("", "{") or len(self.text) > 1 << 24:
            raise ValueError("this is no chat server")
        return objects


def checked(message):
    """The message without what is of a wrong type, such as a number in place of a name."""
    kept = {key: value for key, value in message.items() if isinstance(value, TYPES.get(key, str))}
    kept["Friends"] = [each for each in kept.get("Friends", ())
                       if isinstance(each, list) and len(each) == 2 and isinstance(each[0], str)]
    return kept


class Client(threading.Thread):
    """Its thread connects, shows what arrives, and may come back after a loss; the main thread sends."""
    def __init__(self, host, port, tls, fingerprint, name, password, comes_back):
        super().__init__(daemon=True)
        self.tls, self.fingerprint = tls or fingerprint is not None, fingerprint  # not in the clear by mistake
        self.address = host, port or (4399 if self.tls else 4004)
        self.name, self.password, self.comes_back = name, password, comes_back
        self.friends, self.sock, self.leaving, self.wake = {}, None, False, threading.Event()
        self.online, self.patience = None, LOST_AFTER or 45  # None: never yet; 45: three heartbeats
        self.lock = threading.Lock()  # two threads at once inside a TLS socket break it

    def run(self):
        pause = 1
        while not self.leaving:
            try:
                why = "cannot connect to " + self.address[0]
                self.connect()
                why = "connection lost"
                self.send("01", Name=self.name, Password=self.password)
                why = self.receive()
            except Exception as error:  # the network failed, or the server talks nonsense
                why = "{}: {}".format(why, self.in_words(error))
            pause = 2 if self.online else min(2 * pause, 60)
            again = self.comes_back and self.online is not None
            self.online = None if self.online is None else False
            with self.lock, contextlib.suppress(OSError, AttributeError):
                self.sock.shutdown(socket.SHUT_RDWR)  # ends a send() that waits, too
            if not self.leaving:
                self.show({"Command": "lost", "Flag": int(again), "Message": why, "Pause": pause})
            if not again:
                return
            self.wake.wait(pause)
            self.wake.clear()

    def in_words(self, error):
        return getattr(error, "strerror", None) or error

    def connect(self):
        sock = socket.create_connection(self.address, 10)
        if self.tls:  # no authority signed the certificate: its fingerprint has to vouch for it
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            sock = context.wrap_socket(sock)
            found = hashlib.sha256(sock.getpeercert(True)).hexdigest()
            if self.fingerprint is None:
                self.show({"Command": "unverified", "Message": found})
                self.fingerprint = found  # from now on no other one will do
            if self.fingerprint.replace(":", "").lower() != found:
                raise ConnectionError("refused, because its fingerprint is " + found)
        sock.setblocking(False)
        self.sock = sock

    def receive(self):
        """Show what comes, and tell why no more does. A server that lives sends heartbeats, so one
        that is silent for three of them is lost; one that never sent any gets twice as long next time."""
        reader, heard, beats = FrameReader(), time.monotonic(), collections.deque(maxlen=4)
        while True:
            patience = self.patience if self.online else 15
            if not select.select([self.sock], [], [], max(0, heard + patience - time.monotonic()))[0]:
                if not self.online:
                    return "no answer to the login; is this the right port?"
                self.patience *= 1 if beats or LOST_AFTER else 2
                return "connection lost: nothing came for {:g} s".format(patience)
            data = None
            with self.lock, contextlib.suppress(*NOT_YET):
                data, heard = self.sock.recv(65536), time.monotonic()
            if data == b"":
                return "connection lost: the server has closed it"
            for message in map(checked, reader.feed(data or b"")):
                command, flag = message.get("Command"), message.get("Flag")
                if command == "11" and flag != 1:
                    return "login refused: " + message.get("Message", "?")
                if command == "11":
                    self.online = True
                elif command == "14" and flag is None:
                    beats.append(heard)
                self.show(message)
            if len(beats) == 4 and not LOST_AFTER:
                self.patience = max(5, 3 * max(beats[n + 1] - beats[n] for n in range(3)))

    def send(self, command, **keys):
        data = json.dumps(dict(Command=command, **keys)).encode() + b"\n"
        with contextlib.suppress(OSError):  # if the connection is lost, run() says so
            while data:
                select.select([], [self.sock], [])  # wait outside of the lock, as in receive()
                with self.lock, contextlib.suppress(*NOT_YET):
                    data = data[self.sock.send(data):]  # send() may take only a part

    def leave(self):
        self.leaving = True
        self.wake.set()
        if self.online:
            self.send("03")

    def show(self, message):
        command, flag = message.get("Command"), message.get("Flag")
        if command == "11":
            self.friends = dict(message["Friends"])
            self.who()
        elif command == "30" and "LogOnUserName" in message:
            self.friends[message["LogOnUserName"]] = message.get("IsUserGuest", 0)
        self.friends.pop(message.get("LogOutUserName"), None)  # only a 31 has this key
        if (command, flag) in SHOWN:
            say(SHOWN[command, flag].format_map(collections.defaultdict(lambda: "?", message)))
        elif command == "lost":
            say(message["Message"], sys.stderr)
            os._exit(1)  # the whole program: the main thread may be waiting for a line

    def who(self):
        friends = sorted(self.friends.copy().items())  # a copy, as show() may change it
        say("* online: " + ", ".join(name + " (guest)" * bool(guest) for name, guest in friends))

    def obey(self, line):
        word, name, text = (re.sub("^@", "/msg ", line).split(" ", 2) + ["", ""])[:3]
        if word == "/who":
            self.who()
        elif word.startswith("/") and not (word in ("/msg", "/register") and text):
            say(HELP)
        elif line and not self.online:
            say("* NOT sent, as you are not online")
        elif word == "/msg":
            self.send("04", FriendName=name, Message=text)
        elif word == "/register":
            self.send("02", Name=name, Password=text)
        elif line:
            self.send("05", Message=line)


def say(text, stream=sys.stdout):  # in one write; what steers a terminal or reorders the line is escaped
    stream.write(UNSAFE.sub(lambda match: ascii(match.group())[1:-1], text) + "\n")
    stream.flush()


def main():
    is_person = sys.stdin.isatty()  # who is asked for what is missing, as in IDLE
    parser = argparse.ArgumentParser(epilog="Then type: " + HELP)
    parser.add_argument("host", nargs="?" if is_person else None)
    parser.add_argument("name", nargs="?" if is_person else None, help="letters and digits, at least 4")
    parser.add_argument("password", nargs="?", default="", help="leave it out to be a guest")
    parser.add_argument("--port", type=int, help="default: 4004, with --tls 4399")
    parser.add_argument("--tls", action="store_true", help="encrypt the connection")
    parser.add_argument("--fingerprint", metavar="HEX", help="its SHA-256; implies --tls")
    args = parser.parse_intermixed_args()
    for stream, errors in ((sys.stdin, "replace"), (sys.stdout, "backslashreplace")):
        if hasattr(stream, "reconfigure"):  # IDLE's have all characters anyway
            stream.reconfigure(errors=errors)
    client = Client(args.host or input("Server: "), args.port, args.tls, args.fingerprint,
                    args.name or input("Your name: "), args.password, is_person)
    client.start()
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while client.online is None:
            client.join(0.1)
        for line in iter(input, "/quit"):
            client.obey(line)
    client.leave()
    client.join(10)


if __name__ == "__main__":
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        main()
