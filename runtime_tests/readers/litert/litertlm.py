"""Strict reader of the ``.litertlm`` container.

Layout (LiteRT-LM, ``schema/core/litertlm_header_schema.fbs`` and ``litertlm_header.h``), little endian:

====== ===== ==========================================================
offset bytes what
====== ===== ==========================================================
0      8     ``LITERTLM``
8      12    version: major, minor, patch, uint32 each
20     4     padding
24     8     uint64, where the header ends
32           flatbuffer ``LiteRTLMMetaData``
...          sections at multiples of 16 KiB, offsets from the file's start
====== ===== ==========================================================
"""

from __future__ import annotations

import hashlib
import mmap
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime_tests.errors import InputError
from runtime_tests.readers.regular import open_regular

MAGIC, BLOCK, HEADER_AT = b"LITERTLM", 16 * 1024, 32
MAX_HEADER = BLOCK  # what the engine itself maps to find the sections (litert_lm_loader.cc)
_SCALARS = ("UInt8", "Int8", "UInt16", "Int16", "UInt32", "Int32", "Float32", "Bool", "UInt64", "Int64", "Double")


@dataclass(frozen=True)
class Section:
    """One section.

    Attributes:
        kind: name of its ``AnySectionDataType``, for example ``TFLiteModel``.
        begin, end: byte range in the file.
        items: its key-value pairs, for example ``model_type``.
        data: its bytes, a view of the memory map.
    """

    kind: str
    begin: int
    end: int
    items: dict[str, Any]
    data: memoryview


@dataclass(frozen=True)
class LiteRtLm:
    """An opened container; nothing but the header has been read."""

    path: Path
    version: tuple[int, int, int]
    system: dict[str, Any]
    sections: tuple[Section, ...]

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size

    def models(self) -> dict[str, Section]:
        """TFLite sections by their ``model_type``, lower case."""
        return {
            str(section.items.get("model_type", "")).lower(): section
            for section in self.sections
            if section.kind == "TFLiteModel"
        }

    def model(self, model_type: str) -> Section:
        """The TFLite section of a type such as ``tf_lite_prefill_decode``.

        Raises:
            InputError: there is none.
        """
        found = self.models()
        if model_type not in found:
            raise InputError(f"{self.path.name}: no section {model_type}; it has {', '.join(sorted(found)) or 'none'}")
        return found[model_type]

    def one(self, kind: str) -> Section:
        """The only section of a kind.

        Raises:
            InputError: there is none, or more than one.
        """
        found = [section for section in self.sections if section.kind == kind]
        if len(found) != 1:
            raise InputError(f"{self.path.name}: {len(found)} sections of kind {kind}, expected one")
        return found[0]

    def llm_metadata(self) -> Any:
        """The parsed ``LlmMetadata`` message."""
        from litert_lm_builder.runtime.proto import llm_metadata_pb2

        return self._message(llm_metadata_pb2.LlmMetadata(), "LlmMetadataProto")

    def executor_metadata(self) -> Any:
        """The parsed ``ExecutorMetadata`` message."""
        from litert_lm_builder.runtime.proto import executor_metadata_pb2

        return self._message(executor_metadata_pb2.ExecutorMetadata(), "ExecutorMetadataProto")

    def tokenizer(self) -> bytes:
        """The Hugging Face ``tokenizer.json``, decompressed; a file may hold a SentencePiece model instead.

        The section is the uncompressed size as uint64, then a zlib stream (litertlm_builder.py, ``add_hf_tokenizer``).

        Raises:
            InputError: the stream is damaged or its size is not the one announced.
        """
        data = self.one("HF_Tokenizer_Zlib").data
        try:
            (size,) = struct.unpack_from("<Q", data)
            text = zlib.decompressobj().decompress(data[8:], size + 1)
        except (struct.error, zlib.error) as error:
            raise InputError(f"{self.path.name}: the tokenizer section is damaged ({error})") from error
        if len(text) != size:
            raise InputError(f"{self.path.name}: the tokenizer section announces {size} bytes and holds {len(text)}")
        return text

    def sha256(self) -> str:
        """SHA-256 of the whole file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _message(self, message: Any, kind: str) -> Any:
        from google.protobuf.message import DecodeError

        try:
            message.ParseFromString(bytes(self.one(kind).data))
        except DecodeError as error:
            raise InputError(f"{self.path.name}: section {kind} is no such message ({error})") from error
        return message


def open_litertlm(path: Path) -> LiteRtLm:
    """Maps a file and checks its header: every offset lies inside the file, on a block, and no two sections overlap.

    Raises:
        InputError: not a ``.litertlm``, truncated, or inconsistent; the message says where.
    """
    try:
        with open_regular(path) as file:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the file is empty"
        raise InputError(f"{path.name}: cannot be read ({reason})") from error
    name, size = path.name, len(view)
    if size < HEADER_AT or bytes(view[:8]) != MAGIC:
        raise InputError(f"{name}: not a .litertlm (no {MAGIC.decode()} at its start)")
    version = struct.unpack_from("<III", view, 8)
    if version[0] != 1:
        raise InputError(f"{name}: container version {'.'.join(map(str, version))}; this reader knows 1.x")
    (end,) = struct.unpack_from("<Q", view, 24)
    if not HEADER_AT < end <= min(size, MAX_HEADER):
        raise InputError(f"{name}: the header claims to end at byte {end} of {size} (at most {MAX_HEADER})")
    try:
        system, found = _parse(bytes(view[HEADER_AT:end]))
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: the header is damaged ({error})") from error
    sections, last = [], end
    for index, (kind, begin, stop, items) in enumerate(found):
        if begin % BLOCK or not last <= begin <= stop <= size:
            raise InputError(
                f"{name}: section {index} ({kind}) claims bytes {begin}..{stop} of {size}; "
                f"expected a multiple of {BLOCK}, after byte {last}"
            )
        sections.append(Section(kind, begin, stop, items, view[begin:stop]))
        last = stop
    if not sections:
        raise InputError(f"{name}: no sections")
    models = [str(section.items.get("model_type", "")).lower() for section in sections if section.kind == "TFLiteModel"]
    if twice := sorted({model for model in models if models.count(model) > 1}):
        # Which of them an engine runs is its own affair; judging the other would prove nothing.
        raise InputError(f"{name}: {models.count(twice[0])} sections {twice[0]}, expected one")
    return LiteRtLm(path, (version[0], version[1], version[2]), system, tuple(sections))


def _parse(header: bytes) -> tuple[dict[str, Any], list[tuple[str, int, int, dict[str, Any]]]]:
    from litert_lm_builder import litertlm_header_schema_py_generated as schema

    kinds = {value: name for name, value in vars(schema.AnySectionDataType).items() if isinstance(value, int)}
    root = schema.LiteRTLMMetaData.GetRootAs(header, 0)
    system, table = root.SystemMetadata(), root.SectionMetadata()
    pairs = _items(schema, [system.Entries(i) for i in range(system.EntriesLength())]) if system else {}
    found = []
    for i in range(table.ObjectsLength() if table else 0):
        section = table.Objects(i)
        items = _items(schema, [section.Items(j) for j in range(section.ItemsLength())])
        kind = kinds.get(section.DataType(), f"unknown kind {section.DataType()}")
        found.append((kind, section.BeginOffset(), section.EndOffset(), items))
    return pairs, found


def _items(schema: Any, pairs: list[Any]) -> dict[str, Any]:
    readers = {getattr(schema.VData, name): getattr(schema, name) for name in (*_SCALARS, "StringValue")}
    out: dict[str, Any] = {}
    for pair in pairs:
        key = pair.Key().decode("utf-8")
        if key in out:
            raise ValueError(f"key {key} twice in one section")
        holder = readers[pair.ValueType()]() if pair.ValueType() in readers else None
        if holder is None or pair.Value() is None:
            raise ValueError(f"key {key} has no readable value")
        holder.Init(pair.Value().Bytes, pair.Value().Pos)
        value = holder.Value()
        out[key] = value.decode("utf-8") if isinstance(value, bytes) else value
    return out
