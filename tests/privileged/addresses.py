"""Limits by address, with addresses that are not loopback."""

import time

from chat import Broken, PATIENCE, Scene, now
from links import flood_by_reconnecting
from network import Lan

LIMIT = 4


def limit_by_address(report, chatd, folder):
    """One address uses up its connections, by any protocol; others get theirs all the same."""
    with Scene(chatd, folder) as scene:
        scene.start("--max-per-address", str(LIMIT)).wait_until_up()
        first, second = scene.lan.host(), scene.lan.host()
        has_ipv6 = not scene.server.logged("no IPv6 here") and _has_ipv6(scene, first)

        ways = [("IPv4, on the dual-stack socket" if has_ipv6 else "IPv4", Lan.ADDRESS)]
        if has_ipv6:
            ways.append(("IPv6", Lan.ADDRESS6))
        else:
            report.lack("IPv6, which this kernel lacks")
        for at, (kind, address) in enumerate(ways):
            tag = "Four" if at == 0 else "Sixx"
            held = [
                scene.guest(first, f"{tag}{number}", address=address, tls=number % 2 == 1) for number in range(LIMIT)
            ]
            words = [_refusal(scene, first, address, tls) for tls in (False, True)]
            report.promise(f"{kind}: connection {LIMIT + 1} of one address gets a 10 and is closed, plain and TLS",
                           words[0], all("from one address" in word for word in words))
            guest = scene.guest(second, f"{tag}Other", address=address)
            report.promise(f"{kind}: a second address gets in", f"{guest.name} is online", True)

            held[0].send(Command="03")
            held[0].wait_for_end()
            held[0].close()
            again = _until_let_in(scene, first, f"{tag}Again", address)
            report.promise(f"{kind}: a place that became free is given again", f"{again.name} is online", True)
        if has_ipv6:
            report.promise("an IPv4 address and an IPv6 address of one host count apart",
                           f"{2 * LIMIT} connections of one host", True)

        for address in ["127.0.0.1"] + (["::1"] if has_ipv6 else []):
            tag = "Loop" if "." in address else "Loo6"
            many = [scene.guest(scene.lan.server, f"{tag}{number}", address=address) for number in range(2 * LIMIT)]
            report.promise(f"loopback ({address}) is exempt", f"{len(many)} connections", True)
        own = [scene.client(scene.lan.server) for _ in range(LIMIT + 1)]
        refused = _is_refused(own[-1])
        report.figure("the server's own address on the network",
                      "is counted like any other" if refused else "is exempt, too")

        shown = scene.server.logged("refused a connection from")
        report.promise("the log shows IPv4 addresses as such, not mapped", shown[0].partition("refused")[2],
                       all("::ffff" not in line for line in shown))


def interfaces(report, chatd, folder):
    """The teacher is told the address that students can reach, and when it changes."""
    with Scene(chatd, folder) as scene:
        for name, address in [("docker0", "172.17.0.1/16"), ("eth9", "169.254.3.4/16")]:
            scene.lan.server.run("ip", "link", "add", name, "type", "bridge")
            scene.lan.server.run("ip", "addr", "add", address, "dev", name)
            scene.lan.server.run("ip", "link", "set", name, "up")
        scene.start().wait_until_up()
        rows = _until(lambda: scene.server.logged("^  plain "), "a banner")
        first, last = rows[0].split(), rows[-1]
        report.promise("the network's address comes first, with its interface, for the board", rows[0].strip(),
                       first[1] == Lan.ADDRESS and first[4] == "lan" and "on the board" in rows[0])
        report.promise("that of containers comes last, and is marked", last.strip(),
                       "172.17.0.1" in last and "docker0" in last and "virtual" in last)
        own = [row for row in rows if "169.254.3.4" in row]
        report.promise("one that no router has given is marked", own[0].strip() if own else "missing",
                       bool(own) and "no router" in own[0])
        scene.lan.server.run("ip", "addr", "add", "10.77.0.99/16", "dev", "lan")
        told = _until(lambda: scene.server.logged("addresses have changed"), "a word of the change")
        report.promise("a change is said", told[0], "10.77.0.99" in told[0])


def _until(look, what):
    deadline = now() + PATIENCE
    while now() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    raise Broken(f"the server did not print {what}")


def _has_ipv6(scene, host):
    try:
        scene.client(host, address=Lan.ADDRESS6).close()
        return True
    except OSError:
        return False


def _refusal(scene, host, address, tls):
    """Connects where there is no place left; returns what the server says before it closes."""
    client = scene.client(host, "Surplus", address=address, tls=tls)
    words = client.expect("10", PATIENCE)[1]["Message"]
    client.wait_for_end()
    return words


def _is_refused(client):
    try:
        client.expect("10", 3)
        return True
    except Broken:
        return False


def _until_let_in(scene, host, name, address):
    """A place becomes free a moment after its connection was closed."""
    deadline = now() + PATIENCE
    while now() < deadline:
        client = scene.client(host, name, address=address)
        try:
            return client.log_in()
        except (Broken, OSError):
            client.close()
            time.sleep(0.1)
    raise Broken(f"{name} was never let in")


def budget_of_address(report, chatd, folder):
    """What one address has used up stays used up when its connections end, and is no matter to another address."""
    with Scene(chatd, folder) as scene:
        scene.start("--max-registrations", "1", "--max-login-failures", "1").wait_until_up()
        first, second = scene.lan.host(), scene.lan.host()

        def replies(count, command, reply, password):
            """What new connections are told, one after another, that send one command each."""
            words = []
            for number in range(count):
                client = scene.client(first, f"Client{number}")
                client.send(Command=command, Name=f"Name{number}", Password=password)
                message = client.expect(reply)[1]
                words.append(message.get("Message", "") if message["Flag"] == 0 else "done")
                client.close()
            return words

        # Twenty connections may do what each of them may.
        registered = replies(22, "02", "12", "right")
        report.promise("one address registers 20 names, whatever its connections, and no more", registered[-1],
                       registered[:20] == ["done"] * 20 and all("your address" in word for word in registered[20:]))
        client = scene.client(second, "Other")
        report.promise("another address can register", "it did", client.register("Other1")["Flag"] == 1)

        guessed = replies(22, "01", "11", "wrong")
        report.promise("one address may send 20 wrong passwords, whatever its connections, and no more", guessed[-1],
                       not any("your address" in word for word in guessed[:20])
                       and all("your address" in word for word in guessed[20:]))
        client.name = "Other1"
        report.promise("another address logs in with its password", "it did", client.ask_login("secret")["Flag"] == 1)


def reconnect(report, chatd, folder, seconds=15, rate=64 << 10):
    """Who floods by reconnecting for each burst gets no more through than one connection that stays."""
    with Scene(chatd, folder) as scene:
        scene.start().wait_until_up()
        listener = scene.guest(scene.lan.host(), "Listener")
        scene.meanwhile(flood_by_reconnecting, scene.lan.host(), "Flood")
        time.sleep(5)  # the burst is used up by then
        before, start = listener.received, now()
        time.sleep(seconds - 5)
        seen = (listener.received - before) / (now() - start)
        report.promise("what a listener is sent by a flood that reconnects stays below 1.3 times --byte-rate",
                       f"{seen / 1024:.0f} KiB/s of {rate >> 10}", seen < 1.3 * rate)
