"""The `.litertlm` container: a header that lists sections, then the sections on 16 KiB boundaries.

Written directly and not by the public builder, which copies every section from a file of its own and puts a random id
and the time into the header. Layout: ``litert_lm_builder.litertlm_core`` and its header schema, version 1.7.0.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import flatbuffers
from litert_lm_builder import litertlm_header_schema_py_generated as header

MAGIC, VERSION = b"LITERTLM", (1, 7, 0)
BLOCK = 16 * 1024
_HEADER_BEGIN, _HEADER_END_FIELD = 32, 24


@dataclass(frozen=True)
class Section:
    """Attributes:
    kind: name in ``AnySectionDataType``: ``TFLiteModel``, ``LlmMetadataProto``, ...
    items: string metadata, for models ``model_type`` above all.
    write: writes the content at the file's position.
    """

    kind: str
    items: Mapping[str, str]
    write: Callable[[BinaryIO], object]


def write(file: BinaryIO, sections: Sequence[Section], digest: str, extra: Mapping[str, str]) -> None:
    """Writes a whole container.

    Args:
        digest: hex digest of everything that went in; the container's id is made from it.
        extra: further system metadata.
    """
    system = {
        "creation_timestamp": "1970-01-01T00:00:00+00:00",
        "uuid": str(uuid.UUID(hex=digest[:32])),
        **extra,
    }
    spans = [(1, 1)] * len(sections)
    position = _aligned(_HEADER_BEGIN + len(_header(system, sections, spans)))
    for i, section in enumerate(sections):
        file.seek(position)
        section.write(file)
        spans[i] = (position, file.tell())
        position = _aligned(file.tell())
    packed = _header(system, sections, spans)
    file.seek(0)
    file.write(MAGIC + b"".join(part.to_bytes(4, "little") for part in VERSION))
    file.seek(_HEADER_END_FIELD)
    file.write((_HEADER_BEGIN + len(packed)).to_bytes(8, "little"))
    file.write(packed)


def _aligned(position: int) -> int:
    return -(-position // BLOCK) * BLOCK


def _header(system: Mapping[str, str], sections: Sequence[Section], spans: Sequence[tuple[int, int]]) -> bytes:
    root = header.LiteRTLMMetaDataT()
    root.systemMetadata, root.sectionMetadata = header.SystemMetadataT(), header.SectionMetadataT()
    root.systemMetadata.entries = _pairs(system)
    root.sectionMetadata.objects = []
    for section, (begin, end) in zip(sections, spans, strict=True):
        entry = header.SectionObjectT()
        entry.items, entry.dataType = _pairs(section.items), getattr(header.AnySectionDataType, section.kind)
        entry.beginOffset, entry.endOffset = begin, end
        root.sectionMetadata.objects.append(entry)
    builder = flatbuffers.Builder(BLOCK)
    builder.Finish(root.Pack(builder))
    return bytes(builder.Output())


def _pairs(values: Mapping[str, str]) -> list[header.KeyValuePairT]:
    out = []
    for key, value in sorted(values.items()):
        pair = header.KeyValuePairT()
        pair.key, pair.valueType, pair.value = key, header.VData.StringValue, header.StringValueT()
        pair.value.value = value
        out.append(pair)
    return out
