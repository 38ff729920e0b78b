"""Reads of a shared library what Android's linker would: its segments, symbols, needs and API level.

pyelftools parses the file. It reads beyond damage where it can, so that the file is whole and for a processor of
Android's is looked after here. The note is Android's (bionic, ``crtbrand.S``).
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path

from convert.errors import ArtifactError

MACHINES = {"EM_AARCH64": "arm64-v8a", "EM_X86_64": "x86_64"}
_LEVEL = "NT_GNU_ABI_TAG"  # pyelftools' word for the number 1, which is another thing in a note of Android's


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
    except Exception as error:  # of a damaged file pyelftools raises whatever its code runs into
        said = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise ArtifactError(f"read {path.name}", f"it is no whole shared library ({said})", "Build it again") from error


def _parse(data: bytes) -> Library:
    from elftools.elf.dynamic import DynamicSegment
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection
    from elftools.elf.segments import NoteSegment

    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    elf = ELFFile(BytesIO(data))
    segments = list(elf.iter_segments())
    if any(segment["p_offset"] + segment["p_filesz"] > len(data) for segment in segments):
        raise ValueError("a segment ends behind the file")
    dynamics = [segment for segment in segments if isinstance(segment, DynamicSegment)]
    tables = list(elf.iter_sections("SHT_DYNSYM"))
    if len(dynamics) != 1 or len(tables) != 1:
        raise ValueError(f"{len(dynamics)} dynamic segments and {len(tables)} tables of symbols instead of one each")
    # pyelftools finds a symbol by the sections six times faster than by the segments, which are what a linker goes by.
    (dynamic,), (table,) = dynamics, tables
    assert isinstance(table, SymbolTableSection)
    places = [dynamic.get_table_offset(tag)[1] for tag in ("DT_SYMTAB", "DT_STRTAB")]
    if places != [table["sh_offset"], table.stringtable["sh_offset"]]:
        raise ValueError("segments and sections differ about where its symbols are")
    exports, imports = set(), set()
    for symbol in islice(table.iter_symbols(), 1, None):  # the first one is nobody's
        name = _read(symbol.name)
        if symbol["st_shndx"] != "SHN_UNDEF":
            exports.add(name)
        elif symbol["st_info"]["bind"] != "STB_WEAK":
            imports.add(name)
    levels = [
        int.from_bytes(note["n_descdata"][:4], "little")
        for segment in segments
        if isinstance(segment, NoteSegment)
        for note in segment.iter_notes()
        if (note["n_name"], note["n_type"]) == ("Android", _LEVEL) and len(note["n_descdata"]) >= 4
    ]
    return Library(
        abi=MACHINES[elf["e_machine"]],
        soname=next((_read(vars(tag)["soname"]) for tag in dynamic.iter_tags("DT_SONAME")), ""),
        needed=tuple(_read(vars(tag)["needed"]) for tag in dynamic.iter_tags("DT_NEEDED")),
        exports=frozenset(exports),
        imports=frozenset(imports),
        alignments=tuple(segment["p_align"] for segment in segments if segment["p_type"] == "PT_LOAD"),
        api_level=levels[0] if levels else None,
    )


def _read(name: str) -> str:
    """A name; none is empty or has what pyelftools puts in place of bytes that are no UTF-8."""
    if not name or "\ufffd" in name:
        raise ValueError(f"{name!r} as a name")
    return name
