"""chatd as a process, clients that note all they hear and when, and the promises checked on what they noted."""

import contextlib
import json
import os
import re
import selectors
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import zlib

from network import Lan

PLAIN_PORT, TLS_PORT = 4004, 4399

# No answer of a server in good health takes this long, however busy the machine.
PATIENCE = 20

now = time.monotonic


class Broken(Exception):
    """A promise was broken, or nothing came where something had to."""


class Server:
    """A chatd on the host `host`, with the default settings but for `options`. Its log is in `folder`, and its data
    if `data` doesn't say otherwise."""

    # The second half of the promise to clean up: even if this script is killed, its servers go with it.
    _GUARD = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    running = set()

    def __init__(self, chatd, host, folder, *options, data=None):
        self.host = host
        self.log_path = folder / "log"
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("CHATD_", "RUST_LOG"))}
        environment["CHATD_LANG"] = "en"
        command = [*self._GUARD, str(chatd), "--data-dir", str(data or folder / "data"), *options]
        with host.inside(), open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        Server.running.add(self.process)

    def wait_until_up(self):
        """Returns when it takes connections."""
        deadline = now() + PATIENCE
        while now() < deadline and self.process.poll() is None:
            with self.host.inside(), contextlib.suppress(OSError):
                socket.create_connection((Lan.ADDRESS, PLAIN_PORT), 1).close()
                return self
            time.sleep(0.05)
        raise Broken(f"the server did not start; its log: {self.log()}")

    def wait_for_failure(self):
        """Returns how the server ended that can't start: its status and its last line."""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Broken(f"the server started although it could not; its log: {self.log()}") from None
        Server.running.discard(self.process)
        return self.process.returncode, self.log().splitlines()[-1] if self.log() else ""

    def log(self):
        """All it has written."""
        return self.log_path.read_text(errors="replace").strip()

    def logged(self, pattern):
        """The lines of its log in which `pattern` is found."""
        return [line for line in self.log().splitlines() if re.search(pattern, line)]

    def kill(self):
        """Ends it like a crash."""
        self.process.kill()
        self.process.wait()
        Server.running.discard(self.process)

    def stop(self):
        """Ends it in order. Whether it did its work without an internal error is part of every test."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
        status = self.process.poll()
        self.kill()
        if status != 0 or self.logged("internal error"):
            raise Broken(f"the server ended with status {status}; its log: {self.log()}")

    def kernel_queues(self):
        """What the server's kernel holds for each client, in bytes: {(is TLS, client's port): bytes}."""
        queues = {}
        with self.host.inside():
            for file in ("tcp", "tcp6"):
                with contextlib.suppress(OSError), open(f"/proc/thread-self/net/{file}") as table:
                    for line in table.readlines()[1:]:
                        fields = line.split()
                        own, peer = (int(field.rpartition(":")[2], 16) for field in fields[1:3])
                        if own in (PLAIN_PORT, TLS_PORT):
                            queues[own == TLS_PORT, peer] = int(fields[4].partition(":")[0], 16)
        return queues


class Ear:
    """The thread that reads for all clients of a scene, so that none is slow by its own fault."""

    def __init__(self):
        self.failure = None  # what it could not read, if anything
        self._selector = selectors.DefaultSelector()
        # Both this thread and the one that closes a client remove it, and its descriptor is soon another's.
        self._lock = threading.Lock()
        self._over = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def add(self, client):
        with self._lock:
            self._selector.register(client.socket, selectors.EVENT_READ, client)

    def remove(self, client):
        with self._lock, contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(client.socket)

    def close(self):
        self._over = True
        self._thread.join()
        self._selector.close()

    def _listen(self):
        while not self._over:
            for key, _ in self._selector.select(0.2):
                try:
                    goes_on = key.data.listen()
                except Exception as error:  # a broken frame, say; the scene ends with it
                    self.failure = self.failure or Broken(f"{key.data.name} could not read: {error!r}")
                    goes_on = False
                if not goes_on:
                    self.remove(key.data)


def condensed(message):
    """The message with a long text in it cut short, but still to be told from any other."""
    text = message.get("Message")
    if isinstance(text, str) and len(text) > 100:
        return {**message, "Message": f"{text[:60]}... {len(text)} characters, {zlib.crc32(text.encode()):08x}"}
    return message


class Client:
    """A client on some host. It notes every message with the time of its arrival."""

    def __init__(self, ear, host, name=None, tls=False, address=Lan.ADDRESS):
        self.name, self.is_tls = name, tls
        self.heard = []  # (when, message)
        self.received = 0  # bytes
        self.since_login = 0  # bytes, since the reply to the login
        self.over = None  # when the connection ended
        self._buffer = bytearray()
        self._news = threading.Condition()
        # An SSL object must not be used by two threads at once.
        self._lock = threading.Lock()
        self._ear = ear
        self._numbers = 0
        with host.inside():
            self.socket = socket.create_connection((address, TLS_PORT if tls else PLAIN_PORT), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = self.socket.getsockname()[1]
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self.socket.setblocking(False)
        ear.add(self)

    # Hearing.

    def listen(self):
        """Reads what has come; called by the ear. False when the connection is over."""
        while True:
            try:
                with self._lock:
                    data = self.socket.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError):
                return True
            except OSError:
                data = b""
            when = now()
            with self._news:
                if not data:
                    self.over = self.over or when
                    self._news.notify_all()
                    return False
                self.received += len(data)
                self._buffer += data
                *lines, rest = self._buffer.split(b"\n") if b"\n" in data else [self._buffer]
                self._buffer = rest
                for line in lines:
                    message = json.loads(line)
                    if message["Command"] == "11":
                        self.since_login = self.received
                    self.heard.append((when, condensed(message)))
                self._news.notify_all()

    def expect(self, command, within=PATIENCE, since=0, **keys):
        """Waits for a message with this number and these keys; returns when it came, and the message."""
        def fits(message):
            return message["Command"] == command and all(message.get(key) == value for key, value in keys.items())

        deadline, at = now() + within, since
        with self._news:
            while True:
                while at < len(self.heard):
                    if fits(self.heard[at][1]):
                        return self.heard[at]
                    at += 1
                remaining = deadline - now()
                if self.over or remaining <= 0:
                    reason = "the connection was closed" if self.over else "nothing came in time"
                    raise Broken(f"{self.name} waited {within} s for {command} {keys or ''}: {reason}")
                self._news.wait(remaining)

    def wait_for_end(self, within=PATIENCE):
        """Returns when the server has closed the connection, or fails."""
        with self._news:
            if not self._news.wait_for(lambda: self.over, within):
                raise Broken(f"{self.name} was not closed within {within} s")
        return self.over

    def broadcasts(self):
        """The 30s, 31s and 32s heard so far, in order."""
        with self._news:
            return [message for _, message in self.heard if message["Command"] in ("30", "31", "32")]

    def friends(self):
        """The names in the reply to the login."""
        return {name for name, _ in self.expect("11", Flag=1)[1]["Friends"]}

    # Speaking.

    def send(self, **message):
        """Sends one message, waiting as long as the server makes it wait."""
        self.send_bytes(json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")

    def send_bytes(self, data):
        """Sends bytes as they are."""
        data = memoryview(data)
        while data:
            try:
                with self._lock:
                    data = data[self.socket.send(data):]
            except (BlockingIOError, ssl.SSLWantWriteError):
                with selectors.DefaultSelector() as selector:
                    selector.register(self.socket, selectors.EVENT_WRITE)
                    selector.select(0.2)

    def ask_login(self, password=None):
        """Logs in; returns the reply."""
        since = len(self.heard)
        self.send(Command="01", Name=self.name, **({"Password": password} if password else {}))
        return self.expect("11", since=since)[1]

    def log_in(self, password=None):
        """Logs in, which must succeed."""
        reply = self.ask_login(password)
        if reply["Flag"] != 1:
            raise Broken(f"{self.name} was refused: {reply['Message']}")
        return self

    def register(self, name, password="secret"):
        """Registers a name; returns the reply."""
        since = len(self.heard)
        self.send(Command="02", Name=name, Password=password)
        return self.expect("12", since=since)[1]

    def numbered(self, size=0):
        """A text with the sender's next number and the time, `size` bytes long or a bit more if that is short."""
        self._numbers += 1
        return f"{self._numbers} {now():.6f} ".ljust(size, "x")

    def say(self, text):
        """Says something to the room."""
        self.send(Command="05", Message=text)

    def tell(self, friend, text):
        """Says something to one other."""
        self.send(Command="04", FriendName=friend, Message=text)

    @property
    def numbers(self):
        """How many numbered texts it has made."""
        return self._numbers

    def close(self):
        self._ear.remove(self)
        self.socket.close()


class Scene:
    """A network with a server and clients. Ends all of it on the way out, come what may."""

    def __init__(self, chatd, folder):
        self.chatd, self.folder = chatd, folder
        self.lan = Lan()
        self.ear = Ear()
        self.server = None
        self.clients = []
        self._helpers = []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            for over, thread in self._helpers:
                over.set()
                thread.join(PATIENCE)
            self.ear.close()
            for client in self.clients:
                client.close()
            if self.server and self.server.process in Server.running:
                self.server.kill() if kind else self.server.stop()
        finally:
            if self.server:
                self.server.kill()
            self.lan.close()
        if self.ear.failure:
            raise self.ear.failure

    def start(self, *options, data=None):
        """Starts the server, anew if there was one."""
        self.server = Server(self.chatd, self.lan.server, self.folder, *options, data=data)
        return self.server

    def client(self, host, name=None, **how):
        """A client that is connected."""
        client = Client(self.ear, host, name, **how)
        self.clients.append(client)
        return client

    def guest(self, host, name, **how):
        """A client that is logged in."""
        return self.client(host, name, **how).log_in()

    def meanwhile(self, work, *arguments):
        """Runs `work(over, ...)` beside the scene, until it returns or what this returns is called, which sets
        the event `over` and raises what went wrong."""
        over, failures = threading.Event(), []

        def guarded():
            try:
                work(over, *arguments)
            except Exception as error:  # it belongs to the case, not to this thread
                failures.append(error)

        def finish():
            over.set()
            thread.join()
            if failures:
                raise failures[0]

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        self._helpers.append((over, thread))
        return finish


def chatter(over, client, pause, size=0):
    """Lets a client talk to the room, once every `pause` seconds."""
    while not over.is_set():
        client.say(client.numbered(size))
        over.wait(pause)


def latencies(client, speakers, since=0.0):
    """How long each numbered message of the speakers was on its way to the client, in seconds."""
    with client._news:
        heard = list(client.heard)
    times = []
    for when, message in heard:
        if message["Command"] == "32" and message["Speaker"] in speakers:
            sent = float(message["Message"].split()[1])
            if sent >= since:
                times.append(when - sent)
    return times


def percentile(values, percent):
    """The value below which `percent` of them lie."""
    ordered = sorted(values)
    if not ordered:
        raise Broken("nothing was measured")
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


def wait_until(condition, within=PATIENCE):
    """Waits until the condition holds, or the time is over; what follows will tell."""
    deadline = now() + within
    while not condition() and now() < deadline:
        time.sleep(0.05)


def wait_until_even(speakers, listeners, within=PATIENCE):
    """Waits until all have heard the last numbered message of each of the speakers, who have stopped to speak."""
    for listener in listeners:
        for speaker in speakers:
            wait_until(lambda: listener.over or any(
                message.get("Speaker") == speaker.name and message["Message"].startswith(f"{speaker.numbers} ")
                for message in listener.broadcasts()), within)


def check_promises(reference, others):
    """Checks promises 1 to 3 on all that the clients heard. `reference` came first and stayed; so did the others
    whose connection lasts. Returns how many messages were compared."""
    everything = reference.broadcasts()
    online = reference.friends()
    online_then = []  # before each broadcast
    for message in everything:
        online_then.append(frozenset(online))
        if message["Command"] == "30":
            if message["LogOnUserName"] in online:
                raise Broken(f"{message['LogOnUserName']} came twice")
            online.add(message["LogOnUserName"])
        elif message["Command"] == "31":
            if message["LogOutUserName"] not in online:
                raise Broken(f"{message['LogOutUserName']} left without having come")
            online.remove(message["LogOutUserName"])

    compared = len(everything)
    for client in others:
        arrivals = [at for at, message in enumerate(everything) if message.get("LogOnUserName") == client.name]
        if not arrivals:
            raise Broken(f"nobody was told that {client.name} came")
        arrival = arrivals[-1]
        if client.friends() != online_then[arrival] | {client.name}:
            raise Broken(f"{client.name} was given another roster than the room had")
        expected, seen = everything[arrival + 1:], client.broadcasts()
        if client.over:
            expected = expected[:len(seen)]
        if seen != expected:
            shorter = min(len(seen), len(expected))
            at = next((at for at in range(shorter) if seen[at] != expected[at]), shorter)
            raise Broken(
                f"{client.name} heard {len(seen)} broadcasts of {len(expected)}; from number {at} on they differ: "
                f"{seen[at:at + 2]} instead of {expected[at:at + 2]}"
            )
        compared += len(seen)
    return compared


def check_sequences(speakers, listeners, told=()):
    """Checks that each listener heard each speaker's numbers without a gap, a repetition or a step back. A number
    that the speaker told to one person alone is in `told`, as (speaker's name, number, friend's name). All listeners
    must have been there before the first number."""
    private = {(speaker, number): friend for speaker, number, friend in told}
    for listener in listeners:
        with listener._news:
            heard = [message for _, message in listener.heard]
        for speaker in speakers:
            numbers = [
                int(message["Message"].split()[0]) for message in heard
                if (message["Command"] == "32" and message["Speaker"] == speaker.name)
                or (message["Command"] == "13" and message["FriendName"] == speaker.name)
            ]
            expected = [
                number for number in range(1, speaker.numbers + 1)
                if private.get((speaker.name, number), listener.name) == listener.name
            ]
            if numbers != expected:
                gone = sorted(set(expected) - set(numbers))
                raise Broken(
                    f"{listener.name} heard {len(numbers)} of {len(expected)} messages of {speaker.name}, "
                    f"missing {gone[:5]}, or in another order"
                )
