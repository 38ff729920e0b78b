"""Reads .safetensors files that nobody vouches for: every number in the header is checked before it is used.

Layout: 8 bytes little-endian length n, n bytes of JSON ``{name: {dtype, shape, data_offsets}}``, then the data without
holes or overlaps (https://github.com/huggingface/safetensors, README, "Format").

Rows are read with ``pread`` when they are asked for. A mapping would count the pages that were read as this process's
memory, and a file that shrinks under a mapping kills the process where a short read is a message.

Why our own: the ``safetensors`` package maps files, and takes one tensor's name twice; what it refuses is refused here.
"""

from __future__ import annotations

import math
import operator
import os
import re
import stat
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.checkpoint.strict_json import parse_object, read_object, shown
from convert.errors import CheckpointError

HEADER_LIMIT = 16 * 1024 * 1024
INDEX_LIMIT = 64 * 1024 * 1024
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_AGAIN = "Download the file again"
_SIZES = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2}
_SIZES |= {"I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8}
_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors")
_PART = "model-*-of-*.safetensors"  # as everybody's savers name them
_MAX_RANK, _MAX_DIM = 8, 1 << 40


class OpenFile:
    """A file that is open for positioned reads; closed when the last tensor that refers to it is gone."""

    def __init__(self, path: Path, asked: str) -> None:
        self.path, self.asked = path, asked
        try:
            regular = stat.S_ISREG(path.stat().st_mode)  # before opening: opening a pipe would wait for ever
            descriptor = os.open(path, os.O_RDONLY) if regular else -1
        except OSError as error:
            reason = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be opened: {error.strerror}"
            raise CheckpointError(asked, f"{path.name} {reason}", "Download the checkpoint again") from error
        if not regular:
            raise CheckpointError(asked, f"{path.name} is not a regular file", "Give the folder of the checkpoint")
        weakref.finalize(self, os.close, descriptor)
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read(self, offset: int, count: int) -> NDArray[np.uint8]:
        """``count`` bytes from ``offset``, as a new writable array."""
        out = np.empty(count, np.uint8)
        view = out.data
        done = 0
        while done < count:
            got = os.preadv(self._descriptor, [view[done : done + (1 << 30)]], offset + done)
            if got == 0:
                found = (
                    f"{self.path.name} ends at byte {offset + done:,}; it had {self.size:,} bytes when it was opened"
                )
                raise CheckpointError(self.asked, found, "Do not change the checkpoint while it is read")
            done += got
        return out


@dataclass(frozen=True)
class Tensor:
    """A stored tensor whose place in the file has been checked; its values have not been read.

    Attributes:
        offset: of its first byte from the start of the file.
        nbytes: its size, which equals the product of the shape times the size of the dtype.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: OpenFile
    offset: int
    nbytes: int

    @property
    def rows(self) -> int:
        """Length of the first dimension; 1 for a scalar."""
        return self.shape[0] if self.shape else 1

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        """Rows ``start:stop`` as bytes, ``uint8 [stop-start, bytes of a row]``.

        Raises:
            IndexError: the rows lie outside the tensor.
            CheckpointError: the file shrank since it was opened.
        """
        # Numbers of numpy's are taken as well; as they are, bytes of a large table would not fit their 32 bits.
        start, stop = operator.index(start), self.rows if stop is None else operator.index(stop)
        if not 0 <= start <= stop <= self.rows:
            raise IndexError(f"rows {start}:{stop} of {self.name}, which has {self.rows}")
        width = self.nbytes // self.rows if self.rows else 0
        data = self.file.read(self.offset + start * width, (stop - start) * width)
        return data.reshape(stop - start, width)

    def chunks(self, size: int = 4 << 20) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """All rows in order, about ``size`` bytes at a time, each with the number of its first row."""
        step = max(1, size * self.rows // max(1, self.nbytes))
        for start in range(0, self.rows, step):
            yield start, self.read(start, min(self.rows, start + step))


def read_file(path: Path, asked: str) -> dict[str, Tensor]:
    """Opens one .safetensors file: reads and checks its header, no values.

    Raises:
        CheckpointError: anything about the file is not as the format demands, named with what was found and expected.
    """
    file = OpenFile(path, asked)
    if file.size < 8:
        raise CheckpointError(asked, f"{path.name} has {file.size} bytes; the header's length alone takes 8", _AGAIN)
    length = int.from_bytes(file.read(0, 8).tobytes(), "little")
    if length > HEADER_LIMIT:
        found = f"{path.name} claims a header of {length:,} bytes; at most {HEADER_LIMIT:,} are read"
        raise CheckpointError(asked, found, _AGAIN)
    if 8 + length > file.size:
        found = f"{path.name} is truncated: {file.size:,} bytes found, {8 + length:,} expected for the header alone"
        raise CheckpointError(asked, found, _AGAIN)
    header = parse_object(file.read(8, length).tobytes(), f"the header of {path.name}", asked, _whole)
    _check_texts(header.pop("__metadata__", None), header, path.name, asked)
    places = {name: _place(name, entry, path.name, asked) for name, entry in header.items()}
    data = 8 + length
    at, last = 0, "the header"
    for name in sorted(places, key=lambda each: (places[each][2], places[each][3])):
        begin, end = places[name][2:]
        if begin != at:
            fault = "overlaps" if begin < at else "leaves a hole after"
            raise CheckpointError(asked, f"{path.name}: tensor {shown(name)} {fault} {last}", _AGAIN)
        at, last = end, shown(name)
    if data + at != file.size:
        fault = "is truncated" if file.size < data + at else "has bytes that no tensor owns"
        found = f"{path.name} {fault}: {file.size:,} bytes found, {data + at:,} expected"
        raise CheckpointError(asked, found, _AGAIN)
    return {
        name: Tensor(name, dtype, shape, file, data + begin, end - begin)
        for name, (dtype, shape, begin, end) in places.items()
    }


def _whole(digits: str) -> int:
    """A number; -0, which is a float to the package that defines the format, is none."""
    if digits == "-0":
        raise ValueError("-0 is no size or offset")
    return int(digits)


def _check_texts(metadata: Any, names: Mapping[str, Any], file: str, asked: str) -> None:
    """The metadata must be texts by texts, and names and texts such that UTF-8 can write them."""
    if metadata is not None and not (isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values())):
        raise CheckpointError(asked, f"{file}: __metadata__ is {shown(metadata)}, not texts by name", _AGAIN)
    for text in (*names, *(part for pair in (metadata or {}).items() for part in pair)):
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise CheckpointError(asked, f"{file}: {shown(text)} holds half a character", _AGAIN)


def _place(name: str, entry: Any, file: str, asked: str) -> tuple[str, tuple[int, ...], int, int]:
    """Checks one header entry; returns dtype, shape, begin and end."""

    def fail(found: str) -> CheckpointError:
        return CheckpointError(asked, f"{file}: tensor {shown(name)} {found}", _AGAIN)

    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise fail("must have exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _SIZES:
        raise fail(f"has dtype {shown(dtype)}; known are {', '.join(_SIZES)}")
    if not isinstance(shape, list) or len(shape) > _MAX_RANK or not all(_natural(n, _MAX_DIM) for n in shape):
        raise fail(f"has shape {shown(shape)}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_natural(n, 1 << 62) for n in offsets):
        raise fail(f"has data_offsets {shown(offsets)}")
    begin, end = offsets
    expected = math.prod(shape) * _SIZES[dtype]
    if end - begin != expected:
        raise fail(f"of dtype {dtype} and shape {shape} takes {expected:,} bytes, its data_offsets {end - begin:,}")
    return dtype, tuple(shape), begin, end


def _natural(value: Any, limit: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limit


def read_folder(folder: Path, asked: str) -> Mapping[str, Tensor]:
    """Opens ``model.safetensors``, or the shards that ``model.safetensors.index.json`` names.

    Raises:
        CheckpointError: neither or both are there, a shard's name is a path, a shard is not named by the index, a
            tensor is not where the index says or lies in two shards; and as ``read_file``.
    """
    single, index = (folder / SINGLE).exists(), (folder / INDEX).exists()
    if single and index:
        raise CheckpointError(asked, f"both {SINGLE} and {INDEX} are there", "Remove the one that is out of date")
    if single:
        return read_file(folder / SINGLE, asked)
    if not index:
        raise CheckpointError(asked, f"neither {SINGLE} nor {INDEX} is there", "Give the folder of the checkpoint")
    return _read_shards(folder, asked)


def _read_shards(folder: Path, asked: str) -> Mapping[str, Tensor]:
    weight_map = read_object(folder / INDEX, asked, INDEX_LIMIT).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(asked, f"{INDEX} has no weight_map", _AGAIN)
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or not _SHARD.fullmatch(shard):
            raise CheckpointError(
                asked, f"{INDEX} puts {shown(name)} into {shown(shard)}, not a plain file name", _AGAIN
            )
    stray = sorted({path.name for path in folder.glob(_PART)} - set(weight_map.values()))
    if stray:
        action = "Remove what is left of an older download, or download the checkpoint again"
        raise CheckpointError(asked, f"{stray[0]} is there and {INDEX} does not name it", action)
    found: dict[str, Tensor] = {}
    for shard in sorted(set(weight_map.values())):
        for name, tensor in read_file(folder / shard, asked).items():
            if name in found:
                where = f"{found[name].file.path.name} and in {shard}"
                raise CheckpointError(asked, f"tensor {shown(name)} lies in {where}", _AGAIN)
            if weight_map.get(name) != shard:
                says = f"in {weight_map[name]}" if name in weight_map else "nowhere"
                raise CheckpointError(asked, f"tensor {shown(name)} lies in {shard}; {INDEX} has it {says}", _AGAIN)
            found[name] = tensor
    absent = sorted(set(weight_map) - set(found))
    if absent:
        raise CheckpointError(asked, f"{weight_map[absent[0]]} lacks tensor {shown(absent[0])} of {INDEX}", _AGAIN)
    return found
