#!/usr/bin/env python3
"""zip.py ARCHIVE FOLDER: packs what is in FOLDER, always to the same bytes: sorted, every file with the time in
SOURCE_DATE_EPOCH."""
import os
import sys
import time
import zipfile
from pathlib import Path


def main(archive, folder):
    when = time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))[:6]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), when)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, which alone knows permissions
            entry.external_attr = (0o100755 if path.suffix in (".exe", ".py") else 0o100644) << 16
            packed.writestr(entry, path.read_bytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
