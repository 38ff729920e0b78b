"""Writes a small shared library by hand (System V ABI, elf.h): one segment over the whole file, four sections.

Its symbols are in ``.dynsym`` and ``.dynstr``, its needs in ``.dynamic``, its API level in Android's note.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

GLOBAL, WEAK = 1, 2
ARM64, X86_64, RISCV = 183, 62, 243
_ALIGNED = 8


def library(
    symbols: Sequence[tuple[str, int, bool]] = (),
    *,
    machine: int = ARM64,
    soname: str = "libtoy.so",
    needed: Sequence[str] = ("libc.so",),
    level: int = 24,
    alignment: int = 16384,
) -> bytes:
    """The file. A symbol is its name, ``GLOBAL`` or ``WEAK``, and whether it is defined here."""
    strings = bytearray(b"\0")

    def text(name: str) -> int:
        begin = len(strings)
        strings.extend(name.encode() + b"\0")
        return begin

    tags = [*((1, text(name)) for name in needed), (14, text(soname))]
    rows = [struct.pack("<I2BHQQ", text(name), bind << 4 | 2, 0, here, 0, 0) for name, bind, here in symbols]
    symtab = bytes(24) + b"".join(rows)
    note = struct.pack("<3I8sI", 8, 4, 1, b"Android\0", level)
    headers = 64 + 3 * 56
    at_strings = headers + len(symtab)
    at_note = _up(at_strings + len(strings))
    at_tags = _up(at_note + len(note))
    tags += [(5, at_strings), (6, headers), (10, len(strings)), (11, 24), (0, 0)]
    dynamic = b"".join(struct.pack("<2Q", *tag) for tag in tags)
    at_sections = at_tags + len(dynamic)
    size = at_sections + 4 * 64
    ident = b"\x7fELF\x02\x01\x01"
    header = struct.pack("<16s2HI3QI6H", ident, 3, machine, 1, 0, 64, at_sections, 0, 64, 56, 3, 64, 4, 0)
    parts = {0: header, headers: symtab, at_strings: strings, at_note: note, at_tags: dynamic}
    segments = ((1, 0, size, alignment), (2, at_tags, len(dynamic), 8), (4, at_note, len(note), 4))
    for i, (kind, begin, length, aligned) in enumerate(segments):
        parts[64 + 56 * i] = struct.pack("<2I6Q", kind, 4, begin, begin, begin, length, length, aligned)
    sections = (
        (0, 0, 0, 0, 0),
        (11, headers, len(symtab), 2, 24),
        (3, at_strings, len(strings), 0, 0),
        (6, at_tags, len(dynamic), 2, 16),
    )
    for i, (kind, begin, length, link, width) in enumerate(sections):
        parts[at_sections + 64 * i] = struct.pack("<2I4Q2I2Q", 0, kind, 2, begin, begin, length, link, 1, 8, width)
    out = bytearray(size)
    for begin, part in parts.items():
        out[begin : begin + len(part)] = part
    return bytes(out)


def _up(position: int) -> int:
    return -(-position // _ALIGNED) * _ALIGNED
