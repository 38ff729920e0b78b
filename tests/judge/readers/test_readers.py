"""The judge's readers against hostile and damaged files."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tfl
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from litert_lm_builder import litertlm_header_schema_py_generated as lm

from runtime_tests.errors import InputError
from runtime_tests.readers.litert.litertlm import BLOCK, open_litertlm
from runtime_tests.readers.litert.tflite import Tflite, open_tflite

TOKENIZER = b'{"version": "1.0"}'


def header(sections: list[tuple[int, int, int, str]]) -> bytes:
    """A header flatbuffer: kind, begin, end and model type of each section."""
    objects = []
    for kind, begin, end, model_type in sections:
        pair = lm.KeyValuePairT()
        pair.key, pair.valueType, pair.value = "model_type", lm.VData.StringValue, lm.StringValueT(model_type)
        objects.append(lm.SectionObjectT([pair] if model_type else [], begin, end, kind))
    builder = flatbuffers.Builder(1024)
    table = lm.LiteRTLMMetaDataT(lm.SystemMetadataT([]), lm.SectionMetadataT(objects))
    builder.Finish(table.Pack(builder))
    return bytes(builder.Output())


def container(sections: list[tuple[int, int, int, str]], size: int = 2 * BLOCK + 64) -> bytearray:
    """A file with a header and zeros."""
    table = header(sections)
    out = bytearray(size)
    out[:8], out[8:20] = b"LITERTLM", struct.pack("<III", 1, 7, 0)
    out[24:32], out[32 : 32 + len(table)] = struct.pack("<Q", 32 + len(table)), table
    return out


GOOD = [(3, BLOCK, BLOCK + 100, "tf_lite_embedder"), (6, 2 * BLOCK, 2 * BLOCK + 64, "")]


def write(tmp_path: Path, data: bytes | bytearray) -> Path:
    file = tmp_path / "model.litertlm"
    file.write_bytes(data)
    return file


def test_sections_are_found_with_their_types_and_bounds(tmp_path: Path) -> None:
    found = open_litertlm(write(tmp_path, container(GOOD)))
    assert [(s.kind, s.begin, s.end, len(s.data)) for s in found.sections] == [
        ("TFLiteModel", BLOCK, BLOCK + 100, 100),
        ("HF_Tokenizer_Zlib", 2 * BLOCK, 2 * BLOCK + 64, 64),
    ]
    assert found.model("tf_lite_embedder").begin == BLOCK


def test_a_missing_model_is_named_with_those_there(tmp_path: Path) -> None:
    found = open_litertlm(write(tmp_path, container(GOOD)))
    with pytest.raises(InputError, match="no section tf_lite_prefill_decode; it has tf_lite_embedder"):
        found.model("tf_lite_prefill_decode")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ([(3, BLOCK, 1 << 60, "x")], "section 0 .TFLiteModel. claims bytes 16384..1152921504606846976 of 32832"),
        ([(3, BLOCK + 1, BLOCK + 9, "x")], "claims bytes 16385"),
        ([(3, BLOCK, BLOCK - 1, "x")], "claims bytes 16384..16383"),
        ([(3, 0, 100, "x")], "claims bytes 0..100"),
        ([(3, BLOCK, 2 * BLOCK + 1, "x"), (3, 2 * BLOCK, 2 * BLOCK + 9, "y")], "section 1"),
        ([], "no sections"),
    ],
)
def test_sections_outside_the_file_or_each_other_are_refused(
    tmp_path: Path, sections: list[tuple[int, int, int, str]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        open_litertlm(write(tmp_path, container(sections)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"LITERTLM", "not a .litertlm"),
        (b"PK" + bytes(100), "not a .litertlm"),
        (b"LITERTLM" + struct.pack("<III", 2, 0, 0) + bytes(40), "container version 2.0.0"),
        (b"LITERTLM" + struct.pack("<IIIIQ", 1, 7, 0, 0, 1 << 60) + bytes(40), "the header claims to end at byte 115"),
        (b"LITERTLM" + struct.pack("<IIIIQ", 1, 7, 0, 0, 8) + bytes(40), "the header claims to end at byte 8"),
        (b"LITERTLM" + struct.pack("<IIIIQ", 1, 7, 0, 0, 60) + b"\xff" * 40, "the header is damaged"),
    ],
)
def test_a_hostile_header_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_litertlm(write(tmp_path, data))


def test_a_truncated_container_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"section 1 .* claims bytes 32768..32832 of 32831"):
        open_litertlm(write(tmp_path, container(GOOD)[:-1]))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(0, 400), value=st.integers(0, 255))
def test_any_damaged_header_byte_is_read_or_refused_but_never_crashes(tmp_path: Path, where: int, value: int) -> None:
    data = container(GOOD)
    data[where] = value
    try:
        found = open_litertlm(write(tmp_path, data))
    except InputError:
        return
    assert all(section.end <= len(data) for section in found.sections)


def tokenizer_file(tmp_path: Path, payload: bytes) -> Path:
    data = container([(6, BLOCK, BLOCK + len(payload), "")])
    data[BLOCK : BLOCK + len(payload)] = payload
    return write(tmp_path, data)


def test_the_tokenizer_is_decompressed(tmp_path: Path) -> None:
    payload = struct.pack("<Q", len(TOKENIZER)) + zlib.compress(TOKENIZER)
    assert open_litertlm(tokenizer_file(tmp_path, payload)).tokenizer() == TOKENIZER


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (struct.pack("<Q", 5) + zlib.compress(TOKENIZER), "announces 5 bytes and holds 6"),
        (struct.pack("<Q", 99) + zlib.compress(TOKENIZER), "announces 99 bytes and holds 18"),
        (struct.pack("<Q", 18) + b"nonsense", "the tokenizer section is damaged"),
    ],
)
def test_a_damaged_tokenizer_is_refused(tmp_path: Path, payload: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_litertlm(tokenizer_file(tmp_path, payload)).tokenizer()


def tiny(data: bytes = b"\xe4\x1b", offset: int = 0, size: int = 0, buffer: int = 1, reads: int = 0) -> bytes:
    """A model with one INT2 tensor [2, 4]."""
    quantization = tfl.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = np.array([0.5, 2.0], np.float32), np.zeros(2, np.int64)
    tensor = tfl.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = b"w.weight", [2, 4], tfl.TensorType.INT2, buffer
    tensor.quantization = quantization
    graph = tfl.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [tensor], [], [reads], [0]
    holder = tfl.BufferT()
    holder.data, holder.offset, holder.size = (np.frombuffer(data, np.uint8) if not offset else None), offset, size
    model = tfl.ModelT()
    model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], [tfl.BufferT(), holder], []
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def read(data: bytes) -> Tflite:
    return open_tflite(memoryview(data), "m.tflite")


def only(model: Tflite) -> Any:
    return model.subgraphs[0].tensors[0]


def test_codes_and_scales_of_a_tensor_are_read() -> None:
    model = read(tiny())
    assert model.rows(only(model)).tolist() == [[0, 1, -2, -1], [-1, -2, 1, 0]]
    assert only(model).quantization.scales.tolist() == [0.5, 2.0]
    assert model.rows(only(model), 1, 2).tolist() == [[-1, -2, 1, 0]]


def test_bytes_after_the_flatbuffer_are_read() -> None:
    end = len(tiny(offset=9999, size=2))
    model = read(tiny(offset=end, size=2) + b"\xe4\x1b")
    assert model.rows(only(model)).tolist() == [[0, 1, -2, -1], [-1, -2, 1, 0]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tiny(offset=1 << 60, size=2), "buffer 1 claims bytes 1152921504606846976"),
        (tiny(offset=16, size=1 << 62), "buffer 1 claims"),
        (tiny(buffer=7), "tensor w.weight refers to buffer 7 of 2"),
        (tiny(reads=5), "subgraph 0 refers to a tensor beyond its 1"),
        (b"", "not a TFLite model"),
        (b"\x08\0\0\0TFL3", "the flatbuffer is damaged"),
        (tiny()[:60], "the flatbuffer is damaged"),
    ],
)
def test_a_hostile_model_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(data)


def test_a_buffer_that_is_too_short_for_its_shape_is_refused() -> None:
    model = read(tiny(data=b"\xe4"))
    with pytest.raises(InputError, match=r"w.weight INT2\[2, 4\] has 1 bytes, needs 2"):
        model.rows(only(model))


@settings(max_examples=200, deadline=None)
@example(where=172, value=114)  # a dimension of two thousand million beside one of 0
@given(where=st.integers(0, 299), value=st.integers(0, 255))
def test_any_damaged_model_byte_is_read_or_refused_but_never_crashes(where: int, value: int) -> None:
    data = bytearray(tiny())
    data[where % len(data)] = value
    try:
        model = read(bytes(data))
        for tensor in model.subgraphs[0].tensors:
            model.rows(tensor)
    except InputError:
        return
