"""The APK as an archive: sorted, stored, aligned, without times. APKs differ from other ZIP files by alignment alone.

Everything is stored: the engine and the model must be, because they are mapped into memory, and of the rest deflating
would save some kilobytes and let the version of zlib into the bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

from convert.apk.native import PAGE

_ALIGNMENT = 0xD935  # extra field of Android's tools: the alignment, then zeros (ApkSigner.java)
_WORD = 4
_DATE = 0x0021  # 1980-01-01, the earliest there is
_VERSION = 10


def write(files: Mapping[str, bytes | Path], out: Path) -> None:
    """Writes files by their names in the archive; ``.so`` at offsets of 16 kB, everything else of 4 bytes.

    Raises:
        ValueError: two names that differ by case alone, or a file beyond what a ZIP without extensions can hold.
    """
    if len({name.casefold() for name in files}) != len(files):
        raise ValueError("two names differ by case alone")
    directory = []
    with out.open("wb") as archive:
        for name, source in sorted(files.items()):
            data = source.read_bytes() if isinstance(source, Path) else source
            at, path = archive.tell(), name.encode("ascii")
            align = PAGE if name.endswith(".so") else _WORD
            start = at + 30 + len(path) + 6
            extra = struct.pack("<HHH", _ALIGNMENT, 2 + -start % align, align) + bytes(-start % align)
            sizes = struct.pack("<3I", zlib.crc32(data), len(data), len(data))
            common = struct.pack("<4H", 0, 0, 0, _DATE) + sizes + struct.pack("<2H", len(path), len(extra))
            archive.write(b"PK\x03\x04" + struct.pack("<H", _VERSION) + common + path + extra + data)
            directory.append((at, common[:-2], path))
        at = archive.tell()
        for offset, common, path in directory:
            rest = struct.pack("<4HII", 0, 0, 0, 0, 0, offset)
            archive.write(b"PK\x01\x02" + struct.pack("<2H", _VERSION, _VERSION) + common + rest + path)
        size, count = archive.tell() - at, len(directory)
        archive.write(b"PK\x05\x06" + struct.pack("<4HIIH", 0, 0, count, count, size, at, 0))
