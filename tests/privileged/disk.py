"""Disks that are full, read-only, or turn so while the server runs."""

import contextlib
import os
import subprocess
from pathlib import Path

from chat import Broken, Scene
from network import Missing, run

PASSWORD = "secret"


def mount(folder, *arguments):
    """Mounts something at a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    run("mount", *arguments, str(folder))
    return folder


def unmount_below(folder):
    """Unmounts all that stands below a folder, whatever still uses it."""
    places = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in sorted(places, reverse=True):
        if place.startswith(f"{folder}/"):
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                run("umount", "--lazy", place)


def small_disk(folder):
    """A disk of 64 KiB."""
    return mount(folder / "data", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs")


def fill(disk):
    """Writes until nothing more fits; returns the file that takes the room."""
    filler = disk / "filler"
    with open(filler, "ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1024))
    return filler


def register(client, *names):
    """Registers names, which must succeed."""
    for name in names:
        reply = client.register(name, PASSWORD)
        if reply["Flag"] != 1:
            raise Broken(f"{name} could not be registered: {reply['Message']}")


def may_log_in(scene, host, names):
    """Which of the names can log in with their password."""
    able = []
    for name in names:
        client = scene.client(host, name)
        if client.ask_login(PASSWORD)["Flag"] == 1:
            able.append(name)
        client.close()
    return able


def check_chat(report, scene, watcher, host, when):
    """A newcomer and the watcher hear each other."""
    guest = scene.guest(host, f"Guest{len(scene.clients)}")
    guest.say("can you hear me?")
    watcher.expect("32", Speaker=guest.name)
    watcher.say(f"yes, {guest.name}")
    guest.expect("32", Speaker=watcher.name)
    guest.close()
    report.promise(f"chat goes on, {when}", "heard each other", True)


def full(report, chatd, folder):
    """The disk fills up while the server runs; later there is room again."""
    disk = small_disk(folder)
    with Scene(chatd, folder) as scene:
        scene.start("--max-registrations", "0").wait_until_up()
        host = scene.lan.host()
        watcher, registrar = scene.guest(host, "Watcher"), scene.guest(host, "Registrar")
        acknowledged = ["Anna", "Bobby", "Charles"]
        register(registrar, *acknowledged)

        filler = fill(disk)
        # The file may still have room to be replaced a few times.
        refusal = None
        for number in range(40):
            reply = registrar.register(f"Late{number}", PASSWORD)
            if reply["Flag"] == 0:
                refusal = reply["Message"]
                break
            acknowledged.append(f"Late{number}")
        report.promise("a full disk: registering gets 12 with Flag 0 and a reason", str(refusal),
                       "cannot save" in str(refusal))
        refused = f"Late{number}"
        again = registrar.register(refused, PASSWORD)
        report.promise("again, and the connection stays open", again.get("Message", "registered"), again["Flag"] == 0)
        check_chat(report, scene, watcher, host, "on a full disk")
        able = may_log_in(scene, host, [*acknowledged, refused])
        report.promise("those acknowledged can log in, the one refused cannot", f"{len(able)} of {len(acknowledged)}",
                       able == acknowledged)

        filler.unlink()
        reply = registrar.register(refused, PASSWORD)
        report.promise("when there is room again, the same server registers again",
                       reply.get("Message", f"{refused} is registered"), reply["Flag"] == 1)
        acknowledged.append(refused)

        fill(disk)
        scene.server.kill()
        scene.start("--max-registrations", "0").wait_until_up()
        able = may_log_in(scene, host, acknowledged)
        report.promise("killed and started again on the full disk, all acknowledged can log in",
                       f"{len(able)} of {len(acknowledged)}", able == acknowledged)
        filler.unlink()
        reply = scene.client(host).register("Dora", PASSWORD)
        report.promise("and with room again it registers", reply.get("Message", "Dora is registered"),
                       reply["Flag"] == 1)


def full_at_start(report, chatd, folder):
    """The first start, on a disk that is full from the beginning."""
    disk = small_disk(folder)
    filler = fill(disk)
    with Scene(chatd, folder) as scene:
        status, words = scene.start().wait_for_failure()
        report.promise("a first start on a full disk says so, status 1", f"{status}: {_without(folder, words)}",
                       status == 1 and _tells_of_full(disk, words))
        left = [file for file in sorted(disk.iterdir()) if file != filler]
        report.figure("files it leaves", ", ".join(f"{file.name} ({file.stat().st_size} bytes)" for file in left))
        filler.unlink()
        scene.start().wait_until_up()
        guest = scene.client(scene.lan.host(), "Anna", tls=True)
        reply = guest.register("Anna", PASSWORD)
        report.promise("the next start, with room, works, TLS and registering too",
                       reply.get("Message", "Anna is registered"), reply["Flag"] == 1)

    # Room for the smaller of the two, the key, and not for the certificate.
    other = folder / "half"
    disk = small_disk(other)
    filler = fill(disk)
    os.truncate(filler, filler.stat().st_size - 4096)
    with Scene(chatd, other) as scene:
        status, words = scene.start().wait_for_failure()
        report.promise("a disk that has room for half of what is made first: the same",
                       f"{status}: {_without(other, words)}",
                       status == 1 and _tells_of_full(disk, words))
        filler.unlink()
        scene.start().wait_until_up()
        scene.guest(scene.lan.host(), "Anna", tls=True)
        report.promise("the next start works there, too", "Anna is online", True)


def _tells_of_full(disk, words):
    """Whether the words name the disk, what is wrong with it and what helps, and nothing that does not."""
    needed = ["No space left", str(disk), "make room", "--data-dir"]
    return all(word in words for word in needed) and "--no-tls" not in words


def read_only_at_start(report, chatd, folder):
    """The data folder can't be written to from the beginning."""
    disk = mount(folder / "data", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs")
    with Scene(chatd, folder) as scene:
        scene.start().wait_until_up()
        register(scene.client(scene.lan.host()), "Anna")
        scene.server.stop()
        run("mount", "-o", "remount,ro", str(disk))
        status, words = scene.start().wait_for_failure()
        report.promise("a start on a read-only data folder says so, status 1", f"{status}: {_without(folder, words)}",
                       status == 1 and "Read-only" in words and "--data-dir" in words)
        run("mount", "-o", "remount,rw", str(disk))
        scene.start().wait_until_up()
        able = may_log_in(scene, scene.lan.host(), ["Anna"])
        report.promise("nothing was lost by that", ", ".join(able), able == ["Anna"])

    # The folder above is the one that can't be written to.
    above = mount(folder / "above", "-t", "tmpfs", "-o", "size=1m,mode=700,ro", "tmpfs")
    with Scene(chatd, folder) as scene:
        status, words = scene.start(data=above / "data").wait_for_failure()
        report.promise("the same for a folder that can't be made", f"{status}: {_without(folder, words)}",
                       status == 1 and "Read-only" in words and "--data-dir" in words)


def read_only_while_running(report, chatd, folder):
    """The kernel finds an error in the file system and makes it read-only, as it does when a disk dies.

    A file system can't be remounted read-only while somebody has a file in it open for writing, so it takes a real
    one: ext4, on a file of a few MiB.
    """
    image = folder / "image"
    with open(image, "wb") as file:
        file.truncate(8 << 20)
    try:
        run("mkfs.ext4", "-q", "-F", str(image))
        disk = mount(folder / "data", "-o", "loop,errors=remount-ro", str(image))
    except OSError as error:
        raise Missing(f"this needs an ext4 file system on a loop device: {error}") from error
    with Scene(chatd, folder) as scene:
        scene.start("--max-registrations", "0").wait_until_up()
        host = scene.lan.host()
        watcher, registrar = scene.guest(host, "Watcher"), scene.guest(host, "Registrar")
        acknowledged = ["Anna", "Bobby"]
        register(registrar, *acknowledged)

        trigger = _error_trigger(disk)
        trigger.write_text("chatd test")
        replies = [registrar.register("Charles", PASSWORD) for _ in range(2)]
        report.promise("the disk turns read-only: registering gets 12 with Flag 0 and a reason",
                       replies[0].get("Message", "registered"),
                       all(reply["Flag"] == 0 and "cannot save" in reply["Message"] for reply in replies))
        report.figure("and the second time", replies[1].get("Message", "registered"))
        check_chat(report, scene, watcher, host, "on a read-only disk")
        able = may_log_in(scene, host, [*acknowledged, "Charles"])
        report.promise("those acknowledged can log in, the one refused cannot", ", ".join(able), able == acknowledged)

        scene.server.kill()
        run("umount", str(disk))
        mount(disk, "-o", "loop,errors=remount-ro", str(image))
        scene.start().wait_until_up()
        able = may_log_in(scene, host, [*acknowledged, "Charles"])
        report.promise("killed and started again on the mended disk, all acknowledged can log in", ", ".join(able),
                       able == acknowledged)


def _error_trigger(disk):
    """The file by which ext4 can be told to find an error, in the loop device mounted at `disk` and no other."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    devices = [device for device, place, *_ in mounts if place == str(disk)]
    if len(devices) != 1 or not devices[0].startswith("/dev/loop"):
        raise Missing(f"{disk} is not on a loop device: {devices}")
    trigger = Path("/sys/fs/ext4", Path(devices[0]).name, "trigger_fs_error")
    if not trigger.exists():
        raise Missing(f"this kernel has no {trigger}")
    return trigger


def _without(folder, words):
    """The words without the long path of the folder."""
    return words.replace(str(folder), "...")
