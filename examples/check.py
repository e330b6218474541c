#!/usr/bin/env python3
"""Checks any server, or any client, of the classroom chat protocol.

  check.py server HOST [PORT]   plays clients against a server and judges its answers
  check.py client [--port N]    plays a server for one client and judges what that sends

What is checked is not written here but in tests/vectors/*.json: short scripts of "send this",
"expect that", which docs/checker.md explains. This program reads such a script (Play), does what
it says over sockets (Connection), compares what comes with a pattern (differs), and reports.
"""
import argparse, atexit, codecs, contextlib, errno, json, locale, os, queue, random, re, shlex, shutil, signal, socket
import ssl, string, struct, subprocess, sys, threading, time, unicodedata
from pathlib import Path

QUIET = 0.5  # seconds of silence that count as "nothing comes", where nothing can be asked for
COUNTED = {"server": {"11", "12", "13", "30", "31", "32"}, "client": {"01", "02", "03", "04", "05"}}
WORDS, ARGPARSE = {}, {}  # what the checker and argparse say, in each language; words.json, beside the cases, has it


class Failure(Exception):
    """A step did not go as the protocol says.

    `kind`: silence, closed, mismatch, unsendable, died; of a client also unseen, shown, crashed."""

    def __init__(self, kind, expected="", came=""):
        super().__init__(kind)
        self.kind, self.expected, self.came = kind, expected, came
        self.cause = None  # what is likely to be wrong, if that is not the case's own cause
        self.code = None  # that of the message which came instead
        self.output, self.passed_again = "", False


class Skipped(Exception):
    """The case cannot be run, for this reason."""


class Absent(Exception):
    """The program does not have this optional feature; `failure` is what shows it, if something is missing."""

    def __init__(self, failure=None):
        super().__init__()
        self.failure = failure


class Enough(Exception):
    """The case has passed, and its other steps are not needed."""


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def short(text, limit=160):
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:limit])
    return shown if len(text) <= limit else f"{shown[:limit - 30]} ... ({len(text)})"


# ---- patterns: what a message may look like ------------------------------------------------------

TYPES = {"string": str, "integer": int, "list": list, "object": dict, "boolean": bool}


def describe(pattern):
    """A pattern in words that look like the JSON it fits."""
    if isinstance(pattern, list):
        return "[" + ",".join(map(describe, pattern)) + "]"
    if not isinstance(pattern, dict):
        return compact(pattern)
    operator = next((key for key in pattern if key.startswith("$")), None)
    inner = pattern.get(operator)
    if operator in ("$any", "$save", "$same"):
        return f"<{say('anything')}>" if operator == "$any" else f"<{inner}>"
    if operator == "$type":
        return f"<{say(inner)}>"
    if operator == "$oneOf":
        return "|".join(map(describe, inner))
    if operator in ("$contains", "$lacks"):
        return (f"[{say('with')} " if operator == "$contains" else f"[{say('without')} ") + ",".join(
            map(describe, inner)) + "]"
    if operator == "$absent":
        return f"<{say('missing')}>"
    if operator == "$optional":
        return describe(inner) + "?"
    return "{" + ",".join(f'"{key}":{describe(value)}' for key, value in pattern.items()) + "}"


def differs(pattern, value, saved, where=""):
    """Where a value does not fit its pattern, as (place, what was wanted, what is there), or None if it fits."""
    wrong = (where, describe(pattern), compact(value))
    if isinstance(pattern, list):
        if not isinstance(value, list) or len(value) != len(pattern):
            return wrong
        parts = (differs(*pair, saved, f"{where}[{at}]") for at, pair in enumerate(zip(pattern, value)))
        return next(filter(None, parts), None)
    if not isinstance(pattern, dict):
        # In Python True == 1 == 1.0, but in JSON these are three different things.
        return None if type(value) is type(pattern) and value == pattern else wrong
    operator = next((key for key in pattern if key.startswith("$")), None)
    inner = pattern.get(operator)
    if operator is None:
        if not isinstance(value, dict):
            return wrong
        for key, part in pattern.items():  # keys that the pattern does not name may be there too
            place = f"{where}.{key}" if where else key
            if key in value:
                found = differs(part, value[key], saved, place)
            elif isinstance(part, dict) and ("$optional" in part or "$absent" in part):
                found = None
            else:
                found = (place, describe(part), None)
            if found:
                return found
        return None
    if operator == "$any":
        fits = True
    elif operator == "$type":
        fits = type(value) is TYPES[inner]
    elif operator == "$oneOf":
        fits = any(differs(each, value, saved) is None for each in inner)
    elif operator == "$optional":
        return differs(inner, value, saved, where)
    elif operator in ("$contains", "$lacks"):
        found = [any(differs(each, item, saved) is None for item in value) for each in inner] \
            if isinstance(value, list) else []
        fits = bool(found) and (all(found) if operator == "$contains" else not any(found))
    elif operator == "$save":
        saved[inner] = value
        fits = True
    elif operator == "$same":
        fits = inner in saved and value == saved[inner]
    else:  # $absent, and the key is there
        fits = False
    return None if fits else wrong


def number(command):
    """The number of a command that is written "01", "1" or 1; None for anything else."""
    if isinstance(command, str) and re.fullmatch("[0-9]+", command):
        return int(command)
    return command if type(command) is int else None


def code_of(message):
    """What kind of message this is: its two digits, or `receipt` or `heartbeat` for a 14, or `?`."""
    if not isinstance(message, dict):
        return "?"
    command = number(message.get("Command", message.get("Comment")))
    if command == 14:
        return "receipt" if "Flag" in message else "heartbeat"
    return "?" if command is None else f"{command:02d}"


# ---- bytes ---------------------------------------------------------------------------------------

class Reader:
    """Cuts a stream into JSON values, with newlines between them or not, or with a length before each."""

    def __init__(self):
        self.data, self.text, self.framing = b"", "", None
        self.utf8 = codecs.getincrementaldecoder("utf-8")()  # keeps half a character

    def feed(self, data):
        if self.framing is None:
            self.framing = "length" if data[:1] == b"\0" else "text"
        if self.framing == "length":
            self.data += data
        else:
            self.text += self.utf8.decode(data)

    def next(self):
        """The next value as a list of one, or an empty list while it is not whole."""
        if self.framing == "length":
            if len(self.data) < 4 or len(self.data) < 4 + struct.unpack(">I", self.data[:4])[0]:
                return []
            end = 4 + struct.unpack(">I", self.data[:4])[0]
            frame, self.data = self.data[4:end], self.data[end:]
            return [json.loads(frame.decode("utf-8"))]
        text = self.text.lstrip(" \t\r\n\ufeff")
        if self.framing == "text" and text != self.text and "\n" in self.text[:len(self.text) - len(text)]:
            self.framing = "newline"
        self.text = text
        if not text:
            return []
        try:
            value, end = json.JSONDecoder().raw_decode(text)
        except json.JSONDecodeError:
            return []  # not whole yet, or never will be: then time runs out, and the report shows it
        self.text = text[end:]
        if self.framing == "text" and self.text:
            self.framing = "newline" if self.text[0] in "\r\n" else "bare"
        return [value]

    def rest(self):
        return self.data.hex(" ") if self.framing == "length" else self.text


class Connection:
    """One connection, on which every wait has an end."""

    def __init__(self, sock):
        self.sock, self.reader, self.name, self.is_over = sock, Reader(), None, False
        self.asked, self.has_two_names, self.has_left = None, False, False  # asked: the name in its last 01
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data, patience):
        self.sock.settimeout(patience)
        self.sock.sendall(data)

    def receive(self, patience):
        """The next message. Raises Failure("silence") or Failure("closed")."""
        deadline = time.monotonic() + patience
        while True:
            try:
                found = self.reader.next()
                if found:
                    return found[0]
                self.sock.settimeout(max(deadline - time.monotonic(), 0.001))
                data = b"" if self.is_over else self.sock.recv(65536)
                if not data:
                    raise ConnectionResetError
                self.reader.feed(data)
                if time.monotonic() > deadline + 1:  # bytes come and come, and no message is ever whole
                    raise socket.timeout
            except UnicodeDecodeError as error:
                raise Failure("mismatch", came=say("not utf-8", data=error.object[:40])) from None
            except (ValueError, RecursionError) as error:
                excerpt = short(getattr(error, "doc", None) or self.reader.rest(), 80)
                raise Failure("mismatch", came=say("not json", data=excerpt)) from None
            except (socket.timeout, ssl.SSLWantReadError):
                raise Failure("silence") from None
            except OSError:
                self.is_over = True
                raise Failure("closed") from None

    def close(self, reset=False):
        if reset:  # closing without waiting for what was sent makes the system send an RST
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.is_over = True
        self.sock.close()


def framed(message, framing):
    data = message if isinstance(message, bytes) else compact(message).encode()
    if framing == "length":
        return struct.pack(">I", len(data)) + data
    return data + b"\n" * (framing == "newline")


def unlucky(data, chance):
    """Places to cut data where a client may not expect it; `chance`, a random.Random, decides which.

    What lies between two of them is sent at once. So messages are joined too: by no cut at all, or by cuts before
    the end of one and behind the beginning of the next.
    """
    if len(data) < 2:
        return []
    manner = chance.choice(("byte by byte", "unlucky", "unlucky", "joined"))
    if manner == "byte by byte" and len(data) <= 400:
        return list(range(1, len(data)))
    if manner == "joined":
        return []
    in_characters = [at for at in range(1, len(data)) if data[at] & 0xC0 == 0x80]
    in_escapes = [at + by for at in range(1, len(data)) if data[at - 1] == ord("\\") for by in (0, 2)]
    at_ends = [at + by for at in range(1, len(data)) if data[at] == ord("}") for by in (0, 1, 2, 9)]
    anywhere = [chance.randrange(1, len(data)) for _ in range(3)]
    chosen = {place for places in (in_characters, in_escapes, at_ends, anywhere) if places
              for place in chance.sample(places, min(len(places), chance.randint(1, 12)))}
    return sorted(place for place in chosen if place < len(data))


# ---- one case ------------------------------------------------------------------------------------

class Play:
    """Carries out the steps of one case."""

    VERBS = ("connect", "login", "send", "expect", "silence", "close", "half close", "reset", "repeat",
             "accept", "welcome", "do", "shows", "mark", "react", "told apart", "lists", "hides", "once", "notices")

    def __init__(self, check, case):
        self.check, self.case, self.patience = check, case, check.patience
        self.connections, self.saved, self.log, self.notes, self.round = {}, {}, [], [], 0
        self.held = []  # with --cruel: what is to be sent, so that it can be joined with what follows
        self.chance = random.Random(f"{check.cruel} {case['id']}")
        self.reactions = {}  # what a client has shown upon a message, by the name that the case gives it
        self.may_end = False  # whether a client may end now, as it was told to, or can do nothing any more
        # Names end in this, so that another run, or other users of the same server, are never in the way.
        self.suffix = "".join(random.choices(string.ascii_lowercase + string.digits, k=6))

    def run(self, steps):
        for step in steps:
            verb = next(verb for verb in self.VERBS if verb in step)
            if step.get("only with --run") and not self.check.args.run:
                continue
            if verb != "send":
                self.flush()
            getattr(self, "do_" + verb.replace(" ", "_"))(self.filled(step[verb]), step)

    def filled(self, value):
        """A copy of a value in which ${alice} has become a name, and $repeat a long text."""
        if isinstance(value, str):
            return re.sub(r"\$\{(\w+)(?:\|(\w+))?\}", self.variable, value)
        if isinstance(value, list):
            return [self.filled(each) for each in value]
        if isinstance(value, dict) and "$repeat" in value:
            return self.filled(value["$repeat"]) * value["times"]
        if isinstance(value, dict):
            return {key: self.filled(each) for key, each in value.items()}
        return value

    def variable(self, match):
        name, change = match.groups()
        text = {"i": str(self.round), "suffix": self.suffix, "three": self.suffix[:3]}.get(name, name + self.suffix)
        return {"upper": text.upper(), "lower": text.lower(), None: text}[change]

    def note(self, who, arrow, text):
        self.log.append(f"{who} {arrow} {short(text)}")

    # -- what a case does

    def do_connect(self, who, _step):
        try:
            self.connections[who] = Connection(self.check.dial())
        except OSError as error:
            address = "%s:%s" % self.check.address
            raise Failure("unsendable", came=say("cannot connect", address=address, error=reason(error))) from None

    def do_login(self, who, step):
        self.do_connect(who, step)
        name = self.filled(step["as"])
        self.do_send(who, {"message": {"Command": "01", "Name": name}})
        self.do_expect(who, {"code": "11", "message": {"Flag": 1}})
        self.connections[who].name = name

    def do_send(self, who, step):
        connection = self.connections[who]
        framing = self.check.framing
        if self.check.side == "client":  # it may use lengths; if not, newlines are what most clients can read
            framing = "length" if connection.reader.framing == "length" else "bare" if step.get("bare") else "newline"
        if "hex" in step:
            data = bytes.fromhex(step["hex"])
        elif "text" in step:
            data = framed(self.filled(step["text"]).encode(), framing)
        else:
            messages = step.get("messages", [step.get("message")])
            if messages[0].get("Command") == "11":
                if messages[0]["Flag"]:
                    connection.name = "Alice"  # lets the case after this one go on with the connection
                self.may_end |= not messages[0]["Flag"]
            if self.check.side == "client":
                self.check.echoes += [compact(self.filled(message)) for message in messages]
            data = b"".join(framed(self.filled(message), framing) for message in messages)
        self.note(who, "->" if self.check.side == "server" else "<-", data.decode("utf-8", "replace"))
        if self.check.cruel is not None:
            self.held.append((connection, data))
            return
        self.check.sends(connection, data)
        cuts = step.get("cut", [])
        self.send_in_pieces(connection, data, range(1, len(data)) if cuts == "every byte" else cuts, step)
        if self.check.side == "client":
            # Most clients take one recv for one message at first. There are cases for that; in all others,
            # messages come one by one.
            time.sleep(min(self.patience / 30, 0.5))

    def send_in_pieces(self, connection, data, cuts, step):
        ends = [*cuts, len(data)]
        try:
            for start, end in zip([0, *ends], ends):
                connection.send(data[start:end], self.patience)
                if end < len(data):
                    time.sleep(step.get("pause", 1) / 1000)
        except OSError as error:
            if not step.get("may fail"):
                why = say("takes nothing") if isinstance(error, socket.timeout) else reason(error)
                raise Failure("unsendable", came=say("unsendable", error=why)) from None

    def flush(self):
        """Sends what was held back to be cut and joined."""
        held, self.held = self.held, []
        for connection in dict.fromkeys(connection for connection, _ in held):
            data = b"".join(data for to, data in held if to is connection)
            self.send_in_pieces(connection, data, unlucky(data, self.chance), {"pause": 2})

    def counts(self, message, codes):
        """Whether a message is one to judge: not a stranger's, not an extension, not a receipt nobody asked for."""
        code = code_of(message)
        if code == "heartbeat":
            self.check.remark(say("note heartbeat"), self.case)
        elif code not in COUNTED[self.check.side] and code not in ("receipt", "?"):
            self.check.remark(say("note unknown", code=code), self.case)
        if code in codes:
            command = message.get("Command", message.get("Comment"))
            if not isinstance(command, str):
                self.check.remark(say("note number"), self.case)
            elif len(command) != 2:
                self.check.remark(say("note digits"), self.case)
        elif code != "?" and code not in COUNTED[self.check.side]:
            return False
        key = {"30": "LogOnUserName", "31": "LogOutUserName", "32": "Speaker", "13": "FriendName"}.get(code)
        name = message.get(key) if key else None
        return not isinstance(name, str) or self.check.side == "client" or self.suffix in name.lower()

    def next_message(self, who, codes, patience):
        connection, deadline = self.connections[who], time.monotonic() + patience
        while True:
            try:
                message = connection.receive(min(max(deadline - time.monotonic(), 0), 0.3))
            except Failure as failure:
                if failure.kind != "silence" or time.monotonic() >= deadline:
                    raise
                self.check.stop_if_asked()
                continue
            self.note(who, "<-" if self.check.side == "server" else "->", compact(message))
            self.check.receives(connection, message)
            if connection.reader.framing in ("newline", "bare", "length"):
                self.check.remark(say("note " + connection.reader.framing), self.case)
            if self.counts(message, codes):
                return message
            if time.monotonic() > deadline + 1:
                raise Failure("silence")

    def told(self, who, expectation):
        """An expectation in words."""
        if "nothing" in expectation or "end" in expectation:
            return say("nothing" if "nothing" in expectation else "closes", who=who)
        what = say(expectation["code"]) if expectation["code"] in WORDS else expectation["code"]
        if "message" in expectation:
            what += " " + describe(self.filled(expectation["message"]))
        return say("receives" if self.check.side == "server" else "sends", who=who, what=short(what))

    def unlike(self, expectation, message):
        if code_of(message) != expectation.get("code"):
            return ("Command", expectation.get("code"), compact(message.get("Command"))
                    if isinstance(message, dict) else compact(message))
        return differs(self.filled(expectation.get("message", {})), message, self.saved)

    def do_expect(self, who, step):
        in_any_order = step.get("any order")
        wanted = list(in_any_order or step.get("either") or [step])
        codes = {each.get("code") for each in wanted}
        words = say("all" if in_any_order else "or").join(
            self.told(who, each) for each in wanted if not each.get("wrong"))
        may_be_silent = any("nothing" in each for each in wanted)
        while wanted:
            # To wait for nothing, a person's patience is longer than a program needs.
            patience = max(QUIET, min(self.patience / 4, 5)) if may_be_silent else self.check.patience_for(codes)
            begin = time.monotonic()
            try:
                message = self.next_message(who, codes, patience)
                fitting = [each for each in wanted if "code" in each and not each.get("wrong")
                           and not self.unlike(each, message)]
                failure = Failure("mismatch", words, self.came(wanted, message))
                failure.code = code_of(message)
            except Failure as caught:
                fitting = [each for each in wanted if {"silence": "nothing", "closed": "end"}.get(caught.kind) in each]
                failure, message = caught, None
                failure.expected = words
                failure.came = caught.came or self.silence(who, caught.kind, patience)
            if not may_be_silent:
                self.check.waited(codes, time.monotonic() - begin, failure.kind)
            if not fitting:
                is_other = message is not None and code_of(message) not in codes
                if step.get("else absent") and (failure.kind != "mismatch" or is_other):
                    raise Absent(failure)
                raise failure
            if "note" in fitting[0]:
                self.notes.append(fitting[0]["note"][LANG])
            if "absent" in fitting[0]:
                raise Absent
            if "enough" in fitting[0]:
                raise Enough
            if not in_any_order:
                return
            wanted.remove(fitting[0])

    def silence(self, who, kind, patience):
        rest = self.connections[who].reader.rest()
        what = say("closed") if kind == "closed" else say("silence", seconds=round(patience, 1))
        return what + (say("rest", rest=short(rest)) if rest else "")

    def came(self, wanted, message):
        text = short(compact(message))
        same = [each for each in wanted if each.get("code") == code_of(message) and not each.get("wrong")]
        difference = same and self.unlike(same[0], message)
        if not difference:
            return text
        where, want, got = difference
        return say("at", message=text, where=where or say("whole"), want=want, got=short(got or say("missing")))

    def do_silence(self, who, step):
        """Nothing more comes for `who`. If there is a prober, its private message is what must come next."""
        if "probe" not in step:
            try:
                message = self.next_message(who, set(), QUIET)
            except Failure:
                return
            raise Failure("mismatch", say("nothing", who=who), short(compact(message)))
        name, text = self.connections[who].name, "probe" + str(random.randrange(10 ** 9))
        self.do_send(step["probe"], {"message": {"Command": "04", "FriendName": name, "Message": text}})
        self.do_expect(who, {"code": "13", "message": {"Message": text}})

    def do_close(self, who, _step):
        self.may_end = True
        self.note(who, "--", say("close"))
        self.end(who)

    def do_reset(self, who, _step):
        self.may_end = True
        self.note(who, "--", say("reset"))
        self.end(who, reset=True)

    def end(self, who, reset=False):
        connection = self.connections.pop(who)
        if reset:
            connection.close(reset)
        else:
            self.check.close(connection)
        self.check.ended(connection)

    def do_half_close(self, who, _step):
        self.may_end = True
        self.note(who, "--", say("half close"))
        self.connections[who].sock.shutdown(socket.SHUT_WR)

    def do_repeat(self, times, step):
        for self.round in range(1, times + 1):
            self.run(step["steps"])

    # -- what only the cases for clients have

    def do_accept(self, who, _step):
        self.connections[who] = self.check.accept()

    def do_welcome(self, who, step):
        """The client starts, connects, logs in, and is let in; or it is still there from the case before."""
        if self.check.kept and not step.get("fresh"):
            self.connections[who], self.check.kept = self.check.kept, None
            return
        try:
            self.check.ask("start", name=step["as"])
            self.check.ask("login", name=step["as"])
            self.do_accept(who, step)
            self.do_expect(who, {"code": "01", "message": {"Name": step["as"]}})
        except Failure as failure:
            failure.cause = WORDS["no login cause"]
            raise
        self.do_send(who, {"message": {"Command": "11", "Flag": 1, "Friends": self.filled(
            step.get("friends", [[step["as"], 1], ["Bobby", 1]]))}})

    def do_do(self, action, step):
        self.may_end |= action == "logout"
        try:
            self.check.ask(action, **{key: value for key, value in step.items() if key not in ("do", "may fail")})
        except Failure:
            if not step.get("may fail"):
                raise

    def do_shows(self, text, step):
        if not self.check.shows(text):
            if step.get("else absent"):
                raise Absent
            raise Failure("unseen", say("shows", text=text), self.check.unseen(text))

    def do_mark(self, _mark, _step):
        self.check.mark()

    def do_react(self, who, step):
        """Sends a message, and remembers under a name what the client shows upon it."""
        self.check.mark()
        self.do_send(who, {"message": step["message"]})
        if not self.check.args.run:
            self.flush()
            self.reactions[step["as"]] = step["as"] if "ask" in step and self.check.confirms(step["ask"][LANG]) else ""
            return
        if not step.get("alone"):
            # What is shown up to the next message was shown upon this one.
            sign = f"message number {len(self.reactions) + 1} after this"
            self.do_send(who, {"message": {"Command": "13", "FriendName": "Bobby", "Message": sign}})
            self.flush()
            try:
                self.do_shows(sign, {})
            except Failure as failure:
                failure.cause = WORDS["no sign cause"]
                raise
            shown = self.check.shown().split(sign)[0].rpartition("\n")[0]
            if not shown.strip():  # perhaps it takes a moment longer
                self.check.settle()
                shown = "\n".join(line for line in self.check.shown().split("\n") if sign not in line)
        else:
            self.flush()
            self.check.settle(until_any=True)
            shown = self.check.shown()
        # The time of day is no difference.
        self.reactions[step["as"]] = re.sub(r"\d+:\d\d(:\d\d)?(\.\d+)?", "", shown).strip()

    def do_told_apart(self, names, step):
        """What the client has shown upon one message is not what it shows upon some others."""
        this, *others = (self.reactions[name] for name in names)
        by_hand = not self.check.args.run
        if (this or not (step.get("something") or by_hand)) and this not in [each for each in others if each]:
            return
        if not by_hand and not self.check.can_be_seen():
            return
        if step.get("else absent") and not this and not any(others):
            raise Absent
        raise Failure("shown" if this else "unseen", step["wanted"][LANG],
                      say("shown", text=short(this)) if this and not by_hand else say("did not show"))

    def do_lists(self, names, step):
        """The client's list of users has these names, and not those of `without`."""
        without = step.get("without", [])
        values, key = {"names": ", ".join(names), "without": ", ".join(without)}, "lists" + " without" * bool(without)
        wanted = say(key, **values)
        seen, kept = self.check.lists(names, without, say(key + "?", **values))
        if not seen and step.get("else absent"):
            raise Absent
        if not seen:
            raise Failure("unseen", wanted, say("did not show"))
        if kept:
            raise Failure("shown", wanted, say("lists still", names=", ".join(kept)))

    def do_hides(self, text, step):
        hides = text not in self.check.written() if self.check.args.run else self.check.confirms(step["ask"][LANG])
        if not hides:
            raise Failure("shown", step["wanted"][LANG], say("shown raw"))

    def do_once(self, text, step):
        """The client shows this text not more often than another that came only once."""
        wanted = say("once", text=text)
        if not self.check.args.run:
            if not self.check.confirms(say("once?", text=text)):
                raise Failure("shown", wanted, say("by your word"))
            return
        counts = [self.check.lines_with(each) for each in (text, step["as"])]
        if counts[0] > max(counts[1], 1):
            raise Failure("shown", wanted, say("times", times=counts[0]))

    def do_notices(self, _what, step):
        if not self.check.notices_end(step["ask"][LANG]):
            raise Failure("unseen", step["wanted"][LANG], say("did not show"))

    def clear_up(self):
        for connection in self.connections.values():
            if connection is not self.check.kept:
                connection.close()


# ---- the two kinds of check ----------------------------------------------------------------------

class Program:
    """A program that the checker starts, and what it writes."""

    def __init__(self, command):
        self.output, self.errors = [], []  # all that it writes; what of that goes to its standard error
        self.mark = 0
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        # It gets a group of its own, so that what it starts itself can be ended with it (`npm start`, `cargo run`).
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
                                        stderr=subprocess.PIPE, start_new_session=os.name != "nt")
        self.threads = [threading.Thread(target=self.gather, args=pipe, daemon=True)
                        for pipe in ((self.process.stdout, []), (self.process.stderr, self.errors))]
        for thread in self.threads:
            thread.start()
        atexit.register(self.stop)

    def gather(self, pipe, also):
        for data in iter(lambda: pipe.read1(65536), b""):
            self.output.append(data)
            also.append(data)

    def has_ended(self):
        return self.process.poll() is not None

    def may_write(self):
        """Whether anything may still come: its output is open, or that of a program which it has started."""
        return any(thread.is_alive() for thread in self.threads)

    def size(self):
        return sum(map(len, self.output))

    def written(self, start=0):
        return self.text(self.output, start)

    def text(self, parts, start=0):
        data = b"".join(parts)[start:]
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:  # the system's own, such as GBK on a Chinese Windows
            return data.decode(locale.getpreferredencoding(False), "replace")

    def last_lines(self):
        return "\n".join(self.written().splitlines()[-6:])

    def errors_since(self, mark):
        """The end of what it wrote to its standard error after it had written `mark` parts there."""
        text = re.sub(r'  File "[^"]*[/\\][Ll]ib[/\\](python[0-9.]+[/\\])?\w+([/\\]\w+)*\.py".*\n(    .*\n)*', "",
                      self.text(self.errors[mark:]))  # not where Python itself was: that is of no use to beginners
        return "\n".join(text.splitlines()[-12:])

    def type(self, line):
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            raise Failure("unsendable", came=say("does not listen", line=line)) from None

    def stop(self):
        atexit.unregister(self.stop)  # later its number may be another program's
        if os.name == "nt" and not self.has_ended():
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(self.process.pid)], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        elif os.name != "nt":
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except OSError:
                pass  # nothing of it is left
        self.process.kill()
        self.process.wait()
        for thread in self.threads:
            thread.join(1)  # not for ever: a child of the program may hold the pipe open


def words(command):
    """The words of a command line."""
    return shlex.split(command) if os.name != "nt" else [
        word.strip('"') for word in shlex.split(command, posix=False)]


class Check:
    """Runs cases one after another, and remembers how each went."""

    def __init__(self, args):
        self.args, self.patience, self.framing, self.program = args, args.patience, "bare", None
        self.remarks, self.results, self.absent, self.kept = {}, [], set(), None
        self.cruel, self.echoes = getattr(args, "cruel", None), []  # what was sent, for who prints all that comes
        self.first = {}  # what the report must say first
        self.stopped = None  # why no more cases can be run

    def remark(self, text, case=None):
        """Something that the protocol leaves open, and how this program does it."""
        self.remarks.setdefault(text, case["id"] if case else "")

    def in_order(self, cases):
        return cases

    def stop_if_asked(self):
        """Raises Skipped if the user does not want this case."""

    def patience_for(self, _codes):
        """How long to wait for a message with one of these codes."""
        return self.patience

    # What a case does is told to the check by these; only the check of a server wants to know.

    def waited(self, codes, seconds, outcome):
        pass

    def sends(self, connection, data):
        pass

    def receives(self, connection, message):
        pass

    def ended(self, connection):
        pass

    def close(self, connection):
        connection.close()

    def run(self, case):
        """Runs one case, and returns its result as a dictionary for the report."""
        result = {"id": case["id"], "level": case["level"], "section": case["section"]["en"], "result": "passed"}
        play = Play(self, case)
        try:
            missing = [feature for feature in case.get("needs", []) if feature in self.absent]
            if missing:
                result.update(result="absent", reason=say("needs", feature=", ".join(map(feature_name, missing))))
            elif self.stopped:
                raise Skipped(self.stopped)
            else:
                self.attempt(play, case)
                for text in play.notes:
                    self.remark(text, case)
        except Skipped as reason:
            result.update(result="skipped", reason=str(reason))
        except Absent:
            self.absent.add(case.get("feature"))
            result["result"] = "absent"
        except Failure as failure:
            result.update(result="failed", kind=failure.kind, expected=failure.expected, came=failure.came,
                          log=play.log[-8:], says=case.get("says"), cause=likely_cause(case, failure),
                          output=self.last_words if self.side == "client" else failure.output)
            if failure.passed_again:
                result["again"] = "passed"
        self.results.append(result)
        return result


def likely_cause(case, failure):
    """The cause that the case names, and what the failure itself suggests."""
    causes = [WORDS["dead cause"] if failure.kind == "died" else failure.cause or case.get("cause")]
    if failure.kind == "crashed":
        causes.insert(0, WORDS["crash cause"])
    if RACES.search(failure.output):
        causes.insert(0, WORDS["race cause"])
    elif JOINED.search(failure.output):
        causes.insert(0, WORDS["joined cause"])
    elif failure.code in ("30", "31"):
        causes.append(WORDS["presence cause"])
    if failure.passed_again:
        causes.insert(0, WORDS["again cause"])
    causes = list(filter(None, causes))
    if not causes:
        return None
    return {lang: space.join(cause[lang] for cause in causes) for lang, space in (("en", " "), ("zh", ""))}


# What Python, Java, C# and Go say of a list or map that changes while it is being used.
RACES = re.compile("changed size during iteration|mutated during iteration|ConcurrentModificationException"
                   "|Collection was modified|concurrent map ")
# What Python and JavaScript say of two objects where they expect one.
JOINED = re.compile("JSONDecodeError: Extra data|after JSON at position")


class ServerCheck(Check):
    """Plays clients against a server."""

    side = "server"
    KEPT = 40  # connections that stay open, at most; see let_go

    def __init__(self, args):
        super().__init__(args)
        self.address = (args.host, args.port)
        self.slowest, self.lost, self.silences = 0, 0, {}  # seconds of the slowest answer, and in silences; by code
        self.is_second_try, self.second_tries_end = False, time.monotonic() + 60
        self.heard, self.mute = set(), None  # the codes that have come; why nothing else can be tried
        self.gone = {}  # the names of users who have left, and their connections if those are still open
        self.ghosts = {}  # those of `gone` whom Friends still showed at the last look
        self.second_names = set()  # of connections that have logged in twice
        self.held = []  # connections of users whom nobody has logged out yet, or who are said to be online still
        self.strangers = []  # other connections that are kept open
        self.farewell = "close" if args.run else "hold"
        self.lethal = set()  # the ways to leave that ended the server
        self.can_tell_deaf, self.keeps_strangers, self.was_patient, self.starts = True, not args.run, False, 0
        error = self.start()
        if error:
            raise OSError(error)
        self.get_acquainted()

    def get_acquainted(self):
        """Finds out how messages must be framed; or that there is nobody to talk to."""
        outcomes = []
        for self.framing in ("bare", "newline", "length"):
            user, friends, outcome = self.log_in()
            if outcome in ("let in", "refused"):
                break
            outcomes.append(outcome)
        else:
            self.framing = "bare"
            self.mute = say("closes at once") if set(outcomes) == {"closed"} else say("mute", seconds=self.patience)
            return
        if self.framing != "bare":
            self.remark(say("note needs " + self.framing))
        if not user:
            return
        former = re.search('"((?:check|alice|bobby|carol|dora)[a-z0-9]{6})"', friends.replace(compact(user.name), ""))
        other = self.log_in()[0]
        if not other:  # it serves one after the other
            self.farewell, self.keeps_strangers = "close", False
        elif self.hears(user, other, self.patience if former else max(QUIET, 0.2 * self.patience)):
            self.heard.add("30")
        elif former:
            self.stopped = say("former", name=former.group(1))
        self.release([user, other] if other else [user])
        if self.args.run and self.look() in ("ghosts", "deaf"):
            self.farewell = "logout"
            self.renew()

    def what_it_wrote(self):
        written = self.program.last_lines() if self.program else ""
        return f"\n{say('stderr')}\n{written}" if written else ""

    # -- the server as a program

    def dial(self):
        if self.spare:
            sock, self.spare = self.spare, None
            return sock
        sock = socket.create_connection(self.address, self.patience)
        if self.args.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            sock = context.wrap_socket(sock)
        return sock

    def start(self):
        """Starts the server if that is ours to do. Returns what is wrong if its port does not open."""
        deadline = time.monotonic() + (15 if self.args.run else 0)
        self.gone, self.held, self.strangers, self.spare = {}, [], [], None
        if self.args.run and self.wait_for_port(time.monotonic()) is None:
            self.spare.close()
            return in_use(self.address[1])
        while True:
            if self.args.run:
                try:
                    self.program = Program(words(self.args.run))
                except (OSError, ValueError, IndexError) as error:
                    return say("cannot start", command=self.args.run, error=reason(error))
                self.starts += 1
            error = self.wait_for_port(deadline)
            if error is None:
                return None
            if not self.args.run:
                return say("cannot connect", address="%s:%s" % self.address, error=reason(error))
            ended = self.program.has_ended()
            self.program.stop()  # all that it wrote has come then
            is_busy = ended and re.search("in use|EADDRINUSE|10048", self.program.last_lines())
            if is_busy and self.starts > 1 and time.monotonic() < deadline - 2:
                time.sleep(1)  # the system has not let go of the port yet
                continue
            what = say("ended at once", code=self.program.process.returncode) if ended else \
                say("port stays closed", port=self.address[1])
            if is_busy and self.starts > 1:
                what += " " + say("reuse")
            return what + self.what_it_wrote()

    def wait_for_port(self, deadline):
        while True:
            try:
                self.spare = self.dial()  # to be used: some servers stumble over one that is closed and said nothing
                return None
            except OSError as error:
                if time.monotonic() >= deadline or (self.program and self.program.has_ended()):
                    return error
            time.sleep(0.05)

    def finish(self):
        held, self.held = self.held, []
        if self.farewell == "hold":
            self.farewell = "logout"  # leaves nothing behind that would be in the way of the next run
        self.release(held)
        if self.gone and not self.program and not self.stopped:
            self.look()
        for connection in [*self.strangers, *self.held, *filter(None, [self.spare, *self.gone.values()])]:
            connection.close()
        if self.program:
            self.program.stop()

    # -- how long to wait

    def patience_for(self, codes):
        """Shorter where the same has not come twice already, or much time was lost; long for a slow server."""
        again = self.is_second_try or min((self.silences.get(code, 0) for code in codes if code), default=0) >= 2
        if self.lost > 10 * self.patience:
            share = 0.1
        else:
            share = 0.2 if again or self.lost > 5 * self.patience else 1
        return min(self.patience, max(share * self.patience, QUIET, 5 * self.slowest))

    def waited(self, codes, seconds, outcome):
        if outcome == "silence":
            self.lost += seconds
            for code in codes:
                self.silences[code] = self.silences.get(code, 0) + 1
        elif outcome == "mismatch":  # something came
            self.slowest = max(self.slowest, seconds)

    # -- who is online

    def sends(self, connection, data):
        if re.search(rb'"Command"\s*:\s*"01"', data):
            name = re.search(rb'"Name"\s*:\s*"([^"\\]+)"', data)
            connection.asked = name and name.group(1).decode()
        if re.search(rb'"Command"\s*:\s*"03"', data):
            connection.has_left = True

    def receives(self, connection, message):
        code = code_of(message)
        self.heard.add(code)
        if code == "11" and message.get("Flag") == 1:
            if connection.name not in (None, connection.asked):
                self.second_names.add(connection.asked)
                connection.has_two_names = True
            connection.name = connection.name or connection.asked
        elif code == "11":
            connection.asked = None

    def ended(self, connection):
        for name in filter(None, {connection.name, connection.asked}):
            self.gone[name] = None

    def log_in(self):
        """A new user: its connection or None, Friends as JSON, and "let in", "refused", "silence" or "closed"."""
        name = "check" + "".join(random.choices(string.ascii_lowercase, k=6))
        connection, message, outcome = None, None, "closed"
        begin = time.monotonic()
        try:
            connection = Connection(self.dial())
            data = framed({"Command": "01", "Name": name}, self.framing)
            connection.send(data, self.patience)
            self.sends(connection, data)
            while code_of(message) != "11":
                message = connection.receive(begin + self.patience_for({"11"}) - time.monotonic())
            self.receives(connection, message)
            outcome = "let in" if connection.name else "refused"
        except Failure as failure:
            outcome = failure.kind
            self.waited({"11"}, time.monotonic() - begin, failure.kind if failure.kind == "silence" else "")
        except OSError:
            pass
        if outcome == "let in":
            return connection, compact(message.get("Friends")).lower(), outcome
        if connection:
            connection.close()
        return None, "", outcome

    def let_go(self, play):
        """The users of a case leave.

        A server may keep users who are gone in its list and stumble over them ever after. Where it can't be started
        afresh, each leaves by 03 therefore, and its connection is closed once the server has taken it off the list.
        What 03 does to the server is for the case `logout` to find out; until then, connections are held.
        """
        users = []
        for connection in play.connections.values():
            if (connection.name or connection.asked) and not connection.is_over:
                users.append(connection)
            elif self.keeps_strangers and not connection.is_over and len(self.strangers) < self.KEPT:
                self.strangers.append(connection)
            else:
                self.close(connection)
                self.ended(connection)
        if self.farewell == "hold":
            self.held += users
        else:
            self.release(users)

    def release(self, users):
        """Users leave, in the way that this server bears best."""
        for connection in users:
            if self.farewell == "hold" or (connection.has_two_names and not self.args.run):
                self.held.append(connection)  # a second name may stay behind when the first logs out
                continue
            name = connection.name or connection.asked
            self.gone[name] = None if self.args.run or self.farewell == "close" else connection
            if self.farewell == "logout" and not connection.has_left:
                # One after the other: two who leave at once are a test of its own. And what is unread when a connection
                # is closed would make the system send an RST instead of the 03.
                time.sleep(0.01)
                try:
                    connection.send(framed({"Command": "03"}, self.framing), QUIET)
                    connection.has_left = True
                except OSError:
                    pass
            self.drain(connection, 0.02 if connection.has_left else 0)
            if self.gone[name] is None:
                self.close(connection)
                self.ended(connection)

    def drain(self, connection, patience):
        try:
            while True:
                connection.receive(patience)
        except Failure:
            pass

    def close(self, connection):
        """Closes a connection. By RST if the server has closed it: otherwise the system may keep its port for a minute,
        and it could not be started again."""
        self.drain(connection, 0)
        connection.close(reset=connection.is_over)

    def look(self):
        """What the server is like: "dead", "ghosts" (who left is online), "deaf" (broadcasts stop short), or ""."""
        deadline = time.monotonic() + (QUIET if self.was_patient else max(QUIET, self.patience / 2))
        pause = 0.02
        time.sleep(pause)  # lets the server see to those who have just left
        while True:
            user, friends, outcome = self.log_in()
            if not user:
                return "" if outcome == "refused" else "dead"
            for name in [name for name in self.gone if compact(name).lower() not in friends]:
                connection = self.gone.pop(name)
                if connection:
                    self.close(connection)
            self.ghosts = dict(self.gone)
            if self.ghosts and (self.args.run or time.monotonic() < deadline):
                self.release([user])
                if time.monotonic() > deadline:
                    self.was_patient = True
                    return "ghosts"
                time.sleep(pause)
                pause *= 2
                continue
            self.was_patient = self.was_patient or bool(self.ghosts)
            other = self.log_in()[0] if "30" in self.heard and self.can_tell_deaf else None
            hears = not other or self.hears(user, other, self.patience_for({"30"}) if self.args.run else self.patience)
            if not hears and self.args.run:
                self.waited({"30"}, 0, "silence")
            self.release([user, other] if other else [user])
            return "deaf" if not hears else "ghosts" if self.ghosts else ""

    def hears(self, user, other, patience):
        """Whether a user is told of another who came."""
        begin = time.monotonic()
        try:
            while True:
                message = user.receive(begin + patience - time.monotonic())
                if code_of(message) == "30" and message.get("LogOnUserName") == other.name:
                    return True
        except Failure:
            return False

    # -- one case after another

    def in_order(self, cases):
        """The cases in the order in which they are played.

        If the server can't be started afresh, those go last that end connections without 03, because of what they may
        leave behind.
        """
        return cases if self.args.run else sorted(cases, key=is_rough)

    def attempt(self, play, case):
        if case.get("plain") and self.args.tls:
            raise Skipped(say("plain only"))
        if self.mute:  # one case, so that the report shows what happens; nothing can come of the others
            self.stopped = self.mute
            self.played(play)
            return
        outcome, state = self.tried(play, case)
        failure = outcome.failure if isinstance(outcome, Absent) else outcome
        if failure and not self.stopped and state == "" and time.monotonic() < self.second_tries_end:
            # A second time, with less patience: what differs then is a matter of luck.
            self.is_second_try = True
            try:
                second, _state = self.tried(Play(self, case), case)
            finally:
                self.is_second_try = False
            if second is None:
                failure.passed_again, outcome = True, failure
        if outcome:
            raise outcome

    def played(self, play):
        """Plays a case. What the server writes to its standard error meanwhile belongs to the failure."""
        mark = len(self.program.errors) if self.program else 0
        try:
            play.run(play.case["steps"])
        except (Failure, Absent) as outcome:
            failure = getattr(outcome, "failure", outcome)
            if failure and self.program:
                time.sleep(0.05)  # it comes by another way than the messages
                failure.output = self.program.errors_since(mark)
            raise

    def tried(self, play, case, is_last=False):
        """Plays a case, and makes the server ready for the next. Returns how that ended, and what is wrong still."""
        outcome = None
        try:
            self.played(play)
        except (Failure, Absent) as caught:
            outcome = caught
        has_logged_out = any(each.has_left for each in play.connections.values())
        was_holding = self.farewell == "hold"
        self.let_go(play)
        if was_holding:
            state = self.state_while_holding(outcome, has_logged_out)
        else:
            state = self.look()
        if state == "crowded" and not is_last:  # it serves only so many at once, or one after the other
            return self.tried(Play(self, case), case, is_last=True)
        if state == "dead":
            return self.death(case, outcome, has_logged_out, was_holding, is_last)
        if state in ("ghosts", "deaf"):
            state = self.tidy(state, case)
        return outcome, state

    def death(self, case, outcome, has_logged_out, was_holding, is_last):
        """The server has ended, or answers no more. Returns as `tried` does."""
        output = self.program.errors_since(0) or self.program.last_lines() if self.program else ""
        is_farewells_fault = outcome is None and not has_logged_out and not is_last
        if was_holding and self.farewell == "logout" and is_farewells_fault:
            self.finding("logout ends it", case)
            self.revive(case)
            return outcome, "dead"
        former, other = self.farewell, "logout" if self.farewell == "close" else "close"
        self.revive(case)
        if self.args.run and is_farewells_fault and other not in self.lethal and not self.stopped:
            # Perhaps it was the way in which the users left. There are cases for that; in all others, they leave in
            # the other way from now on, so that each case is judged for what it checks.
            self.farewell = other
            again = self.tried(Play(self, case), case, is_last=True)
            if not (isinstance(again[0], Failure) and again[0].kind == "died"):
                self.lethal.add(former)
                return again
            self.farewell = former
        came = say("died") + (f"\n{outcome.came}" if isinstance(outcome, Failure) else "")
        outcome = Failure("died", say("survives"), came)
        outcome.output = output
        return outcome, "" if self.args.run else "dead"

    def state_while_holding(self, outcome, has_logged_out):
        """What `look` would say, or "crowded"; but while all is well nobody looks, since even that needs users."""
        is_calm = outcome is None or isinstance(outcome, Absent) or outcome.kind == "mismatch"
        if is_calm and not has_logged_out and len(self.held) < self.KEPT:
            return ""
        user = self.log_in()[0]
        if user:
            self.held.append(user)
            if not has_logged_out and len(self.held) < self.KEPT:
                return ""
        elif len(self.held) + len(self.strangers) > 0:
            for connection in [*self.held, *self.strangers]:
                connection.close()
            self.held, self.strangers, self.keeps_strangers, self.farewell = [], [], False, "close"
            return "crowded" if self.log_in_and_out() else "dead"
        else:
            return "dead"
        held, self.held, self.farewell = self.held, [], "logout"
        one = held.pop()
        self.release([one])
        state = self.look()
        if state == "ghosts" and one.name in self.ghosts:  # it does nothing on 03
            self.farewell = "close"
            for name, connection in self.gone.items():
                if connection:
                    self.gone[name] = connection.close()
            state = self.look()
        if state in ("", "ghosts"):
            self.release(held)
            state = self.look()
        return state

    def log_in_and_out(self):
        user, _friends, outcome = self.log_in()
        if user:
            self.release([user])
        return outcome in ("let in", "refused")

    def tidy(self, state, case):
        """Users who are gone have left something behind: it is noted, and the server started afresh if possible."""
        if not self.args.run:
            self.held += filter(None, self.ghosts.values())  # these do no harm while they are open
            are_ghosts = None in self.ghosts.values()
            self.gone = {name: connection for name, connection in self.gone.items() if name not in self.ghosts}
            if are_ghosts:
                self.finding("ghosts", case)
            if state == "deaf":
                self.finding("deaf", case)
                self.stopped = say("spoilt")
                return "deaf"
            return ""
        if state == "ghosts" and self.second_names.issuperset(self.ghosts):  # this tells nothing of other users
            self.renew()
            return ""
        is_first = state not in self.first
        self.finding(state, case)
        if state == "ghosts" and "logout" not in self.lethal:
            self.farewell = "logout"
        self.renew()
        if state == "deaf" and is_first and not self.stopped:
            if self.look() == "deaf":  # even when it is fresh: then this proves nothing
                self.can_tell_deaf = False
                del self.first["deaf"]
            self.renew()
        return ""

    def finding(self, kind, case):
        """Something that the report must say first."""
        self.first.setdefault(kind, {"since": case["id"], "cases": 0})["cases"] += 1

    def renew(self):
        self.program.stop()
        for connection in [*self.held, *self.strangers, *filter(None, self.gone.values())]:
            connection.close(reset=True)
        error = self.start()
        if error:
            self.stopped = error

    def revive(self, case):
        """Gets a dead server back, or gives up."""
        if self.args.run:
            self.renew()
            error = self.stopped
        else:
            print(say("waiting", id=case["id"], seconds=self.args.wait), file=sys.stderr, flush=True)
            self.gone, self.held, self.strangers = {}, [], []
            self.farewell = "close"
            error = self.wait_for_port(time.monotonic() + self.args.wait)
        if error or not (self.args.run or self.log_in_and_out()):
            self.stopped = say("after death", id=case["id"]) + (f"\n{error}" if self.args.run and error else "")


def is_rough(case):
    """How much of this case ends without 03: 0 nothing, 1 connections of strangers, 2 those of users."""
    users, rough = set(), 0

    def walk(steps):
        nonlocal rough
        for step in steps:
            if "login" in step or step.get("message", {}).get("Command") == "01":
                users.add(step.get("login") or step.get("send"))
            elif "send" in step and step.get("message", {}).get("Command") == "03":
                users.discard(step["send"])
            for verb in ("close", "reset", "half close"):
                if verb in step:
                    rough = max(rough, 2 if step[verb] in users else 1)
            walk(step.get("steps", []))

    walk(case["steps"])
    return rough


def in_use(port):
    """A sentence on a port that another program has, and on how to find that."""
    command = f"netstat -ano | findstr :{port}" if os.name == "nt" else f"lsof -nP -iTCP:{port} -sTCP:LISTEN" \
        if sys.platform == "darwin" else f"ss -ltnp 'sport = :{port}'"
    try:
        found = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=5,
                               stdin=subprocess.DEVNULL).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError):
        found = ""
    process = re.search(r'users:\(\("([^"]+)",pid=(\d+)|^(\S+)\s+(\d+)\s.*\(LISTEN\)', found, re.MULTILINE)
    name, pid = (process.group(1) or process.group(3), process.group(2) or process.group(4)) if process else ("", "")
    return say("in use", port=port, who=say("who", name=name, pid=pid) if pid else "", command=command)


class ClientCheck(Check):
    """Plays a server for one client, which the checker starts (--run) or a person."""

    side = "client"

    def __init__(self, args):
        super().__init__(args)
        try:
            command = words(args.run or "")
        except ValueError:
            raise OSError(say("open quote", command=args.run)) from None
        if command and not shutil.which(command[0]):
            raise OSError(say("no program", program=command[0]))
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(os.name != "nt"))
        try:
            self.listener.bind((args.host, args.port))
            self.listener.listen()
        except (OSError, OverflowError) as error:
            key = "no such port" if isinstance(error, OverflowError) else \
                "no such address" if isinstance(error, socket.gaierror) else LISTENING.get(error.errno, "cannot listen")
            other = args.port + 1 if 1023 < args.port < 65535 else 4005
            raise OSError(say(key, host=args.host, port=args.port, other=other, error=error)) from None
        self.address = self.listener.getsockname()
        self.typed = queue.Queue()  # what a person types into the checker
        self.typed_lines = set()  # what the checker types into the client
        self.has_started = self.is_mute = False
        self.is_late = False  # whether it shows what has come only after something was typed
        if self.cruel is not None:
            print(say("cruel", seed=self.cruel))
        if not args.run:
            threading.Thread(target=lambda: [self.typed.put(line.strip()) for line in sys.stdin], daemon=True).start()
            print(say("by hand"))

    @property
    def last_words(self):
        return self.program.last_lines() if self.program else ""

    def ask(self, action, **values):
        """Has something done: types it into the client, or asks the person to do it."""
        values.update(host=self.address[0], port=self.address[1])
        if action == "start" and self.kept:
            self.kept.close()  # the client that comes now takes the place of that one
            self.kept = None
        if not self.args.run:
            print("  > " + say("start again" if action == "start" and self.has_started else action, **values),
                  flush=True)
        elif action == "start":
            if self.program:
                self.program.stop()
            try:
                self.program = Program([filled_in(word, values) for word in words(self.args.run)])
            except OSError as error:
                came = say("cannot start client", command=self.args.run, error=reason(error))
                raise Failure("unsendable", say("connects", **values), came) from None
        elif getattr(self.args, action):
            line = filled_in(getattr(self.args, action), values)
            self.typed_lines.add(line)
            self.program.type(line)
        self.has_started |= action == "start"

    def stop_if_asked(self):
        if not self.args.run and not self.typed.empty() and self.typed.get() == "s":
            raise Skipped(say("by you"))

    def accept(self):
        patience = max(self.patience, 15)  # to start takes longer than to answer
        deadline = time.monotonic() + patience
        self.listener.settimeout(0.3)
        while time.monotonic() < deadline:
            self.stop_if_asked()
            try:
                return Connection(self.listener.accept()[0])
            except socket.timeout:
                if self.program and self.program.has_ended() and self.program.process.returncode:
                    break  # it has crashed, which attempt will tell
        raise Failure("silence", say("connects", host=self.address[0], port=self.address[1]),
                      say("nobody", seconds=patience))

    def confirms(self, question):
        """Asks the person."""
        deadline = time.monotonic() + self.patience
        print("  ? " + question + "\n    " + say("yes or no"), flush=True)
        while time.monotonic() < deadline:
            try:
                answer = self.typed.get(timeout=0.3)  # on Windows, Ctrl-C waits for the end of this
            except queue.Empty:
                continue
            if answer == "s":
                raise Skipped(say("by you"))
            return answer != "n"
        return False

    # -- what the client shows

    def mark(self):
        """From here on counts what it shows."""
        if self.program:
            self.settle()
            self.program.mark = self.program.size()

    def settle(self, until_any=False):
        """Waits until nothing is written for a moment; with `until_any`, first until something is."""
        now = time.monotonic()
        size, since, deadline = self.program.size(), now, now + min(self.patience, max(1, self.patience / 4))
        waits = until_any and not self.shown().strip()
        while now < deadline and (waits or now < since + 0.2):
            time.sleep(0.02)
            now = time.monotonic()
            if self.program.size() != size:
                size, since, waits = self.program.size(), now, False
            waits = waits and self.program.may_write()

    def written(self):
        """All that the client has written since the mark."""
        return self.program.written(self.program.mark) if self.program else ""

    def shown(self):
        """What it has written, without copies of the JSON that came, as in `cannot read {"Command":...`."""
        text = self.written()
        for echo in self.echoes:
            text = text.replace(echo, "")
        return text

    def can_be_seen(self):
        """Whether it writes anything at all; if not, what it shows is not judged."""
        if not (self.program.written() or self.is_mute or self.program.has_ended()):
            # Perhaps it waits for its user, and reads from its connection only then.
            with contextlib.suppress(Failure):
                self.ask("private", friend="Bobby", text="hello")
            self.settle(until_any=True)
            self.is_late = bool(self.program.written())
        if not self.program.written():
            self.is_mute = True
            self.remark(say("note unseen"))
        return bool(self.program.written())

    def unseen(self, text):
        """In words, why this text does not count as shown."""
        return say("shows late" if self.is_late else "shows a copy" if text in self.written() else "did not show")

    def appears(self, *texts):
        """Whether all these are shown in time."""
        deadline = time.monotonic() + self.patience
        while True:
            has_ended = not self.program.may_write()
            if all(text in self.shown() for text in texts):
                return True
            if time.monotonic() > deadline or has_ended:
                return False
            time.sleep(0.02)

    def shows(self, text):
        if not self.args.run:
            return self.confirms(say("shows?", text=text))
        return self.appears(text) or not self.can_be_seen()

    def lists(self, names, without, question):
        """Whether the list of users has these names, and which of `without` it has too.

        A client may show its list when asked, or whenever it changes."""
        if not self.args.run:
            return self.confirms(question), []
        with contextlib.suppress(Failure):  # if it has ended, the list is not seen
            self.ask("who")
        if not self.appears(*names):
            return False, []
        self.settle()
        return True, [name for name in without if name in self.shown()]

    def lines_with(self, text):
        """How many lines show this text, apart from JSON that the client prints, and echoes of what was typed."""
        lines = [line for line in self.shown().splitlines() if text in line and "Message" not in line]
        return len([line for line in lines if line.strip(" >:$#") not in self.typed_lines])

    def notices_end(self, question):
        """Whether the client does anything now that the connection has ended: says so, ends, or connects again."""
        if not self.args.run:
            return self.confirms(question)
        deadline = time.monotonic() + self.patience
        self.listener.settimeout(0.05)
        while time.monotonic() < deadline:
            if not self.program.may_write() or self.shown().strip():
                return True
            with contextlib.suppress(socket.timeout):
                self.listener.accept()[0].close()
                return True
        return not self.can_be_seen()

    def crash(self, play):
        """How the client has crashed, in words; or None if it has not."""
        program = self.program
        if not program:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.process.wait(0.1 if program.may_write() else 2)
        code = program.process.poll()
        if code and (code < 0 or not play.may_end):
            return say("crashed", code=code)
        # Its standard error is looked at by itself too: together, what it tells may stand behind an open prompt.
        texts = (program.written(), program.text(program.errors))
        return say("traceback") if any(map(CRASH.search, texts)) else None

    def attempt(self, play, case):
        if not self.args.run:
            print(f"\n{case['id']}: {case['title'][LANG]}", flush=True)
        failure = None
        self.echoes, self.typed_lines, self.is_late = [], set(), False
        try:
            try:
                play.run(case["steps"])
                play.flush()
            except Enough:
                pass
            except Failure as caught:
                failure = caught
            crash = self.crash(play)
            if crash:
                crashed = Failure("crashed", say("goes on"), f"{crash}\n{failure.came}" if failure else crash)
                crashed.cause = failure and failure.cause
                raise crashed
            if failure and self.is_late:
                failure.cause = WORDS["late cause"]
            if failure:
                raise failure
            left = list(play.connections.values())
            if not self.args.run and left and left[0].name and not left[0].is_over:
                self.kept = left[0]  # spares the person from starting the client again
        finally:
            play.clear_up()
            if self.program:
                self.program.stop()

    def finish(self):
        self.listener.close()


# What keeps the checker from listening, and how it says so.
LISTENING = {errno.EADDRINUSE: "port busy", errno.EACCES: "port forbidden", errno.EADDRNOTAVAIL: "no such address"}

# How the runtimes of some languages begin to tell that nobody has caught an exception.
CRASH = re.compile(r"^(Traceback \(most recent call last\)|Exception in thread |Unhandled exception|Uncaught |"
                   r"panic: |fatal error: |thread '.*' .*panicked at )", re.M)


def filled_in(text, values):
    """A text in which {host} and the like are filled in; other braces stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda match: str(values.get(match[1], match[0])), text)


# ---- the report ----------------------------------------------------------------------------------

LANG = "en"


def say(key, **values):
    return WORDS[key][LANG].format(**values)


def feature_name(feature):
    """What an optional feature is called in the language of the report."""
    return say("feature " + feature) if "feature " + feature in WORDS else feature


def reason(error):
    """What the system says is wrong, in the language of the report where that is a common thing."""
    for kind, key in ((ConnectionRefusedError, "refused"), (socket.gaierror, "no such host"),
                      ((ConnectionResetError, ConnectionAbortedError, BrokenPipeError), "is closed"),
                      (socket.timeout, "timed out"), (FileNotFoundError, "no such command"),
                      (PermissionError, "not permitted"), ((ValueError, IndexError), "no command line"),
                      (ssl.SSLError, "no tls")):
        if isinstance(error, kind):
            return say(key)
    return str(error)


def pad(text, width):
    """Fills text up with spaces; a Chinese character takes two columns."""
    return text + " " * (width - sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text))


def painted(word, result):
    if not sys.stdout.isatty() or os.name == "nt" or "NO_COLOR" in os.environ:
        return word
    return "\033[%dm%s\033[0m" % ({"passed": 32, "failed": 31}.get(result, 33), word)


def show_row(case, result):
    row = [pad(case["id"], 26), pad(say(case["level"]), 10)]
    if result:
        row.append(painted(pad(say(result["result"]), 16), result["result"]))
    print("  " + "".join(row) + case["title"][LANG] + (
        f" ({result['reason']})" if result and "reason" in result else ""), flush=True)


def show_failure(case, result):
    print(f"\n{case['id']} ({say(case['level'])}): {case['title'][LANG]}")
    says = f"[{case['section'][LANG]}] " + (result["says"] or {}).get(LANG, "")
    parts = [("says", says), ("happened", "\n".join(result["log"])), ("expected", result["expected"]),
             ("came", result["came"]), ("cause", (result["cause"] or {}).get(LANG, "")),
             ("stderr", result["output"])]
    for label, text in parts:
        if text:
            show_text(say(label), str(text))


def show_text(label, text):
    first, *more = text.splitlines()
    print("  " + pad(label, 16) + first)
    for line in more:
        print(" " * 18 + line)


def show_first(check):
    """What the reader must know before all else."""
    print("\n" + say("first"))
    for kind, found in check.first.items():
        show_text(say("happened"), say(kind, **found))
        show_text(say("cause"), say(kind + " cause"))
        show_text(say("do"), say(kind + " do"))
        show_text(say("checker"), say("runs afresh" if check.args.run else "runs on"))


def show_totals(check):
    kinds = ("passed", "failed", "absent", "skipped")
    print("\n" + say("totals"))
    print("  " + pad(say("level"), 12) + "".join(pad(say(kind), 17) for kind in kinds).rstrip())
    for level in ("required", "optional", "robust"):
        of_level = [result["result"] for result in check.results if result["level"] == level]
        print("  " + pad(say(level), 12) + "".join(pad(str(of_level.count(kind)), 17) for kind in kinds).rstrip())
    if check.remarks:
        print("\n" + say("notes"))
        for text, case_id in check.remarks.items():
            print(f"  - {text}" + (f" ({case_id})" if case_id else ""))


def load(folder, side):
    """The cases for one side, in the order of their files; and the words of the report."""
    cases = []
    for path in sorted(folder.glob("*.json")):
        of_file = json.loads(path.read_text(encoding="utf-8"))
        WORDS.update(of_file.get("words", {}))
        ARGPARSE.update(of_file.get("argparse", {}))
        if of_file.get("side") == side:
            for case in of_file["cases"]:
                for key in ("says", "cause"):  # a string names one of the texts that the file's cases share
                    if isinstance(case.get(key), str):
                        case[key] = of_file["texts"][case[key]]
                cases.append({**case, "section": of_file["section"]})
    return cases


def chosen(cases, only):
    """The cases with these ids, and before them those that find out whether the features they need are there."""
    if not only:
        return cases
    needed = {feature for case in cases if case["id"] in only for feature in case.get("needs", [])}
    return [case for case in cases if case["id"] in only or case.get("feature") in needed]


class Parser(argparse.ArgumentParser):
    def error(self, message):
        named = re.match("argument (.+?): (.*)", message)  # older versions of argparse don't translate this
        super().error(say("argument", name=named.group(1), message=named.group(2)) if named else message)


def arguments():
    parser = Parser(description=say("help"))
    sides = parser.add_subparsers(dest="side", metavar="server|client")
    sides.required = True
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--lang", choices=("en", "zh"), help=say("help lang"))
    common.add_argument("--patience", type=float, metavar=say("seconds"), help=say("help patience"))
    common.add_argument("--vectors", type=Path, metavar=say("folder"), help=say("help vectors"))
    common.add_argument("--only", action="append", metavar="ID", help=say("help only"))
    common.add_argument("--list", action="store_true", help=say("help list"))
    common.add_argument("--json", metavar=say("file"), help=say("help json"))
    common.add_argument("--strict", action="store_true", help=say("help strict"))
    server = sides.add_parser("server", parents=[common], help=say("help server"))
    server.add_argument("host", nargs="?", default="127.0.0.1", help=say("help host"))
    server.add_argument("port", nargs="?", type=int, help=say("help port"))
    server.add_argument("--tls", action="store_true", help=say("help tls"))
    server.add_argument("--run", metavar=say("command"), help=say("help run"))
    server.add_argument("--wait", type=float, default=10, metavar=say("seconds"), help=say("help wait"))
    client = sides.add_parser("client", parents=[common], help=say("help client"))
    client.add_argument("--host", default="127.0.0.1", help=say("help listen"))
    client.add_argument("--port", type=int, default=4004, help=say("help listen port"))
    client.add_argument("--run", metavar=say("command"), help=say("help run client"))
    client.add_argument("--cruel", nargs="?", type=int, const=random.randrange(10 ** 6), metavar=say("seed"),
                        help=say("help cruel"))
    for action, default in (("login", ""), ("room", "{text}"), ("private", "@{friend} {text}"), ("logout", "/quit"),
                            ("register", "/register {name} {password}"), ("who", "/who")):
        client.add_argument("--" + action, default=default, metavar=say("line"), help=say(
            "help type", default=default or say("help nothing")).replace("%", "%%"))
    args = parser.parse_args()
    if args.side == "server":
        args.port = args.port or (4399 if args.tls else 4004)
    args.patience = args.patience or (5 if args.side == "server" else 10 if args.run else 180)
    return parser, args


def given(option):
    """What the command line says of an option, before it is read as a whole: even its errors need a language."""
    values = [word[len(option) + 1:] if word.startswith(option + "=") else after
              for word, after in zip(sys.argv[1:], [*sys.argv[2:], ""])
              if word == option or word.startswith(option + "=")]
    return values[-1] if values else None


def main():
    global LANG
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")
    spoken = os.environ.get("LC_ALL") or os.environ.get("LANG") or locale.getlocale()[0] or ""
    LANG = given("--lang") or ("zh" if re.match("zh|chinese", spoken, re.I) else "en")
    LANG = LANG if LANG in ("en", "zh") else "en"
    here, vectors = Path(__file__).resolve().parent, given("--vectors")
    folders = [Path(vectors)] if vectors else [here.parent / "tests" / "vectors", here / "vectors", here]
    folder = next((each for each in folders if (each / "words.json").is_file()), None)
    if folder is None:  # what could be said of this is missing too
        print(f"check.py: {folders[0]}: no cases; say where they are with --vectors DIR\n"
              f"check.py: {folders[0]}：没有用例；请用 --vectors 指出它们所在的文件夹", file=sys.stderr)
        return 2
    for side in ("server", "client"):  # the words first: even --help needs them
        cases = load(folder, side)
        if side in sys.argv[1:]:
            break
    argparse._ = lambda text: ARGPARSE.get(text, text) if LANG == "zh" else text
    argparse.ngettext = lambda one, many, count: argparse._(one if count == 1 else many)
    parser, args = arguments()
    for wanted in args.only or []:
        if wanted not in (case["id"] for case in cases):
            parser.error(say("no such id", id=wanted))
    cases = chosen(cases, args.only)
    try:
        check = None if args.list else (ServerCheck if args.side == "server" else ClientCheck)(args)
    except OSError as error:
        parser.exit(2, f"{error}\n")
    section, unrun = None, 0
    try:
        for case in check.in_order(cases) if check else cases:
            heading = say("last") if check and args.side == "server" and not args.run and is_rough(case) else \
                case["section"][LANG]
            result = check and check.run(case)
            if result and result["result"] == "skipped" and result["reason"] == check.stopped:
                unrun += 1
                continue
            if heading != section:
                section = heading
                print("\n" + section)
            show_row(case, result)
    except KeyboardInterrupt:
        check.stopped = "Ctrl-C"
        print()
    finally:
        if check:
            check.finish()
    if unrun:
        print("\n" + say("rest not run", count=unrun, reason=check.stopped))
    return 0 if check is None else report(check, cases, args)


def report(check, cases, args):
    places = [case["id"] for case in cases]
    check.results.sort(key=lambda result: places.index(result["id"]))
    failed = [result for result in check.results if result["result"] == "failed"]
    if check.first:
        show_first(check)
    if failed:
        print("\n" + say("why"))
    for result in failed:
        show_failure(next(case for case in cases if case["id"] == result["id"]), result)
    show_totals(check)
    bad = [result for result in check.results if result["result"] != "passed" and result["level"] == "required"
           or result["result"] == "failed" and args.strict]
    status = int(bool(bad) or len(check.results) < len(cases))
    if args.json:
        whole = {"side": args.side, "address": "%s:%s" % check.address[:2], "exit": status,
                 "first": check.first, "cases": check.results, "notes": check.remarks}
        Path(args.json).write_text(json.dumps(whole, ensure_ascii=False, indent=1), encoding="utf-8")
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(2)
