"""Floods, and classes behind links that are slow or lose packets."""

import json
import select
import socket
import threading
import time

from chat import (
    PLAIN_PORT, Scene, chatter, check_promises, check_sequences, latencies, now, percentile, wait_until,
    wait_until_even,
)
from network import Lan

# The longest text that fits the largest frame, with room for what stands around it.
LARGEST = 64 * 1024 - 64

CLASS = 30
LINK_MBIT = 20


def flood(over, client, size):
    """Lets a client send as fast as the server reads from it.

    Its own echo bounds what waits between the two: the server is always behind by more than a burst, and still
    all has arrived a few seconds after the end.
    """
    ahead = 6 if size else 250
    echoed = at = 0
    while not over.is_set():
        while at < len(client.heard):
            message = client.heard[at][1]
            echoed += message["Command"] == "32" and message["Speaker"] == client.name
            at += 1
        if client.numbers - echoed < ahead:
            client.say(client.numbered(size))
        else:
            over.wait(0.005)


class Backlog:
    """Watches how far each client is behind the one that gets everything at once.

    What a client lacks is in the server's queue, in its kernel's buffer, or on the cable. The kernel says how much it
    holds, the cable included, so the rest is the server's.
    """

    def __init__(self, server, ahead, behind):
        self.server, self.ahead, self.behind = server, ahead, behind
        self.marks = {client: client.received for client in (ahead, *behind)}
        self.peak = self.peak_in_server = 0

    def watch(self, over):
        while not over.wait(0.1):
            whole = self.ahead.received - self.marks[self.ahead]
            lacking = {
                client: whole - client.received + self.marks[client] for client in self.behind if not client.over
            }
            if not lacking:
                continue
            self.peak = max(self.peak, *lacking.values(), 0)
            in_kernel = self.server.kernel_queues()
            in_server = [lacks - in_kernel.get((client.is_tls, client.port), 0) for client, lacks in lacking.items()]
            self.peak_in_server = max(self.peak_in_server, *in_server, 0)

    def __str__(self):
        return (f"{self.peak_in_server >> 10} KiB in the server, "
                f"{self.peak >> 10} KiB with the kernel's buffer and the cable")


def times(values):
    """Percentiles in words."""
    p50, p99 = (percentile(values, percent) * 1e3 for percent in (50, 99))
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {max(values) * 1e3:.0f} ms"


def classroom(scene, count, mbit):
    """A teacher on a fast cable, a class behind one slow cable, half of it by TLS, and a flooder on a fast one."""
    teacher = scene.guest(scene.lan.host(), "Teacher")
    room = scene.lan.host()
    room.slow_down(mbit)
    pupils = [scene.guest(room, f"Pupil{at}", tls=at % 2 == 1) for at in range(count)]
    flooder = scene.guest(scene.lan.host(), "Flooder")
    for client in (teacher, *pupils):
        client.expect("30", LogOnUserName="Flooder")
    return teacher, pupils, flooder


def cut_off(teacher):
    """Who has left, as the teacher heard it."""
    return [message["LogOutUserName"] for message in teacher.broadcasts() if message["Command"] == "31"]


def flood_behind_link(report, chatd, folder, size, seconds=30):
    """One client floods at the default limits, while a class sits behind one link."""
    with Scene(chatd, folder) as scene:
        scene.start().wait_until_up()
        teacher, pupils, flooder = classroom(scene, CLASS, LINK_MBIT)
        backlog = Backlog(scene.server, flooder, pupils)
        start = now()
        stop = [
            scene.meanwhile(backlog.watch),
            scene.meanwhile(chatter, teacher, 0.5),
            scene.meanwhile(chatter, pupils[0], 0.5),
            scene.meanwhile(flood, flooder, size),
        ]
        time.sleep(seconds)
        for finish in reversed(stop[1:]):
            finish()
        sent = flooder.numbers
        wait_until(lambda: sent == sum(message.get("Speaker") == "Flooder" for message in flooder.broadcasts()))
        wait_until_even([flooder, teacher, pupils[0]], [flooder, teacher, *pupils], 30)
        lasted = now() - start
        stop[0]()

        what = f"{size >> 10}-KiB" if size else "tiny"
        lost = cut_off(teacher)
        report.promise(f"{CLASS} clients behind {LINK_MBIT} Mbit/s and a flood of {what} messages: nobody is cut off",
                       f"{len(lost)} cut off in {lasted:.0f} s", not lost)
        count = check_promises(teacher, [*pupils, flooder])
        check_sequences([flooder, teacher, pupils[0]], [teacher, flooder, *pupils])
        report.promise("all receive everything, once, in one order", f"{count} messages compared", True)
        report.figure("what the flooder got through", f"{sent} messages, {sent / lasted:.1f} a second")
        report.figure("the teacher's message at the pupils, on the link", times(
            [value for pupil in pupils for value in latencies(pupil, {"Teacher"})]))
        report.figure("the same from 5 s on, when the flooder's burst is used up", times(
            [value for pupil in pupils for value in latencies(pupil, {"Teacher"}, start + 5)]))
        report.figure("a pupil's message at the teacher, off the link", times(latencies(teacher, {"Pupil0"})))
        report.figure("the teacher's own message back at the teacher", times(latencies(teacher, {"Teacher"})))
        report.figure("the most that waited for one pupil", str(backlog))


def capacity(report, chatd, folder):
    """How many clients one link carries while one client floods, before somebody is cut off."""
    for size in (LARGEST, 1280):
        for count in (20, 25, 30, 35, 40, 45, 50, 60, 80):
            report.figure(
                f"{count} clients behind {LINK_MBIT} Mbit/s, a flood of {size} bytes a message",
                one_capacity(chatd, folder / f"{count}-{size}", count, size)
            )
            print(report.lines[-1], flush=True)


def one_capacity(chatd, folder, count, size, seconds=60):
    """What becomes of `count` clients behind the link while one floods: says so in words."""
    folder.mkdir()
    with Scene(chatd, folder) as scene:
        scene.start().wait_until_up()
        teacher, pupils, flooder = classroom(scene, count, LINK_MBIT)
        backlog = Backlog(scene.server, flooder, pupils)
        start = now()
        scene.meanwhile(backlog.watch)
        scene.meanwhile(chatter, teacher, 0.5)
        scene.meanwhile(flood, flooder, size)
        wait_until(lambda: cut_off(teacher), seconds)
        lasted = now() - start
        lost = cut_off(teacher)
        wait_until(lambda: len(scene.server.logged("Pupil.* left")) >= len(lost), 2)
        reasons = sorted({line.partition("left (")[2].partition(";")[0].partition(":")[0]
                          for line in scene.server.logged("Pupil.* left")})
        seen = [value for pupil in pupils for value in latencies(pupil, {"Teacher"}, start + 5)] or [0]
        what = f"nobody cut off in {lasted:.0f} s"
        if lost:
            what = f"{len(lost)} cut off after {lasted:.0f} s ({', '.join(reasons)})"
        return f"{what}; {times(seen)}; at most {backlog}"


def loss(report, chatd, folder, seconds=20):
    """A class behind a link with delay and loss: promises 1 to 3 hold, and everybody stays."""
    with Scene(chatd, folder) as scene:
        scene.start().wait_until_up()
        near = scene.lan.host()
        far = scene.lan.host_behind_wire(mbit=LINK_MBIT, delay_ms=30, loss=0.02)
        teacher = scene.guest(near, "Teacher")
        pupils = [scene.guest(far, f"Pupil{at}", tls=at % 2 == 1) for at in range(10)]
        settled = [teacher, scene.guest(near, "Neighbour", tls=True), *pupils]
        told, passers = [], []
        told_lock = threading.Lock()

        def talk(over, client, at):
            """Says something to the room, and something to the next one, in turn."""
            while not over.wait(0.2):
                client.say(client.numbered(200))
                friend = settled[(at + client.numbers) % len(settled)]
                with told_lock:
                    text = client.numbered(200)
                    told.append((client.name, client.numbers, friend.name))
                client.tell(friend.name, text)

        def pass_by(over, host, kind):
            """Guests that come and go."""
            number = 0
            while not over.is_set():
                number += 1
                guest = scene.guest(host, f"{kind}{number}", tls=number % 2 == 0)
                passers.append(guest)
                over.wait(0.3)
                guest.send(Command="03")
                guest.wait_for_end()

        start = now()
        stop = [scene.meanwhile(talk, client, at) for at, client in enumerate(settled)]
        stop += [scene.meanwhile(pass_by, near, "Near"), scene.meanwhile(pass_by, far, "Farr")]
        time.sleep(seconds)
        for finish in reversed(stop):
            finish()
        def receipts():
            return [message["Flag"] for client in settled for _, message in client.heard
                    if message["Command"] == "14" and "Flag" in message]

        # When all receipts have come, all that was said has left; one more message then comes last everywhere.
        wait_until(lambda: len(receipts()) == len(told))
        last_words = teacher.numbered()
        teacher.say(last_words)
        for client in settled:
            client.expect("32", Speaker="Teacher", Message=last_words)

        names = {client.name for client in settled}
        lost = [name for name in cut_off(teacher) if name in names]
        report.promise("2 % loss and 30 ms each way: nobody is cut off", f"{len(lost)} of {len(settled)} cut off",
                       not lost)
        count = check_promises(teacher, [*settled[1:], *passers])
        report.promise("one order and exact presence, while guests come and go",
                       f"{count} messages compared; {len(passers)} guests came and went", True)
        check_sequences(settled, settled, told)
        report.promise("room and private messages of each sender are one sequence, nothing lost",
                       f"{sum(client.numbers for client in settled)} messages, {len(told)} of them private", True)
        report.promise("each private message has its receipt, with Flag 1",
                       f"{len(receipts())} receipts, {sum(receipts())} with Flag 1",
                       len(receipts()) == len(told) == sum(receipts()))
        report.figure("the teacher's message behind the lossy link", times(
            [value for pupil in pupils for value in latencies(pupil, {"Teacher"}, start)]))
        report.figure("the wire", "; ".join(scene.lan.end_wires()))


def slow_tls_client(report, chatd, folder, seconds=12):
    """A TLS client behind 1 Mbit/s, in a room that says half as much again."""
    with Scene(chatd, folder) as scene:
        # All who talk share one address, and its limits would hold them back.
        scene.start("--rate", "0", "--byte-rate", "0").wait_until_up()
        near, far = scene.lan.host(), scene.lan.host()
        far.slow_down(1)
        clients = [scene.guest(near, f"Client{at}", tls=at % 2 == 1) for at in range(10)]
        talkers = [scene.guest(near, f"Talker{at}") for at in range(3)]
        for talker in talkers:
            scene.meanwhile(chatter, talker, 1 / 32, 2000)
        names = {talker.name for talker in talkers}

        def of_everybody(since, until):
            return [value for client in clients for value in latencies(client, names, since)]

        start = now()
        time.sleep(seconds / 2)
        alone = of_everybody(start + 0.5, now())
        slow = scene.guest(far, "Slow", tls=True)
        start = now()
        time.sleep(seconds)
        beside = of_everybody(start, now())
        lost = cut_off(clients[0])
        # What is slow without the slow client, too, is no excuse for seconds.
        limit = min(max(10 * percentile(alone, 99), 0.5), 5)
        report.figure("a message at 10 clients, without a slow one", times(alone))
        report.promise(f"a message at 10 clients, beside a TLS client behind 1 Mbit/s: p99 below {limit * 1e3:.0f} ms",
                       times(beside), percentile(beside, 99) < limit)
        report.promise("nobody else is cut off", ", ".join(lost) or "nobody at all", set(lost) <= {"Slow"})
        received = slow.received - slow.since_login
        report.figure("the slow client", f"{'cut off' if lost else 'still there'} after {now() - start:.0f} s, "
                      f"{received >> 10} KiB received")


def flood_by_reconnecting(over, host, tag, parallel=1):
    """Floods from one host so that limits which end with a connection would not hold: each connection logs in, sends a whole
    burst, and logs out, and then comes the next."""
    text = "x" * 1290

    def one_after_another(over, slot):
        number = 0
        while not over.is_set():
            number += 1
            name = f"{tag}{slot}x{number}"
            lines = [{"Command": "01", "Name": name}, *[{"Command": "05", "Message": text}] * 195, {"Command": "03"}]
            burst = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
            try:
                with host.inside():
                    flooder = socket.create_connection((Lan.ADDRESS, PLAIN_PORT), 5)
                with flooder:
                    flooder.setblocking(False)
                    while not over.is_set():
                        readable, writable, _ = select.select([flooder], [flooder] if burst else [], [], 0.5)
                        if writable:
                            burst = burst[flooder.send(burst):]
                        if readable and not flooder.recv(1 << 18):
                            break
            except OSError:
                over.wait(0.05)

    threads = [threading.Thread(target=one_after_another, args=(over, slot), daemon=True) for slot in range(parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def crowd_of_flooders(report, chatd, folder, addresses, parallel=1, seconds=60, mbit=LINK_MBIT):
    """Several machines flood by reconnecting, while a class sits behind one link, and one of it doesn't read at all."""
    with Scene(chatd, folder) as scene:
        scene.start().wait_until_up()
        teacher = scene.guest(scene.lan.host(), "Teacher")
        student = scene.guest(scene.lan.host(), "Student")
        room = scene.lan.host()
        room.slow_down(mbit)
        pupils = [scene.guest(room, f"Pupil{at}", tls=at % 2 == 1) for at in range(CLASS)]
        sloth = scene.guest(scene.lan.host(), "Sloth")
        for client in (teacher, student, *pupils):
            client.expect("30", LogOnUserName="Sloth")
        scene.ear.remove(sloth)
        start, before = now(), pupils[0].received
        stop = [scene.meanwhile(chatter, student, 0.5)]
        for at in range(addresses):
            stop.append(scene.meanwhile(flood_by_reconnecting, scene.lan.host(), f"Flood{at}x", parallel))
        time.sleep(seconds)
        lost = [name for name in cut_off(teacher) if not name.startswith("Flood")]
        lasted, rate = now() - start, (pupils[0].received - before) / seconds
        what = f"{CLASS} clients behind {mbit} Mbit/s and {addresses} addresses that flood, {parallel} connections each"
        is_kept = set(lost) <= {"Sloth"}
        report.promise(f"{what}: nobody who reads is cut off", f"{', '.join(lost) or 'nobody at all'} in {lasted:.0f} s",
                       is_kept)
        if not is_kept:
            return
        for finish in stop:
            finish()
        # They break off with much that they have said and nobody has heard.
        wait_until_even([student], [student, teacher, *pupils], 60)
        gone = [client.name for client in (student, teacher, *pupils) if client.over]
        report.promise("nor when all of them break off at once", ", ".join(gone) or "nobody", not gone)
        report.figure("who never reads", "is cut off" if "Sloth" in lost else f"is still there after {lasted:.0f} s")
        report.figure("what each of the class was sent", f"{rate / 1024:.0f} KiB/s")
        check_sequences([student], [teacher, *pupils])
        report.promise("a student's messages all arrive, once and in order", f"{student.numbers} messages", True)
        seen = [value for pupil in pupils for value in latencies(pupil, {"Student"}, start + 5)]
        report.figure("a student's message at the class, on the link", times(seen))
        report.figure("the same at the teacher, off the link", times(latencies(teacher, {"Student"}, start + 5)))
