"""Damage to the file itself: the judge must refuse it in one line, and not fall over."""

from __future__ import annotations

import struct
from collections.abc import Callable

from runtime_tests.litert.case import DECODER, EMBEDDER, PER_LAYER
from tests.mutants.mutant import REFUSED, Edit, Mutant
from tests.mutants.patient import Patient

KIND = "container"
TOKENIZER, LLM = "HF_Tokenizer_Zlib", "LlmMetadataProto"


def _cut(fraction: float) -> Callable[[Patient], None]:
    def apply(patient: Patient) -> None:
        del patient.bytes[int(len(patient.bytes) * fraction) :]

    return apply


def _put(offset: int, content: bytes) -> Callable[[Patient], None]:
    def apply(patient: Patient) -> None:
        patient.bytes[offset : offset + len(content)] = content

    return apply


def _without(name: str) -> Callable[[Patient], None]:
    return lambda patient: patient.rebuild({name: None})


def _labels_swapped(patient: Patient) -> None:
    a, b = (dict(patient.section(name).items) for name in (EMBEDDER, PER_LAYER))
    patient.rebuild(items={EMBEDDER: b, PER_LAYER: a})


def _contents_swapped(patient: Patient) -> None:
    patient.rebuild({EMBEDDER: patient.content(PER_LAYER), PER_LAYER: patient.content(EMBEDDER)})


def _twice(patient: Patient) -> None:
    """A second decoder, sound, behind a first one with a changed weight: who looks at the last sees nothing."""
    sound = patient.content(DECODER)
    patient.array("layers.1.mlp.up_proj.weight")[:] ^= 0x11
    patient.rebuild(extra=(("TFLiteModel", patient.section(DECODER).items, sound),))


def _overlap(patient: Patient) -> None:
    """The header says that the second section begins where the first does."""
    first, second = patient.sections[:2]
    old = struct.pack("<Q", second.begin)
    at = patient.bytes.index(old, 32)
    patient.bytes[at : at + 8] = struct.pack("<Q", first.begin)


def _tokenizer(change: Callable[[bytes], bytes]) -> Callable[[Patient], None]:
    return lambda patient: patient.rebuild({TOKENIZER: change(patient.content(TOKENIZER))})


def _root(patient: Patient) -> None:
    begin = patient.section(DECODER).begin
    patient.bytes[begin : begin + 4] = struct.pack("<I", 0x7FFFFFFF)


def _identifier(patient: Patient) -> None:
    begin = patient.section(DECODER).begin
    patient.bytes[begin + 4 : begin + 8] = b"TFL2"


def _weights_cut(patient: Patient) -> None:
    patient.rebuild({DECODER: patient.content(DECODER)[:-4096]})


def _mutant(name: str, what: str, change: Callable[[Patient], None], *expected: str) -> Mutant:
    return Mutant(name, KIND, "mobile", what, expected or (REFUSED,), Edit(change))


MUTANTS = (
    _mutant("file_cut_in_half", "half of the file", _cut(0.5)),
    _mutant("last_bytes_missing", "an interrupted download", _cut(0.99)),
    _mutant("nothing_but_a_header", "all sections missing", lambda p: p.bytes.__delitem__(slice(4096, None))),
    _mutant("wrong_magic", "another kind of file", _put(0, b"LITERTLX")),
    _mutant("version_of_tomorrow", "container version 2", _put(8, struct.pack("<I", 2))),
    _mutant("header_without_end", "the header ends beyond the file", _put(24, struct.pack("<Q", 1 << 40))),
    _mutant("sections_overlap", "two sections claim the same bytes", _overlap),
    _mutant("no_decoder", "the decoder's section is missing", _without(DECODER)),
    _mutant("no_per_layer_embedder", "the per-layer embedder's section is missing", _without(PER_LAYER)),
    _mutant("no_tokenizer", "the tokenizer's section is missing", _without(TOKENIZER)),
    _mutant("no_metadata", "the engine's metadata are missing", _without(LLM)),
    _mutant("two_decoders", "a second decoder section hides the first", _twice),
    _mutant("labels_swapped", "the two embedders under each other's name", _labels_swapped, "0"),
    _mutant("contents_swapped", "the two embedders in each other's place", _contents_swapped, "0"),
    _mutant("metadata_garbage", "no message where the metadata should be", lambda p: p.rebuild({LLM: b"\xff" * 64})),
    _mutant("tokenizer_cut", "half of the tokenizer", _tokenizer(lambda c: c[: len(c) // 2])),
    _mutant(
        "tokenizer_size_lies",
        "the tokenizer announces more than it holds",
        _tokenizer(lambda c: c[:2] + b"\x7f" + c[3:]),
    ),
    _mutant("flatbuffer_root", "the graph begins nowhere", _root),
    _mutant("flatbuffer_identifier", "a graph of another schema", _identifier),
    _mutant("weights_cut", "the last weights lie beyond their section", _weights_cut),
)
