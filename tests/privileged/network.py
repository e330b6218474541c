"""Hosts and cables: network namespaces, and the links between them.

A namespace here has no name. It is held by a descriptor, and lives as long as that and the sockets and processes in
it: when the script ends, however it ends, the kernel takes everything away. Any number of runs fit side by side.
"""

import contextlib
import ctypes
import fcntl
import os
import struct
import subprocess
import sys
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000

# Long enough for any of the small programs called here, on a busy machine.
PATIENCE = 30

_libc = ctypes.CDLL(None, use_errno=True)
_home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Missing(Exception):
    """What this machine lacks for the tests, or for one of them."""


def _call(function, *arguments):
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function.__name__}: {os.strerror(number)}")


def leave_mounts():
    """Gives this process mounts of its own: what is mounted from now on, nobody else sees, and it goes with us."""
    _call(_libc.unshare, CLONE_NEWNS)
    run("mount", "--make-rprivate", "/")


def run(*command):
    """Runs a small program to its end."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stdout.decode(errors='replace').strip()}")


class Host:
    """A machine: a network namespace, with whatever is plugged into it."""

    def __init__(self):
        _call(_libc.unshare, CLONE_NEWNET)  # of this thread alone
        try:
            self._namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            _call(_libc.setns, _home, CLONE_NEWNET)
        self.run("ip", "link", "set", "lo", "up")

    @contextlib.contextmanager
    def inside(self):
        """Sockets opened and programs started in this context belong to the host."""
        _call(_libc.setns, self._namespace, CLONE_NEWNET)
        try:
            yield
        finally:
            _call(_libc.setns, _home, CLONE_NEWNET)

    def run(self, *command):
        """Runs a small program on the host."""
        with self.inside():
            run(*command)

    def set(self, name, value):
        """Sets one of the kernel's settings for the host, as sysctl does."""
        # Opened in a namespace, the file is that namespace's.
        with self.inside(), open("/proc/sys/" + name.replace(".", "/"), "w") as setting:
            setting.write(f"{value}\n")

    @property
    def handle(self):
        """What `ip` takes as the name of the namespace."""
        return f"/proc/{os.getpid()}/fd/{self._namespace}"

    def close(self):
        """Lets go of the namespace; the last to do so ends it."""
        os.close(self._namespace)


class Lan:
    """A switch, the server's host, and a cable from the switch to each further host.

    The switch is a bridge inside the server's namespace: taking a port down is pulling a cable, and neither side is
    told by a packet.
    """

    ADDRESS, ADDRESS6 = "10.77.0.1", "fd77::1"

    def __init__(self):
        self.server = Host()
        self._hosts = [self.server]
        self._wires = []
        self._cables = 0
        # Nobody asks for multicast here, and without snooping IPv6 needs no time to settle.
        self.server.run("ip", "link", "add", "lan", "type", "bridge", "mcast_snooping", "0")
        _configure(self.server, "lan", 1)

    def host(self):
        """A further host, plugged in."""
        host = self._new_host()
        self.server.run(
            "ip", "link", "add", host.port, "type", "veth", "peer", "name", "eth0", "netns", host.handle
        )
        self._plug(host)
        return host

    def host_behind_wire(self, **wire):
        """A further host whose cable is a program that delays and loses packets; see wire.py."""
        host = self._new_host()
        near, far = _tap(self.server, host.port), _tap(host, "eth0")
        options = [f"--{name.replace('_', '-')}={value}" for name, value in wire.items()]
        script = Path(__file__).with_name("wire.py")
        self._wires.append(subprocess.Popen(
            [sys.executable, str(script), str(near), str(far), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(near, far)
        ))
        os.close(near)
        os.close(far)
        self._plug(host)
        return host

    def _new_host(self):
        host = CabledHost(self)
        self._hosts.append(host)
        self._cables += 1
        host.port, host.number = f"port{self._cables}", self._cables + 1
        return host

    def _plug(self, host):
        self.server.run("ip", "link", "set", host.port, "master", "lan", "up")
        _configure(host, "eth0", host.number)

    def end_wires(self):
        """Ends the wires, and returns what they counted."""
        counts = []
        for wire in self._wires:
            with contextlib.suppress(subprocess.TimeoutExpired, OSError):
                counts.append(wire.communicate(timeout=5)[0].decode().strip())  # its input's end ends it
            wire.kill()
            wire.wait()
        self._wires = []
        return counts

    def close(self):
        """Ends all of it."""
        self.end_wires()
        for host in self._hosts:
            host.close()
        self._hosts = []


class CabledHost(Host):
    """A host with a cable to the switch."""

    def __init__(self, lan):
        super().__init__()
        self._lan = lan
        self.port = ""
        self.number = 0

    @property
    def address(self):
        """Its IPv4 address."""
        return f"10.77.0.{self.number}"

    @property
    def address6(self):
        """Its IPv6 address."""
        return f"fd77::{self.number:x}"

    def pull_cable(self):
        """Cuts the host off, without a word to anybody."""
        self._lan.server.run("ip", "link", "set", self.port, "down")

    def plug_in(self):
        """Gives the host its cable back."""
        self._lan.server.run("ip", "link", "set", self.port, "up")

    def slow_down(self, mbit, queue_ms=300):
        """Makes the cable carry so much a second each way, with a queue before it that drops what it can't hold."""
        # A real cable carries packets, not the 64 KiB that the kernel passes on in one piece where it can.
        self._lan.server.run("ip", "link", "set", "lan", "gso_max_segs", "1")
        queue = max(int(mbit * 1e6 / 8 * queue_ms / 1e3), 20_000)
        for host, device in ((self._lan.server, self.port), (self, "eth0")):
            host.run(
                "tc", "qdisc", "add", "dev", device, "root", "tbf",
                "rate", f"{mbit}mbit", "burst", "5000", "limit", str(queue)
            )


def _configure(host, device, number):
    host.run("ip", "address", "add", f"10.77.0.{number}/24", "dev", device)
    with contextlib.suppress(OSError):  # a kernel may come without IPv6
        host.run("ip", "address", "add", f"fd77::{number:x}/64", "dev", device, "nodad")
    host.run("ip", "link", "set", device, "up")


def _tap(host, name):
    """A network device of the host whose other end is the descriptor returned."""
    TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
    try:
        with host.inside():  # the descriptor, too, remembers where it was opened
            tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    except OSError as error:
        raise Missing(f"a cable that loses packets needs /dev/net/tun: {error.strerror}") from error
    return tap


def check_machine():
    """Finds out in the first second what would fail later."""
    if os.geteuid() != 0:
        raise Missing("these tests must run as root")
    try:
        run("ip", "-V")
        run("tc", "-V")
    except OSError as error:
        raise Missing(f"these tests need ip and tc, the package iproute2: {error}") from error
    try:
        leave_mounts()
        lan = Lan()
    except OSError as error:
        raise Missing(f"this machine lets us make no namespaces or network devices: {error}") from error
    try:
        lan.host().slow_down(1)
    except OSError as error:
        raise Missing(f"this machine lets us make no slow link (veth and tc's tbf): {error}") from error
    finally:
        lan.close()
