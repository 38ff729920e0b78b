"""Shared libraries as Android's linker sees them, and what is said of files that are none or are damaged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from convert.apk import elf
from convert.errors import ArtifactError
from tests.support.android.elf_file import GLOBAL, RISCV, WEAK, X86_64, library

SYMBOLS = [("made", GLOBAL, True), ("old", WEAK, True), ("malloc", GLOBAL, False), ("perhaps", WEAK, False)]
GOOD = library(SYMBOLS)
WHOLE = elf.Library(
    abi="arm64-v8a",
    soname="libtoy.so",
    needed=("libc.so",),
    exports=frozenset({"made", "old"}),
    imports=frozenset({"malloc"}),
    alignments=(16384,),
    api_level=24,
)


def read(folder: Path, data: bytes) -> elf.Library | str:
    """What is read of the file; or the one line of its refusal."""
    path = folder / "libtoy.so"
    path.write_bytes(data)
    try:
        return elf.read(path)
    except ArtifactError as error:
        line = str(error)
        assert line.startswith("read libtoy.so: it is no whole shared library (")
        assert line.endswith("). Build it again")
        assert "\n" not in line
        assert len(line) < 260
        return line


def changed(at: int, new: bytes) -> bytes:
    return GOOD[:at] + new + GOOD[at + len(new) :]


def test_a_library_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD) == WHOLE
    other = read(tmp_path, library(machine=X86_64, soname="x", needed=("b", "a"), level=21, alignment=4096))
    assert other == elf.Library("x86_64", "x", ("b", "a"), frozenset(), frozenset(), (4096,), 21)


@pytest.mark.parametrize(("after", "new"), [(0, b"Anybody\0"), (-8, b"\2"), (-4, b"\4")])
def test_a_note_of_somebody_else_of_another_kind_or_too_short_says_no_api_level(
    tmp_path: Path, after: int, new: bytes
) -> None:
    found = read(tmp_path, changed(GOOD.index(b"Android\0") + after, new))
    assert isinstance(found, elf.Library)
    assert found.api_level is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a 64-bit little-endian ELF file"),
        (b"#!/bin/sh\n", "not a 64-bit little-endian ELF file"),
        (changed(4, b"\1"), "not a 64-bit little-endian ELF file"),
        (changed(5, b"\2"), "not a 64-bit little-endian ELF file"),
        (library(machine=RISCV), "KeyError: 'EM_RISCV'"),
        (GOOD[:-1], "ELFParseError: expected 8, found 7"),
        (changed(64 + 32, (1 << 40).to_bytes(8, "little")), "a segment ends behind the file"),
        (changed(64 + 56, b"\7"), "0 dynamic segments and 1 tables of symbols"),
        (changed(len(GOOD) - 3 * 64 + 4, b"\1"), "1 dynamic segments and 0 tables of symbols"),
        (changed(len(GOOD) - 2 * 64 + 24, b"\1\1"), "segments and sections differ about where its symbols are"),
        (changed(GOOD.index(b"made\0"), b"\xff"), "as a name"),
        (changed(GOOD.index(b"made\0"), b"\0"), "'' as a name"),
        (changed(GOOD.index(b"libc.so\0"), b"\xff"), "as a name"),
        (library(soname="z" + "y" * 400).replace(b"zyyy", b"\xffyyy"), "'\ufffdyyyyyyyy"),
    ],
)
def test_a_file_that_is_no_library_or_a_damaged_one_is_refused_in_one_line(
    tmp_path: Path, data: bytes, said: str
) -> None:
    found = read(tmp_path, data)
    assert isinstance(found, str)
    assert said in found


def test_no_beginning_of_a_library_is_taken_for_one(tmp_path: Path) -> None:
    assert [length for length in range(len(GOOD)) if not isinstance(read(tmp_path, GOOD[:length]), str)] == []


def test_a_damaged_library_is_read_or_refused_in_one_line_and_nothing_else_happens(tmp_path: Path) -> None:
    taken, refused = 0, set()
    for seed in range(400):
        draw = random.Random(seed)
        data = bytearray(GOOD)
        for _ in range(draw.randint(1, 3)):
            width = draw.choice((1, 2, 4, 8))
            at = draw.randrange(len(data) - width)
            number = draw.choice((0, len(data), 1 << (8 * width - 1), (1 << 8 * width) - 1, draw.getrandbits(64)))
            data[at : at + width] = (number % (1 << 8 * width)).to_bytes(width, "little")
        found = read(tmp_path, bytes(data))
        if isinstance(found, str):
            refused.add(found.partition("(")[2].partition(":")[0])
        else:
            taken += 1
            assert found.abi in elf.MACHINES.values()
            assert all((*found.exports, *found.imports, *found.needed))
    assert taken > 50  # damage where nobody reads
    assert len(refused) > 5  # kinds of exceptions, each of which would have been a traceback
