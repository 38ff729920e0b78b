"""The reader of packages: what it finds is what was written, and damage is one clear error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_tests.errors import InputError
from runtime_tests.readers.coreml.blobs import TYPES, Blob, unpack
from runtime_tests.readers.coreml.mlpackage import open_mlpackage
from runtime_tests.readers.coreml.rows import open_rows
from tests.support.coreml.mil_tools import builder, save, spec
from tests.support.coreml.patient import WEIGHTS, Patient

CODES = np.random.default_rng(3).integers(-8, 8, (6, 33)).astype(np.int8)
CRUMBS = np.random.default_rng(4).integers(0, 4, (6, 33)).astype(np.uint8)
LARGE = np.arange(4096, dtype=np.float32).reshape(64, 64)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Odd widths, so that rows of four and two bits do not begin on bytes."""
    mb = builder()
    from coremltools.converters.mil.mil.types import np_int4_dtype, np_uint2_dtype

    def build(x):  # type: ignore[no-untyped-def]
        mb.constexpr_blockwise_shift_scale(
            data=CODES.astype(np_int4_dtype), scale=np.full((6, 1), 0.5, np.float16), name="nibbles"
        )
        table = np.zeros((6, 1, 4, 1), np.float16)
        mb.constexpr_lut_to_dense(indices=CRUMBS.astype(np_uint2_dtype), lut=table, name="crumbs")
        return mb.matmul(x=x, y=LARGE, name="product")

    return save(tmp_path_factory.mktemp("read") / "Small.mlpackage", build, [spec(np.zeros((1, 64), np.float32))])


@pytest.fixture
def patient(package: Path, tmp_path: Path) -> Patient:
    return Patient(package, tmp_path / "copy")


def test_packed_integers_come_back_as_they_were_written_row_by_row(package: Path) -> None:
    main = open_mlpackage(package).functions["main"]
    (codes,), (crumbs,) = main.producer["nibbles"].inputs["data"], main.producer["crumbs"].inputs["indices"]
    np.testing.assert_array_equal(codes.array(), CODES)  # type: ignore[union-attr]
    np.testing.assert_array_equal(codes.array(1, 4), CODES[1:4])  # type: ignore[union-attr]
    np.testing.assert_array_equal(crumbs.array(3, 5), CRUMBS[3:5])  # type: ignore[union-attr]
    assert main.constant(main.producer["product"].inputs["y"][0]).array().tolist() == LARGE.tolist()  # type: ignore[union-attr]


def test_the_digest_of_a_package_is_that_of_its_sha256sum_listing(package: Path) -> None:
    import hashlib

    files = sorted(file for file in package.rglob("*") if file.is_file())
    lines = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(package).as_posix()}\n" for f in files]
    opened = open_mlpackage(package)
    assert opened.sha256() == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert opened.size == sum(file.stat().st_size for file in files)


@given(
    st.sampled_from([1, 2, 3, 4, 6]),
    st.booleans(),
    st.lists(st.integers(0, 63), min_size=1, max_size=40),
    st.integers(0, 7),
)
@settings(max_examples=60, deadline=None)
def test_unpacking_inverts_packing_for_every_width(bits: int, signed: bool, fields: list[int], skip: int) -> None:
    fields = [field % (1 << bits) for field in fields]
    skipped = skip * bits
    word = sum(field << (skipped + i * bits) for i, field in enumerate(fields))
    packed = np.frombuffer(word.to_bytes(-(-(skipped + len(fields) * bits) // 8), "little"), np.uint8)
    sign = 1 << (bits - 1)
    expected = [(field ^ sign) - sign if signed else field for field in fields]
    assert unpack(packed, bits, skipped, len(fields), signed).tolist() == expected


def test_every_data_type_of_the_storage_has_a_width() -> None:
    for name, bits in TYPES.values():
        data = np.zeros(bits, np.uint8)  # eight elements
        assert Blob(name, bits, data, (8,)).array().shape == (8,)


def _weights(patient: Patient, change: Callable[[bytearray], None]) -> None:
    data = bytearray((patient.path / WEIGHTS).read_bytes())
    change(data)
    (patient.path / WEIGHTS).write_bytes(bytes(data))


def _manifest(patient: Patient, change: Callable[[dict[str, Any]], None]) -> None:
    file = patient.path / "Manifest.json"
    found = json.loads(file.read_text())
    change(found)
    file.write_text(json.dumps(found))


def _root(found: dict[str, Any]) -> dict[str, Any]:
    return found["itemInfoEntries"][found["rootModelIdentifier"]]  # type: ignore[no-any-return]


DAMAGE: dict[str, tuple[Callable[[Patient], Any], str]] = {
    "no weights": (lambda p: (p.path / WEIGHTS).unlink(), "weight.bin: cannot be read"),
    "cut weights": (lambda p: _weights(p, lambda d: d.__delitem__(slice(300, None))), "record at|no record can lie"),
    "empty weights": (lambda p: (p.path / WEIGHTS).write_bytes(b""), "0 bytes, expected a header"),
    "old storage": (lambda p: _weights(p, lambda d: d.__setitem__(4, 1)), "storage version 1, expected 2"),
    "sentinel": (lambda p: _weights(p, lambda d: d.__setitem__(64, 0)), "expected 0xdeadbeef"),
    "unknown type": (lambda p: _weights(p, lambda d: d.__setitem__(68, 99)), "unknown data type 99"),
    "other type": (lambda p: _weights(p, lambda d: d.__setitem__(68, 4)), "holds int8, the program says"),
    "size": (lambda p: _weights(p, lambda d: d.__setitem__(72, d[72] + 1)), "need"),
    "offset": (lambda p: _weights(p, lambda d: d.__setitem__(slice(80, 88), b"\xff" * 8)), "reaches from"),
    "no manifest": (lambda p: (p.path / "Manifest.json").unlink(), "no Manifest.json"),
    "no json": (lambda p: (p.path / "Manifest.json").write_text("{"), "Manifest.json: cannot be read"),
    "root unknown": (lambda p: _manifest(p, lambda m: m.update(rootModelIdentifier="x")), "cannot be read"),
    "outside": (lambda p: _manifest(p, lambda m: _root(m).update(path="../../x")), "lies outside the package"),
    "not there": (lambda p: _manifest(p, lambda m: _root(m).update(path="x.mlmodel")), "which is not there"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_one_clear_error(patient: Patient, name: str) -> None:
    change, message = DAMAGE[name]
    change(patient)
    with pytest.raises(InputError, match=message) as caught:
        open_mlpackage(patient.path)
    assert "\n" not in str(caught.value)


def _two_outputs(patient: Patient) -> None:
    patient.block().operations.append(patient.operation("product"))


def _weights_outside(patient: Patient) -> None:
    patient.operation("nibbles").inputs["data"].arguments[0].value.blobFileValue.fileName = "@model_path/../../../../x"


PROGRAMS: dict[str, tuple[Callable[[Patient], Any], str]] = {
    "unmade": (
        lambda p: setattr(p.operation("product").inputs["x"].arguments[0], "name", "nothing"),
        "'nothing', which nothing before it makes",
    ),
    "twice": (_two_outputs, "'product' is made twice"),
    "no output": (lambda p: p.block().outputs.append("nothing"), "output 'nothing' is never made"),
    "opset": (lambda p: setattr(p.model.mlProgram.functions["main"], "opset", "CoreML0"), "no block for its own opset"),
    "blocks": (lambda p: p.operation("product").blocks.add(), "blocks of its own"),
    "attribute": (
        lambda p: p.operation("product").attributes["odd"].CopyFrom(p.operation("product").attributes["name"]),
        "attribute 'odd'",
    ),
    "name": (lambda p: setattr(p.operation("product").outputs[0], "name", "two\nlines"), "the name"),
    "rank": (lambda p: setattr(p.operation("product").outputs[0].type.tensorType, "rank", 7), "rank 7"),
    "type": (lambda p: setattr(p.operation("product").outputs[0].type.tensorType, "dataType", 77), "data type 77"),
    "outside": (_weights_outside, "lies outside the package"),
    "other model": (lambda p: p.model.ClearField("mlProgram"), "expected mlProgram"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_is_not_well_formed_is_one_clear_error(patient: Patient, name: str) -> None:
    change, message = PROGRAMS[name]
    change(patient)
    with pytest.raises(InputError, match=message) as caught:
        open_mlpackage(patient.close())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["magic", "text", "count", "rows", "cut", "absent"])
def test_a_damaged_row_table_is_one_clear_error(tmp_path: Path, damage: str) -> None:
    text = {"name": "t", "rows": 3, "columns": 8, "bits": 4, "groups": 1, "row_bytes": 4, "multiplier": 2.0}
    text |= {"rows_offset": 4096, "scales_offset": 8192, "bytes": 8204}
    if damage == "count":
        text["groups"] = -1
    if damage == "rows":
        text["rows"] = 4096
    body = b"{" if damage == "text" else json.dumps(text).encode()
    magic = b"GBROWS2\0" if damage == "magic" else b"GBROWS1\0"
    data = (magic + len(body).to_bytes(4, "little") + bytes(4) + body).ljust(8204, b"\0")
    file = tmp_path / "t.rows"
    if damage != "absent":
        file.write_bytes(data[:100] if damage == "cut" else data)
    with pytest.raises(InputError, match=r"t\.rows: "):
        open_rows(file)


def test_a_row_table_gives_codes_scales_and_the_product_with_the_multiplier(tmp_path: Path) -> None:
    text = {"name": "t", "rows": 2, "columns": 4, "bits": 4, "groups": 2, "row_bytes": 2, "multiplier": 2.0}
    body = json.dumps(text | {"rows_offset": 4096, "scales_offset": 8192, "bytes": 8208}).encode()
    data = bytearray(8208)
    data[:16] = b"GBROWS1\0" + len(body).to_bytes(4, "little") + bytes(4)
    data[16 : 16 + len(body)] = body
    data[4096:4100] = bytes([0x8F, 0x21, 0x70, 0x07])  # codes -1 -8 1 2 and 0 7 7 0
    data[8192:8208] = np.array([0.5, 1.0, 2.0, 4.0], np.float32).tobytes()
    (tmp_path / "t.rows").write_bytes(data)
    table = open_rows(tmp_path / "t.rows")
    assert table.lookup(np.array([1, 0])).tolist() == [[0.0, 28.0, 56.0, 0.0], [-1.0, -8.0, 2.0, 4.0]]
    with pytest.raises(InputError, match="has 2 rows"):
        table.lookup(np.array([2]))
