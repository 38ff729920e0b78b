"""The reader of .safetensors against headers that lie, and against the library that defines the format."""

import json
import os
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from convert.checkpoint.safetensors import read_file, read_folder
from convert.errors import CheckpointError


def write(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(dtype="U8", shape=(4,), begin=0, end=4):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def refusal(path):
    with pytest.raises(CheckpointError) as caught:
        read_file(path, "read it")
    assert len(str(caught.value)) < 600
    return str(caught.value)


def test_tensors_written_by_the_library_are_read_back_by_rows(tmp_path):
    tensors = {
        "a": np.arange(12, dtype=np.float32).reshape(3, 4),
        "b": np.arange(6, dtype=np.uint8).reshape(2, 3),
        "scalar": np.array(2.5, np.float32),
        "empty": np.zeros((0, 7), np.int8),
    }
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    found = read_file(tmp_path / "x.safetensors", "test")
    assert set(found) == set(tensors)
    assert np.array_equal(found["a"].read(1, 3).view("<f4"), tensors["a"][1:3])
    assert np.array_equal(found["b"].read(), tensors["b"])
    assert found["scalar"].shape == ()
    assert found["scalar"].read().view("<f4")[0, 0] == 2.5
    assert found["empty"].read().shape == (0, 0)
    assert [first for first, _ in found["a"].chunks(20)] == [0, 1, 2]
    with pytest.raises(IndexError, match=r"rows 2:4 of a, which has 3"):
        found["a"].read(2, 4)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"a": entry(), "b": entry(begin=3, end=7)}, "tensor 'b' overlaps 'a'"),
        ({"a": entry(), "b": entry(begin=0, end=4)}, "tensor 'b' overlaps 'a'"),
        ({"a": entry(begin=0), "b": entry(begin=5, end=9)}, "tensor 'b' leaves a hole after 'a'"),
        ({"a": entry(begin=1, end=5)}, "tensor 'a' leaves a hole after the header"),
        ({"a": entry(dtype="F32")}, "of dtype F32 and shape [4] takes 16 bytes, its data_offsets 4"),
        ({"a": entry(begin=4, end=0)}, "takes 4 bytes, its data_offsets -4"),
        ({"a": entry(dtype="F4")}, "has dtype 'F4'"),
        ({"a": entry(dtype=["U8"])}, "has dtype ['U8']"),
        ({"a": entry(shape=(-4, -1))}, "has shape [-4, -1]"),
        ({"a": entry(shape=(True, 4))}, "has shape [True, 4]"),
        ({"a": entry(shape=(4.0,))}, "has shape [4.0]"),
        ({"a": entry(shape=(1 << 62, 1 << 62))}, "has shape"),
        ({"a": entry(shape=(1,) * 9)}, "has shape"),
        ({"a": entry(begin=-1)}, "has data_offsets [-1, 4]"),
        ({"a": entry(end=1 << 70)}, "has data_offsets"),
        ({"a": entry() | {"strides": [1]}}, "must have exactly dtype, shape and data_offsets"),
        ({"a": 7}, "must have exactly dtype, shape and data_offsets"),
        ([1], "holds a list, not an object"),
        (b"{]", "is not valid JSON"),
        (b"\xff{}", "is not UTF-8 text"),
        (b'{"a":1,"a":2}', "key 'a' occurs twice"),
        (b'{"a":{"dtype":"U8","dtype":"I8"}}', "key 'dtype' occurs twice"),
        (b'{"a":NaN}', "NaN is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' + b"9" * 5000 + b"}", "is not valid JSON"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, header, expected):
    message = refusal(write(tmp_path / "x.safetensors", header, bytes(8)))
    assert "x.safetensors" in message
    assert expected in message


@pytest.mark.parametrize("length", [1 << 60, (1 << 64) - 1, 16 * 1024 * 1024 + 1])
def test_a_header_length_beyond_the_limit_is_refused_before_anything_is_read(tmp_path, length):
    message = refusal(write(tmp_path / "x.safetensors", {}, length=length))
    assert f"claims a header of {length:,} bytes; at most 16,777,216 are read" in message


def test_a_file_that_ends_inside_its_header_is_refused(tmp_path):
    message = refusal(write(tmp_path / "x.safetensors", b"{}", length=1000))
    assert "is truncated: 10 bytes found, 1,008 expected for the header alone" in message


def test_a_file_too_short_for_a_length_is_refused(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"1234567")
    assert "x.safetensors has 7 bytes" in refusal(tmp_path / "x.safetensors")


@pytest.mark.parametrize(("data", "fault"), [(3, "is truncated: "), (5, "has bytes that no tensor owns: ")])
def test_data_that_is_too_short_or_too_long_is_refused_with_both_sizes(tmp_path, data, fault):
    path = write(tmp_path / "x.safetensors", {"a": entry()}, bytes(data))
    size = path.stat().st_size
    assert f"{fault}{size} bytes found, {size + 4 - data} expected" in refusal(path)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.safetensors")
    assert "x.safetensors is not a regular file" in refusal(tmp_path / "x.safetensors")


def test_a_file_that_shrinks_after_it_was_opened_is_a_message_and_no_crash(tmp_path):
    path = write(tmp_path / "x.safetensors", {"a": entry()}, bytes(4))
    tensor = read_file(path, "read it")["a"]
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(CheckpointError, match="Do not change the checkpoint while it is read"):
        tensor.read()


@given(st.binary(max_size=200), st.integers(0, 300))
def test_random_bytes_are_refused_or_read_but_never_crash(tmp_path_factory, noise, length):
    path = tmp_path_factory.mktemp("noise") / "x.safetensors"
    path.write_bytes(struct.pack("<Q", length) + noise)
    try:
        read_file(path, "read it")
    except CheckpointError:
        return
    assert json.loads(noise[:length]).keys() <= {"__metadata__"}


@given(st.data())
def test_a_damaged_header_never_gives_a_tensor_outside_the_file(tmp_path_factory, data):
    text = bytearray(json.dumps({"a": entry(), "b": entry("F32", (2, 3), 4, 28)}).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.sampled_from(b'0123456789-,[]{}":.eE'))
    path = write(tmp_path_factory.mktemp("damaged") / "x.safetensors", bytes(text), bytes(28))
    try:
        found = read_file(path, "read it")
    except CheckpointError:
        return
    assert sum(tensor.read().nbytes for tensor in found.values()) == 28


def sharded(folder, weight_map, shards):
    for shard, names in shards.items():
        save_file({name: np.full(4, ord(name[0]), np.uint8) for name in names}, folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def test_shards_are_read_as_one(tmp_path):
    found = read_folder(sharded(tmp_path, {"a": ONE, "b": TWO}, {ONE: ["a"], TWO: ["b"]}), "test")
    assert {name: tensor.read()[0, 0] for name, tensor in found.items()} == {"a": ord("a"), "b": ord("b")}


@pytest.mark.parametrize(
    ("weight_map", "shards", "expected"),
    [
        ({"a": "../x.safetensors"}, {}, "puts 'a' into '../x.safetensors', not a plain file name"),
        ({"a": "/etc/x.safetensors"}, {}, "not a plain file name"),
        ({"a": "sub\\x.safetensors"}, {}, "not a plain file name"),
        ({"a": 7}, {}, "not a plain file name"),
        ({}, {}, "has no weight_map"),
        ({"a": ONE, "b": TWO}, {ONE: ["a"]}, f"{TWO} is missing"),
        ({"a": ONE, "b": ONE}, {ONE: ["a"]}, f"{ONE} lacks tensor 'b'"),
        ({"a": ONE}, {ONE: ["a", "b"]}, f"tensor 'b' lies in {ONE}; model.safetensors.index.json has it nowhere"),
        ({"a": ONE, "b": TWO}, {ONE: ["a"], TWO: ["a", "b"]}, f"tensor 'a' lies in {ONE} and in {TWO}"),
        ({"a": TWO, "b": ONE}, {ONE: ["a"], TWO: ["b"]}, f"has it in {TWO}"),
    ],
)
def test_an_index_that_does_not_match_its_shards_is_refused(tmp_path, weight_map, shards, expected):
    with pytest.raises(CheckpointError) as caught:
        read_folder(sharded(tmp_path, weight_map, shards), "test")
    assert expected in str(caught.value)


def test_a_single_file_beside_an_index_is_refused(tmp_path):
    sharded(tmp_path, {"a": ONE}, {ONE: ["a"]})
    save_file({"a": np.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"both model\.safetensors and model\.safetensors\.index\.json"):
        read_folder(tmp_path, "test")


def test_opening_a_file_of_three_gigabytes_costs_megabytes(tmp_path):
    path = write(tmp_path / "x.safetensors", {"a": entry("U8", (3000, 1 << 20), 0, 3000 << 20)})
    os.truncate(path, path.stat().st_size + (3000 << 20))  # sparse: takes no disk
    tracemalloc.start()
    try:
        tensor = read_file(path, "test")["a"]
        assert not tensor.read(2999, 3000).any()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 1 << 20 <= peak < 4 << 20  # the row that was asked for, and little else


def test_rows_past_two_gigabytes_are_read_whatever_kind_of_integer_names_them(tmp_path):
    rows, width = 5000, 1 << 19
    path = write(tmp_path / "large.safetensors", {"table": entry(shape=(rows, width), end=rows * width)})
    begin = path.stat().st_size
    with path.open("r+b") as file:  # a hole: it takes no room on the disk
        file.truncate(begin + rows * width)
        file.seek(begin + 4999 * width)
        file.write(bytes([7]) * width)
    table = read_file(path, "read it")["table"]
    last = np.int32(4999)
    assert (table.read(last, last + 1) == 7).all()
    assert table.read(4999).shape == (1, width)
