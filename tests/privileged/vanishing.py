"""Hosts that vanish without a word, as by a pulled cable."""

import re
import time

from chat import Broken, Scene, chatter, check_promises, check_sequences, now, wait_until, wait_until_even

# What a timer may be late by on a busy machine.
SLACK = 1.0

HEARTBEAT = 15.0
DEAD_AFTER = HEARTBEAT * 3 / 4


def vanish(report, chatd, folder, heartbeat=HEARTBEAT, dead_after=None, busy=False, forgotten=False):
    """Pulls the cable of a host with a plain and a TLS client, and waits for their 31s.

    If it is `forgotten`, the server's kernel has to ask for the host's hardware address again, in vain: then it calls the
    host unreachable, and not a time that is up.
    """
    options = [] if heartbeat == HEARTBEAT else ["--heartbeat", f"{heartbeat}s"]
    options += ["--dead-after", f"{dead_after}s"] if dead_after else []
    with Scene(chatd, folder) as scene:
        scene.start(*options).wait_until_up()
        near, far = scene.lan.host(), scene.lan.host()
        watchers = [scene.guest(near, "Watcher"), scene.guest(near, "WatcherTls", tls=True)]
        gone = [scene.guest(far, "Gone"), scene.guest(far, "GoneTls", tls=True)]
        if busy:
            scene.meanwhile(chatter, scene.guest(near, "Talker"), 0.05)
            watchers[0].expect("32")
        else:
            # The worst moment: everybody has just answered, and nobody is asked again for a whole interval.
            for client in (*watchers, *gone):
                client.expect("14", heartbeat + SLACK)
        far.pull_cable()
        if forgotten:
            scene.lan.server.run("ip", "neigh", "flush", "all")
        cut = now()
        limit = 2 * heartbeat
        for client in gone:
            noticed = [
                watcher.expect("31", limit + SLACK, LogOutUserName=client.name)[0] - cut for watcher in watchers
            ]
            report.promise(
                f"31 for a {'TLS' if client.is_tls else 'plain'} client whose host vanished, within {limit:g} s",
                f"{max(noticed):.2f} s", max(noticed) <= limit + SLACK
            )
        wait_until(lambda: len(scene.server.logged("Gone.* left")) == len(gone))
        reasons = {re.search(r"left \(([^:;]*)", line)[1] for line in scene.server.logged("Gone.* left")}
        report.promise("the log calls each of them dead", ", or ".join(sorted(reasons)), reasons == {"no sign of life"})
        # Nobody who lives was taken for dead.
        left = {message["LogOutUserName"] for message in watchers[0].broadcasts() if message["Command"] == "31"}
        if left != {"Gone", "GoneTls"}:
            raise Broken(f"these left: {left}")


def dead_after_too_long(report, chatd, folder):
    """A dead-peer time that could outlast two heartbeats is refused at the start."""
    with Scene(chatd, folder) as scene:
        server = scene.start("--heartbeat", "3s", "--dead-after", "3s")
        status, words = server.wait_for_failure()
        report.promise("--dead-after above three quarters of --heartbeat is refused, status 2", f"{status}: {words}",
                       status == 2 and "--dead-after" in words)


def come_back(report, chatd, folder, rto_max_ms=None):
    """Hosts that come back after a while, in the middle of a conversation.

    The server's kernel sends again what was not acknowledged after 0.2, 0.6, 1.4, 3 and 6.2 seconds; the next time
    would be after 12.6, past the dead-peer time. So half of that time is what a host surely has. Linux 6.15 and later
    can be told to try more often, `rto_max_ms` apart at most; then it has nearly all of it.
    """
    outages = [1.0, 3.0, 5.5, 7.0, 9.0, 10.5]
    surely = DEAD_AFTER / 2
    with Scene(chatd, folder) as scene:
        if rto_max_ms:
            try:
                scene.lan.server.set("net.ipv4.tcp_rto_max_ms", rto_max_ms)
            except OSError:
                report.figure("net.ipv4.tcp_rto_max_ms", "cannot be set here; it came with Linux 6.15")
                return
            surely = DEAD_AFTER - 2
        scene.start().wait_until_up()
        near = scene.lan.host()
        watcher, talker = scene.guest(near, "Watcher"), scene.client(near, "Talker")
        hosts = [scene.lan.host() for _ in outages]
        silent, speaking = [], []
        for at, host in enumerate(hosts):
            silent.append([scene.guest(host, f"Plain{at}"), scene.guest(host, f"Tls{at:02}", tls=True)])
            speaking.append(scene.guest(host, f"Speaking{at}"))
        talker.log_in()
        hush = scene.meanwhile(chatter, talker, 0.1)
        everybody = [*speaking, *(client for pair in silent for client in pair)]
        for client in everybody:
            client.expect("32")

        cut = now()
        for host in hosts:
            host.pull_cable()
        for client in speaking:
            for _ in range(5):
                client.say(client.numbered())
        back = []
        for host, outage in zip(hosts, outages):
            time.sleep(max(cut + outage - now(), 0))
            host.plug_in()
            back.append(now())
        # By now the kernel has given up all that it will give up.
        time.sleep(max(cut + DEAD_AFTER + SLACK - now(), 0))
        left = {message["LogOutUserName"] for message in watcher.broadcasts() if message["Command"] == "31"}

        for at, outage in enumerate(outages):
            kinds = ("plain", "TLS", "plain and speaking")
            for kind, client in zip(kinds, (*silent[at], speaking[at])):
                stays = client.name not in left
                figure = "cut off"
                if stays:
                    first = next((when for when, _ in client.heard if when > back[at]), None)
                    if first is None:
                        first = client.expect("32", since=len(client.heard))[0]
                    figure = f"hears the others again {first - back[at]:.1f} s after it is back"
                what = f"a {kind} client whose host was gone for {outage:g} s"
                if outage <= surely:
                    report.promise(f"{what} stays", figure, stays)
                else:
                    report.figure(what, figure)
        survivors = [client for client in everybody if client.name not in left]
        hush()
        speakers = [talker, *(client for client in speaking if client in survivors)]
        wait_until_even(speakers, [watcher, *survivors, talker])
        count = check_promises(watcher, [*survivors, talker])
        check_sequences(speakers, [watcher, *survivors])
        report.promise("those who stayed missed nothing, heard one order, and were heard",
                       f"{count} messages compared", True)


def return_under_the_same_name(report, chatd, folder):
    """A client whose cable was pulled connects again from elsewhere."""
    with Scene(chatd, folder) as scene:
        scene.start().wait_until_up()
        near, far, elsewhere = scene.lan.host(), scene.lan.host(), scene.lan.host()
        watcher = scene.guest(near, "Watcher")
        lost_guest = scene.guest(far, "Anna")
        registrar = scene.client(far, "Petra")
        registrar.register("Petra")
        lost_user = registrar.log_in("secret")
        time.sleep(0.5)  # by then all is acknowledged, and until the next heartbeat nobody has reason to miss them
        far.pull_cable()
        cut = now()
        for client, password, kind in (
            (scene.client(elsewhere, "Anna"), None, "guest"),
            (scene.client(elsewhere, "Petra", tls=True), "secret", "registered user"),
        ):
            first = reply = client.ask_login(password)
            while reply["Flag"] == 0 and now() < cut + 60:
                time.sleep(0.5)
                reply = client.ask_login(password)
            took = now() - cut
            if kind == "guest":
                report.promise("at first the name is in use, and the reason says what to do", first["Message"],
                               first["Flag"] == 0 and "half a minute" in first["Message"])
            report.promise(f"a {kind} who lost the network has the name back within half a minute", f"{took:.1f} s",
                           reply["Flag"] == 1 and took <= 2 * HEARTBEAT + SLACK)
        far.plug_in()
        lost_guest.say("anybody here?")
        lost_guest.wait_for_end()
        lost_user.send(Command="03")
        lost_user.wait_for_end()
        watcher.say("the end")
        watcher.expect("32", Message="the end")
        heard = [message for message in watcher.broadcasts() if message.get("Message") == "anybody here?"]
        coming = [list(message.values())[1] for message in watcher.broadcasts() if message["Command"] in ("30", "31")]
        report.promise("what the old connection still sends is heard by nobody, and ends it",
                       f"{len(heard)} heard", not heard)
        report.promise("each name left once and came back once", " ".join(coming),
                       all(coming.count(name) == 3 for name in ("Anna", "Petra")))
