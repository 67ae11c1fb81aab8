"""Adds files to an APK that aapt2 linked: pack_apk.py BASE.apk OUT.apk NAME=FILE ..

Libraries and what is stored in the base stay uncompressed, libraries from a multiple of 16 KiB on and assets of a multiple of 4, as
`zipalign -P 16 4` would have it.
"""

import struct
import sys
import zipfile

PAGE = 16384
KEEPS_ALIGNMENT = 0xD935  # the extra field by which apksigner knows it

base, out, *added = sys.argv[1:]
with zipfile.ZipFile(base) as old, zipfile.ZipFile(out, "w") as new:
    entries = [(entry.filename, entry.compress_type == zipfile.ZIP_STORED, old.read(entry)) for entry in old.infolist()]
    for name, _, path in (pair.partition("=") for pair in added):
        with open(path, "rb") as file:
            entries.append((name, name.endswith(".so"), file.read()))
    for name, stored, content in entries:
        entry = zipfile.ZipInfo(name, (1981, 1, 1, 1, 1, 2))
        entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
        if stored:
            multiple = PAGE if name.endswith(".so") else 4
            begins = new.fp.tell() + 30 + len(name.encode()) + 6
            padding = -begins % multiple
            entry.extra = struct.pack("<HHH", KEEPS_ALIGNMENT, 2 + padding, multiple) + bytes(padding)
        new.writestr(entry, content)
