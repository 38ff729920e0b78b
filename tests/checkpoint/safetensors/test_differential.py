"""The converter's reader of .safetensors beside the package that defines the format: odd headers, both or neither.

Where the converter's reader is stricter, the list says why; nowhere may it take what the package refuses.
"""

from __future__ import annotations

import json
import random
import struct
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize, safe_open

from convert.checkpoint.safetensors import read_file
from convert.errors import CheckpointError

Found = dict[str, tuple[str, tuple[int, ...]]]
J = json.dumps


def entry(
    dtype: str = "U8", shape: tuple[Any, ...] = (4,), begin: int = 0, end: int = 4, **more: Any
) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **more}


def raw(text: str | bytes, data: bytes = bytes(4), length: int | None = None) -> bytes:
    text = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


CASES: dict[str, bytes] = {
    "plain": raw(J({"a": entry()})),
    "spaces behind": raw(J({"a": entry()}) + "    "),
    "spaces before": raw("  " + J({"a": entry()})),
    "newline": raw(J({"a": entry()}) + "\n"),
    "nul behind": raw(J({"a": entry()}).encode() + b"\0"),
    "empty object": raw("{}", b""),
    "only metadata": raw(J({"__metadata__": {"a": "b"}}), b""),
    "metadata number": raw(J({"__metadata__": {"a": 1}, "a": entry()})),
    "metadata list": raw(J({"__metadata__": [], "a": entry()})),
    "metadata null": raw(J({"__metadata__": None, "a": entry()})),
    "metadata nested": raw(J({"__metadata__": {"a": {}}, "a": entry()})),
    "extra key": raw(J({"a": entry(more=1)})),
    "missing shape": raw(J({"a": {"dtype": "U8", "data_offsets": [0, 4]}})),
    "twice": raw(f'{{"a":{J(entry())},"a":{J(entry())}}}'),
    "key twice in entry": raw('{"a":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}}'),
    "order of keys": raw(J({"b": entry(begin=4, end=8), "a": entry()}), bytes(8)),
    "hole": raw(J({"a": entry(), "b": entry(begin=5, end=9)}), bytes(9)),
    "overlap": raw(J({"a": entry(), "b": entry(begin=3, end=7)}), bytes(7)),
    "begins late": raw(J({"a": entry(begin=1, end=5)}), bytes(5)),
    "trailing": raw(J({"a": entry()}), bytes(5)),
    "short": raw(J({"a": entry()}), bytes(3)),
    "scalar": raw(J({"a": entry("F32", ())})),
    "zero": raw(J({"a": entry(shape=(0,), end=0)}), b""),
    "zero rank": raw(J({"a": entry(shape=(0, 7), end=0), "b": entry()})),
    "two zeros same place": raw(J({"a": entry(shape=(0,), end=0), "c": entry(shape=(0,), end=0), "b": entry()})),
    "zero behind": raw(J({"b": entry(), "a": entry(shape=(0,), begin=4, end=4)})),
    "negative shape": raw(J({"a": entry(shape=(-4,))})),
    "float shape": raw(J({"a": entry(shape=(4.0,))})),
    "bool shape": raw(J({"a": entry(shape=(True, 4))})),
    "string shape": raw(J({"a": entry(shape=("4",))})),
    "huge shape": raw(J({"a": entry(shape=(1 << 62, 4))})),
    "huge times zero": raw(J({"a": entry(shape=(1 << 62, 0), end=0)}), b""),
    "wrap": raw(J({"a": entry(shape=(1 << 63, 2), end=0)}), b""),
    "rank 9": raw(J({"a": entry(shape=(1,) * 8 + (4,))})),
    "unknown dtype": raw(J({"a": entry("Q4")})),
    "lower dtype": raw(J({"a": entry("u8")})),
    "three offsets": raw(J({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4, 4]}})),
    "reversed offsets": raw(J({"a": entry(begin=4, end=0)})),
    "offset negative": raw(J({"a": entry(begin=-4, end=0)})),
    "list": raw("[]", b""),
    "null": raw("null", b""),
    "empty text": raw("", b""),
    "nan": raw('{"a":NaN}', b""),
    "null entry": raw('{"a":null}', b""),
    "not utf8": raw(b'{"\xff":%s}' % J(entry()).encode()),
    "bom": raw(b"\xef\xbb\xbf" + J({"a": entry()}).encode()),
    "surrogate": raw(f'{{"\\ud800":{J(entry())}}}'),
    "empty name": raw(J({"": entry()})),
    "long length": raw("{}", b"", 1 << 62),
    "length one short": raw(J({"a": entry()}), length=len(J({"a": entry()})) - 1),
    "no bytes": b"",
    "seven bytes": bytes(7),
    "eight zeros": bytes(8),
    "F4": raw(J({"a": entry("F4", (8,))})),
    "F8_E8M0": raw(J({"a": entry("F8_E8M0")})),
    "C64": raw(J({"a": entry("C64", (1,), 0, 8)}), bytes(8)),
    "F6": raw(J({"a": entry("F6_E2M3", (4,), 0, 3)}), bytes(3)),
    "F8_E4M3FNUZ": raw(J({"a": entry("F8_E4M3FNUZ")})),
    "deep": raw('{"__metadata__":' + "[" * 3000 + "]" * 3000 + "}", b""),
    "int as float offset": raw('{"a":{"dtype":"U8","shape":[4],"data_offsets":[0.0,4.0]}}'),
    "array entry": raw('{"a":["U8",[4],[0,4]]}'),
    "trailing comma": raw(f'{{"a":{J(entry())},}}'),
    "two objects": raw("{}{}", b""),
    "minus zero": raw('{"a":{"dtype":"U8","shape":[4],"data_offsets":[-0,4]}}'),
    "exponent": raw('{"a":{"dtype":"U8","shape":[4e0],"data_offsets":[0,4]}}'),
    "leading zero": raw('{"a":{"dtype":"U8","shape":[04],"data_offsets":[0,4]}}'),
    "escaped name": raw('{"\\u0061":{"\\u0064type":"U8","shape":[4],"data_offsets":[0,4]}}'),
    "control letter": raw('{"a\x01":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'),
}
# What the package takes and the converter does not, and why.
STRICTER = {
    "must have exactly dtype, shape and data_offsets": "a key that no version of the format has may change the meaning",
    "occurs twice": "readers differ in which of two tensors of one name they take",
    "has shape": "no weight has nine dimensions or a terabyte of rows; a product of such numbers would be a trap",
    "; known are BOOL": "a Gemma checkpoint has no such type, and a size in bits that nobody reads is not guessed at",
}
EXPECTED = {
    "extra key": "must have exactly",
    "array entry": "must have exactly",
    "twice": "occurs twice",
    "huge times zero": "has shape",
    "rank 9": "has shape",
    **dict.fromkeys(("F4", "F8_E8M0", "C64", "F6", "F8_E4M3FNUZ"), "; known are BOOL"),
}


def ours(path: Path) -> Found | str:
    try:
        return {name: (tensor.dtype, tensor.shape) for name, tensor in read_file(path, "compare").items()}
    except CheckpointError as error:
        return error.found


def theirs(path: Path) -> Found | None:
    try:
        with safe_open(path, "np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  # it is no dictionary
            return {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
    except (SafetensorError, OSError):
        return None


@pytest.mark.parametrize("name", CASES)
def test_an_odd_header_is_taken_by_both_readers_or_by_neither_but_for_reasons(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(CASES[name])
    mine, other = ours(path), theirs(path)
    if name in EXPECTED:
        assert other is not None
        assert isinstance(mine, str)
        assert EXPECTED[name] in mine
    else:
        assert (None if isinstance(mine, str) else mine) == other


def test_every_reason_to_be_stricter_is_met_by_a_case() -> None:
    met = [reason for reason in STRICTER if any(words in reason for words in EXPECTED.values())]
    assert met == list(STRICTER)


NUMBERS = st.sampled_from([0, 1, 2, 4, 8, -1, 1 << 40, 1 << 62, (1 << 64) - 1, 1 << 64, 2.0, True, "4", None])
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["U8", "F32", "BF16", "F4", "I64", "f32", 7]),
        "shape": st.lists(NUMBERS, max_size=3),
        "data_offsets": st.lists(NUMBERS, min_size=1, max_size=3),
    }
)
HONEST = st.integers(0, 4).map(lambda n: {"dtype": "F32", "shape": [n, 2], "data_offsets": [0, 8 * n]})


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["a", "b", "__metadata__", ""]), ENTRIES | HONEST, max_size=2), st.integers(0, 33)
)
def test_no_header_is_taken_that_the_package_refuses(header: dict[str, Any], size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        path.write_bytes(raw(J(header), bytes(size)))
        mine, other = ours(path), theirs(path)
        if isinstance(mine, str):
            assert other is None or any(reason in mine for reason in STRICTER), (mine, other)
        else:
            assert mine == other


PARTS = {
    "__metadata__": {"format": "pt"},
    "a": entry("U8", (2, 3), 0, 6),
    "b": entry("BF16", (3,), 6, 12),
    "c": entry("F32", (), 12, 16),
    "none": entry("F16", (0, 4), 16, 16),
    "d": entry("I64", (1, 1), 16, 24),
}
HEADER, DATA = J(PARTS).encode(), bytes(range(24))
# What a damaged header may come to hold: digits, the letters of JSON, bytes of no text.
LETTERS = b'0123456789-.eE{}[]:,"\\ \n\x00\x7f\xc3\xff'


def damaged(draw: random.Random) -> bytes:
    """A file whose header was changed in one or two places; its length is mostly that of the changed header."""
    header, data = bytearray(HEADER), DATA
    for _ in range(draw.randint(0, 2)):
        at = draw.randrange(len(header))
        kind = draw.randrange(6)
        if kind == 0:
            header[at] = draw.choice(LETTERS)
        elif kind == 1:
            del header[at : at + draw.randint(1, 3)]
        elif kind == 2:
            header.insert(at, draw.choice(LETTERS))
        elif kind == 5:  # blanks, which mean nothing between words and something within
            header[at:at] = draw.choice([b" ", b"\n", b"\t", b"-", b"\\u0000"])
        elif kind == 3:  # one number for another, in place of letters that would no longer be JSON
            digits = [i for i, letter in enumerate(header) if chr(letter).isdigit()]
            header[draw.choice(digits)] = draw.choice(b"0123456789")
        else:
            words = draw.sample([b"U8", b"BF16", b"F32", b"F16", b"I64", b'"a"', b'"b"', b"[2, 3]", b"[3]", b"[]"], 2)
            header = header.replace(words[0], words[1], draw.randint(1, 2))
    if draw.random() < 0.1:
        data = data[: draw.randrange(len(data))]
    length = len(header) if draw.random() < 0.9 else draw.randrange(2 * len(header))
    return raw(bytes(header), data, length)


def test_a_damaged_header_is_refused_as_the_package_refuses_it_and_what_both_take_holds_the_same_bytes(
    tmp_path: Path,
) -> None:
    path, outcomes = tmp_path / "x.safetensors", Counter[str]()
    for content in (raw(HEADER, DATA), *(damaged(random.Random(seed)) for seed in range(600))):
        path.write_bytes(content)
        mine, other = ours(path), theirs(path)
        if isinstance(mine, str):
            assert other is None or any(reason in mine for reason in STRICTER), (content, mine, other)
            outcomes["refused by both" if other is None else "refused here alone"] += 1
            continue
        assert mine == other, content
        read = {name: tensor.read().tobytes() for name, tensor in read_file(path, "compare").items()}
        assert read == {name: bytes(part["data"]) for name, part in deserialize(content)}, content
        outcomes["taken by both"] += 1
    assert outcomes["refused by both"] > 200
    assert outcomes["taken by both"] > 100
