#!/usr/bin/env python3
"""Writes the licenses of all packages that are built into chatd, on any system, to standard output. Most demand that
their text goes along with a program that has them inside."""
import json
import subprocess
import sys
from pathlib import Path


def packages():
    """The packages that chatd needs to run or to be built: the tests' are left out."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    metadata = json.loads(subprocess.check_output(command))
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found, waiting = set(), [metadata["resolve"]["root"]]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            for dependency in nodes[node]["deps"]:
                if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                    waiting.append(dependency["pkg"])
    found.remove(metadata["resolve"]["root"])
    return sorted((p for p in metadata["packages"] if p["id"] in found), key=lambda p: (p["name"], p["version"]))


def texts(folder):
    """The texts of licenses in a package's folder, and in that of the C library it brings."""
    names = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE")
    for place in (folder, folder / "openssl"):
        for path in sorted(place.glob("*")):
            if path.is_file() and path.name.upper().startswith(names):
                yield path.read_text(encoding="utf-8", errors="replace").strip()


def main():
    users = {}
    print("\n\nchatd contains these packages.\n")
    for package in packages():
        name = f"{package['name']} {package['version']}"
        print(f"  {name}: {package['license']}")
        for text in texts(Path(package["manifest_path"]).parent):
            users.setdefault(text, []).append(name)
    print("\nThe programs also contain Rust's standard library (MIT or Apache-2.0) and parts of the compilers' libraries")
    print("(GPL-3.0 with the GCC Runtime Library Exception); those for Linux the GNU C Library (LGPL-2.1-or-later), whose")
    print("source is in Debian's package glibc; that for Windows parts of mingw-w64 (ZPL-2.1). The texts follow.")
    for text, names in users.items():
        print(f"\n{'-' * 100}\n{', '.join(names)}\n\n{text}")


if __name__ == "__main__":
    sys.exit(main())
