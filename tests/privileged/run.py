#!/usr/bin/env python3
"""The fault tests that need privilege: cables that are pulled, slow and lossy links, many addresses, full disks.

    sudo tests/privileged/run.py [--chatd PATH] [--only NAME] [--list]

Needs root on Linux, iproute2 (ip and tc), Python 3.8, and a chatd: by default target/debug/chatd, or else the one
in target/release. The server runs on a host of its own, a network namespace, and its clients on others; a bridge and
veths connect them. Each case prints what is promised, and what was seen:

    ok     31 for a plain client whose host vanished, within 6 s: 5.27 s
    BROKEN what did not hold, which makes the run fail
           a figure that nothing is promised about: 0.1 s

Cases that mostly wait run side by side; those that measure run alone, afterwards. The limits are generous: a slow
machine makes the figures worse, not the promises broken. What takes longer, and promises nothing, runs by --only.

Exit status: 0 all promises kept; 1 one broken; 2 no chatd to test; 77 the machine lacks something (one sentence says
what), so that everything, or the case named, was skipped.

It leaves nothing behind. Namespaces have no names, mounts are private to the process, and the servers are told to end
with it: all that goes however the script ends. Only after kill -9 a folder stays in the temporary one.
Several runs fit side by side.

| file | what it holds |
| --- | --- |
| run.py | the list of cases, and what they print |
| network.py | hosts and cables |
| wire.py | a cable that loses packets |
| chat.py | the server, clients, and promises 1 to 3 checked on what they heard |
| vanishing.py | hosts that vanish, and come back |
| links.py | floods, and classes behind slow and lossy links |
| addresses.py | limits by address |
| disk.py | disks that are full or read-only |
"""

import argparse
import functools
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

sys.dont_write_bytecode = True

import addresses  # noqa: E402
import disk  # noqa: E402
import links  # noqa: E402
import vanishing  # noqa: E402
from chat import Broken, Server  # noqa: E402
from network import Missing, check_machine  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = 77

# Those that mostly wait, so that they can run side by side.
WAITING = {
    "vanish-idle": functools.partial(vanishing.vanish, heartbeat=3.0),
    "vanish-busy": functools.partial(vanishing.vanish, heartbeat=3.0, busy=True),
    "vanish-forgotten": functools.partial(vanishing.vanish, heartbeat=8.0, busy=True, forgotten=True),
    "vanish-idle-default": vanishing.vanish,
    "vanish-busy-default": functools.partial(vanishing.vanish, busy=True),
    "vanish-idle-short-dead-after": functools.partial(vanishing.vanish, heartbeat=3.0, dead_after=0.5),
    "dead-after-too-long": vanishing.dead_after_too_long,
    "come-back": vanishing.come_back,
    "come-back-rto-max": functools.partial(vanishing.come_back, rto_max_ms=2000),
    "same-name": vanishing.return_under_the_same_name,
    "addresses": addresses.limit_by_address,
    "budget": addresses.budget_of_address,
    "interfaces": addresses.interfaces,
    "full-disk": disk.full,
    "full-disk-start": disk.full_at_start,
    "read-only-start": disk.read_only_at_start,
    "read-only-while-running": disk.read_only_while_running,
}
# Those that measure, one after another.
MEASURING = {
    "flood-small": functools.partial(links.flood_behind_link, size=0),
    "flood-large": functools.partial(links.flood_behind_link, size=links.LARGEST),
    "reconnect": addresses.reconnect,
    "flood-crowd": functools.partial(links.crowd_of_flooders, addresses=16, parallel=8, seconds=30),
    "loss": links.loss,
    "slow-tls": links.slow_tls_client,
}
# Those that promise nothing, by --only.
EXPERIMENTS = {
    "capacity": links.capacity,
    "flood-crowd-1": functools.partial(links.crowd_of_flooders, addresses=1),
    "flood-crowd-4": functools.partial(links.crowd_of_flooders, addresses=4),
    "flood-crowd-16": functools.partial(links.crowd_of_flooders, addresses=16),
    "flood-parallel-4": functools.partial(links.crowd_of_flooders, addresses=4, parallel=40),
}
CASES = {**WAITING, **MEASURING, **EXPERIMENTS}


class Report:
    """What one case has to say, printed in one piece when it is over."""

    def __init__(self, name):
        self.name = name
        self.lines = []
        self.is_broken = False
        self.lacks = None

    def promise(self, what, figure, is_kept):
        """Something promised, and what was seen."""
        self.is_broken |= not is_kept
        self._add("ok" if is_kept else "BROKEN", what, figure)

    def figure(self, what, figure):
        """Something seen that nothing is promised about."""
        self._add("", what, figure)

    def lack(self, what):
        """Something that can't be tested on this machine."""
        self.lacks = what
        self._add("skip", str(what), "")

    def _add(self, mark, what, figure):
        self.lines.append(f"  {mark:6} {what}{': ' if figure else ''}{figure}")

    def run(self, case, chatd, folder):
        """Runs the case to its end, whatever that is, and prints."""
        start = time.monotonic()
        folder.mkdir()
        try:
            case(self, chatd, folder)
        except Missing as lack:
            self.lack(lack)
        except Broken as broken:
            self.promise(str(broken), "", False)
        except Exception:  # a mistake in the case must not keep the others from running
            self.promise(traceback.format_exc(), "", False)
        text = "\n".join([f"\n{self.name} ({time.monotonic() - start:.0f} s)", *self.lines])
        print(text, flush=True)


def run_all(names, chatd, folder):
    """Runs the cases and returns the exit status."""
    reports = [Report(name) for name in names]
    beside, alone = ([report for report in reports if (report.name in WAITING) == waits] for waits in (True, False))
    threads = [
        threading.Thread(target=report.run, args=(CASES[report.name], chatd, folder / report.name), daemon=True)
        for report in beside
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for report in alone:
        report.run(CASES[report.name], chatd, folder / report.name)
    broken = [report.name for report in reports if report.is_broken]
    lacking = [report.name for report in reports if report.lacks]
    print(f"\n{len(reports)} cases; broken: {', '.join(broken) or 'none'}; skipped: {', '.join(lacking) or 'none'}")
    return 1 if broken else SKIPPED if lacking else 0


def find_chatd(given):
    """The program to test."""
    candidates = [Path(given)] if given else [ROOT / "target" / kind / "chatd" for kind in ("debug", "release")]
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return candidate.resolve()
    print(f"there is no {' and no '.join(map(str, candidates))}; run cargo build, or give --chatd", file=sys.stderr)
    sys.exit(2)


def interrupt(*_):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chatd", metavar="PATH", help="the program to test")
    parser.add_argument("--only", metavar="NAME", choices=CASES, action="append", help="one case; may be repeated")
    parser.add_argument("--list", action="store_true", help="print the names of all cases")
    options = parser.parse_args()
    if options.list:
        for name in CASES:
            print(name + (" (by --only)" if name in EXPERIMENTS else ""))
        return 0
    chatd = find_chatd(options.chatd)
    try:
        check_machine()
    except Missing as lack:
        print(f"skipped: {lack}", file=sys.stderr)
        return SKIPPED

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    folder = Path(tempfile.mkdtemp(prefix=f"chatd-privileged-{os.getpid()}-"))
    try:
        return run_all(options.only or [*WAITING, *MEASURING], chatd, folder)
    except KeyboardInterrupt:
        # The cases' threads may be anywhere; they end with the process, below.
        return 130
    finally:
        for process in list(Server.running):
            process.kill()
        disk.unmount_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
