"""Reads of a 64-bit little-endian shared library what Android's linker would: segments, symbols, needs, its API level.

Layouts: elf.h of the System V ABI; the note is Android's (bionic, ``crtbrand.S``).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from convert.errors import ArtifactError

_LOAD, _DYNAMIC, _NOTE = 1, 2, 4
_NEEDED, _STRTAB, _SYMTAB, _SONAME = 1, 5, 6, 14
_SHT_DYNSYM = 11
MACHINES = {183: "arm64-v8a", 62: "x86_64"}


@dataclass(frozen=True)
class Library:
    """A shared library.

    Attributes:
        abi: Android's name of the processor.
        soname: its own name, empty where it has none.
        needed: libraries it asks for.
        exports, imports: names of dynamic symbols, defined here and elsewhere; weak imports are left out.
        alignments: of its loadable segments, in bytes.
        api_level: the lowest Android that it was built for; None where it does not say.
    """

    abi: str
    soname: str
    needed: tuple[str, ...]
    exports: frozenset[str]
    imports: frozenset[str]
    alignments: tuple[int, ...]
    api_level: int | None


def read(path: Path) -> Library:
    """What the dynamic linker sees.

    Raises:
        ArtifactError: no 64-bit little-endian ELF for a processor of Android's, or damaged.
    """
    try:
        return _parse(path.read_bytes())
    except (struct.error, ValueError, KeyError, IndexError) as error:
        raise ArtifactError(f"read {path.name}", f"no such shared library ({error!r})", "Build it again") from error


def _parse(data: bytes) -> Library:
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    machine = struct.unpack_from("<H", data, 18)[0]
    headers, sections = struct.unpack_from("<QQ", data, 32)
    size, count, section_size, section_count = struct.unpack_from("<4H", data, 54)
    segments = [struct.unpack_from("<2I6Q", data, headers + i * size) for i in range(count)]

    dynamic: list[tuple[int, int]] = []
    level = None
    for kind, _, offset, _, _, length, _, _ in segments:
        if kind == _DYNAMIC:
            dynamic = [struct.unpack_from("<2Q", data, offset + at) for at in range(0, length, 16)]
        elif kind == _NOTE:
            level = _api_level(data[offset : offset + length]) or level
    values = dict(dynamic)
    loads = [segment for segment in segments if segment[0] == _LOAD]
    strings = _at(loads, values[_STRTAB])

    # The section table is read for one number alone: how many symbols there are.
    exports, imports = set(), set()
    for i in range(section_count):
        _, kind, _, _, offset, length = struct.unpack_from("<2I4Q", data, sections + i * section_size)
        if kind != _SHT_DYNSYM:
            continue
        for at in range(offset + 24, offset + length, 24):
            name, info, _, section = struct.unpack_from("<I2BH", data, at)
            text = _text(data, strings + name)
            if section:
                exports.add(text)
            elif info >> 4 != 2:  # STB_WEAK
                imports.add(text)
    return Library(
        abi=MACHINES[machine],
        soname=_text(data, strings + values[_SONAME]) if _SONAME in values else "",
        needed=tuple(_text(data, strings + value) for tag, value in dynamic if tag == _NEEDED),
        exports=frozenset(exports),
        imports=frozenset(imports),
        alignments=tuple(segment[7] for segment in loads),
        api_level=level,
    )


def _at(loads: list[tuple[int, ...]], address: int) -> int:
    for _, _, offset, virtual, _, length, _, _ in loads:
        if virtual <= address < virtual + length:
            return offset + address - virtual
    raise ValueError("an address outside of all segments")


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()


def _api_level(notes: bytes) -> int | None:
    at = 0
    while at + 12 <= len(notes):
        name, length, kind = struct.unpack_from("<3I", notes, at)
        owner = notes[at + 12 : at + 12 + name]
        body = at + 12 + (name + 3) // 4 * 4
        if owner == b"Android\0" and kind == 1:
            return int(struct.unpack_from("<I", notes, body)[0])
        at = body + (length + 3) // 4 * 4
    return None
