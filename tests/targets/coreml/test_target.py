"""The `.mlpackage` that comes out: integers, scales, arithmetic, functions, description; the traps of the format."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convert.checkpoint import open_checkpoint, with_digests
from convert.checkpoint.config import read_config
from convert.checkpoint.types import Checkpoint
from convert.errors import CheckpointError, PlanError
from convert.model import eager
from convert.progress import Silent
from convert.targets.coreml import CoremlOptions, convert, weights
from convert.targets.coreml.decoder import decoder
from convert.targets.coreml.signature import signatures
from tests.support.checkpoints.modules import with_text
from tests.support.coreml.tools import Package, feed, states
from tests.support.litert.tools import decibels

CONTEXT, CHUNK = 64, 16
Build = Callable[[Path, str], Package]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Each package is built once."""
    made: dict[tuple[Path, str], Package] = {}

    def get(folder: Path, precision: str) -> Package:
        if (folder, precision) not in made:
            out = tmp_path_factory.mktemp("coreml") / "Model.mlpackage"
            options = CoremlOptions(CONTEXT, (CHUNK,), precision)  # type: ignore[arg-type]
            convert(open_checkpoint(folder), options, out, Silent())
            made[folder, precision] = Package(out)
        return made[folder, precision]

    return get


def value(package: Package, op: Any, name: str) -> np.ndarray:
    (binding,) = op.inputs[name].arguments
    return np.asarray(package.value(binding.value))


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_every_code_and_scale_is_the_checkpoints_bit_for_bit(
    any_checkpoint: Path, build: Build, precision: str
) -> None:
    package, checkpoint = build(any_checkpoint, precision), open_checkpoint(any_checkpoint)
    block = {op.outputs[0].name: op for op in package.block("decode").operations if op.outputs}
    checked = 0
    for key, tensor in checkpoint.text.quants.items():
        if key.startswith("embed_tokens"):
            continue
        codes, scales = tensor.codes(0, tensor.rows), tensor.scales(0, tensor.rows)
        name = re.sub(r"\W", "_", key)
        op = block[f"{name}_weight"]
        gain = np.float32(1)
        if f"{name}_gain" in block:
            gain = package.value(block[f"{name}_gain"].attributes["val"]).reshape(-1, 1)
            assert gain.dtype == np.float32
        if tensor.bits == 2:
            found = value(package, op, "indices") - 2
            lut = value(package, op, "lut").reshape(tensor.rows, 4).astype(np.float32)
            assert np.array_equal(lut * gain, np.array([-2, -1, 0, 1], np.float32) * scales)
            dense = np.take_along_axis(lut, found.astype(np.int64) + 2, 1) * gain
            assert np.array_equal(dense, codes.astype(np.float32) * scales)
        else:
            found = value(package, op, "data")
            assert np.array_equal(value(package, op, "scale").astype(np.float32) * gain, scales)
        assert np.array_equal(found, codes), key
        checked += 1
    assert checked == sum(op.type.startswith("constexpr_") for op in block.values())


def test_a_changed_code_would_be_seen(mobile_e2b: Path, build: Build) -> None:
    """The reading above is not blind: it finds one flipped bit of weight.bin."""
    package, checkpoint = build(mobile_e2b, "float32"), open_checkpoint(mobile_e2b)
    op = package.operation("decode", "layers_0_mlp_up_proj_weight")
    offset = op.inputs["data"].arguments[0].value.blobFileValue.offset + 64
    damaged = bytearray(package.weights)
    damaged[offset] ^= 1
    other = replace(package, weights=bytes(damaged), records=[])
    tensor = checkpoint.text.quants["layers.0.mlp.up_proj"]
    other.weights = bytes(damaged)
    assert (value(other, op, "data") != tensor.codes(0, tensor.rows)).sum() == 1


def unrounded(folder: Path) -> Checkpoint:
    """The checkpoint as the program holds it: a q4_0 weight is code times scale, before its rounding to bfloat16."""
    return with_text(open_checkpoint(folder), stored="integers")


def logits(package: Package, checkpoint: Checkpoint, ids: np.ndarray) -> np.ndarray:
    """Of every token after the first chunk, state carried from the prefill through single steps."""
    kept, out = states(package), []
    package.run(f"prefill_{CHUNK}", feed(package, checkpoint, ids, 0, CHUNK), kept, {})
    for at in range(CHUNK, len(ids)):
        out.append(package.run("decode", feed(package, checkpoint, ids, at, 1), kept, {}).reshape(-1))
    return np.asarray(out, np.float32)


@pytest.mark.parametrize("name", ["q4_0_e2b", "mobile_e4b"])
def test_a_float32_program_is_the_decoder_beyond_the_window(
    name: str, request: pytest.FixtureRequest, build: Build
) -> None:
    folder = request.getfixturevalue(name)
    ids = np.random.default_rng(3).integers(110, 1000, 32).astype(np.int32)  # the window is 24
    checkpoint = unrounded(folder)
    expected = eager.run(checkpoint.text, ids, CHUNK, CONTEXT)[CHUNK:]
    assert decibels(expected, logits(build(folder, "float32"), checkpoint, ids)) >= 100


def test_a_float16_program_of_a_calm_model_chooses_the_same_tokens(q4_0_e2b: Path, build: Build) -> None:
    ids = np.random.default_rng(3).integers(110, 1000, 28).astype(np.int32)
    checkpoint = unrounded(q4_0_e2b)
    expected = eager.run(checkpoint.text, ids, CHUNK, CONTEXT)[CHUNK:]
    found = logits(build(q4_0_e2b, "float16"), checkpoint, ids)
    assert decibels(expected, found) >= 40
    assert (expected.argmax(-1) == found.argmax(-1)).all()


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_coremltools_reads_the_program_and_infers_the_same_types(
    mobile_e2b: Path, build: Build, precision: str
) -> None:
    load = pytest.importorskip("coremltools.converters.mil.frontend.milproto.load")
    from coremltools.converters.mil.mil import types
    from coremltools.proto import Model_pb2

    package = build(mobile_e2b, precision)
    model = Model_pb2.Model.FromString((package.path / "Data/com.apple.CoreML/model.mlmodel").read_bytes())
    program = load.load(model, 9, str(package.path / "Data/com.apple.CoreML/weights"))
    assert program.functions.keys() == {"decode", f"prefill_{CHUNK}"}
    compared = 0
    for name, function in program.functions.items():
        inferred = {var.name: var for op in function.operations for var in op.outputs}
        for op in package.block(name).operations:
            for output in op.outputs:
                declared = output.type.tensorType
                var = inferred[output.name]
                assert tuple(var.shape) == tuple(d.constant.size for d in declared.dimensions), output.name
                kind = {"str": "string"}.get(types.builtin_to_string(var.dtype), types.builtin_to_string(var.dtype))
                assert kind.replace("fp", "float") == Package.dtype(output).lower(), output.name
                compared += 1
    assert compared > 1000


def test_prefill_and_decode_share_one_copy_of_the_weights(any_checkpoint: Path) -> None:
    checkpoint = open_checkpoint(any_checkpoint)
    both = decoder(checkpoint, CoremlOptions(CONTEXT, (8, 16))).storage.size
    assert both <= 1.01 * decoder(checkpoint, CoremlOptions(CONTEXT, ())).storage.size


def test_the_same_input_gives_the_same_bytes_wherever_it_lies(mobile_e2b: Path, tmp_path: Path) -> None:
    found = []
    for where in ("a", "somewhere/else"):
        folder = shutil.copytree(mobile_e2b, tmp_path / where / "model")
        out = tmp_path / str(len(found)) / "x.mlpackage"
        convert(with_digests(open_checkpoint(folder)), CoremlOptions(CONTEXT, (8,)), out, Silent())
        found.append(
            {p.relative_to(out): hashlib.sha256(p.read_bytes()).digest() for p in out.rglob("*") if p.is_file()}
        )
    assert len(found[0]) == 3
    assert found[0] == found[1]


def test_the_description_says_what_every_input_state_and_output_is(q4_0_e4b: Path, build: Build) -> None:
    model = build(q4_0_e4b, "float16").model
    assert model.specificationVersion == 9
    assert model.description.defaultFunctionName == "decode"
    described = {f.name: f for f in model.description.functions}
    for name, function in model.mlProgram.functions.items():
        features = [*described[name].input, *described[name].state]
        assert [f.name for f in features] == [value.name for value in function.inputs]
        assert all(f.shortDescription.endswith(".") for f in (*features, *described[name].output))
    kept = [tuple(f.type.stateType.arrayType.shape) for f in described["decode"].state]
    # owners, heads, rows, head size: the window is 24
    assert kept == [(5, 2, 32, 64)] * 2 + [(1, 2, 64, 128)] * 2
    about = model.description.metadata
    assert about.versionString
    assert about.userDefined["gemma_bridge.source.format"] == "q4_0"
    assert re.fullmatch("[0-9a-f]{64}", about.userDefined["gemma_bridge.inputs.sha256"])


def test_gelu_stays_the_tanh_one(mobile_e2b: Path, build: Build) -> None:
    package = build(mobile_e2b, "float16")
    ops = [op for op in package.block("decode").operations if op.type == "gelu"]
    modes = {op.inputs["mode"].arguments[0].name for op in ops}
    found = {package.value(package.operation("decode", name).attributes["val"]) for name in modes}
    assert (len(ops), found) == (20, {"TANH_APPROXIMATION"})


def test_no_id_and_no_angle_goes_into_the_program(mobile_e2b: Path, build: Build) -> None:
    """At a vocabulary of 262144 an id would not fit int16, and angles lose their bits in float16: rows go in."""
    config = replace(read_config(mobile_e2b), vocab=262_144)
    for entry in signatures(config, CoremlOptions(CONTEXT, (CHUNK,))):
        types = {f.name: f.dtype for f in entry.inputs}
        assert {name for name, dtype in types.items() if dtype != "float16"} == {"position", "ring_rows"}
        assert {"cos_sliding", "sin_full", "embeddings", "per_layer_embeddings"} <= types.keys()
        assert entry.outputs[0].shape[-1] in (1, 262_144)
    blocks = [build(mobile_e2b, "float16").block(name) for name in ("decode", f"prefill_{CHUNK}")]
    operations = [op for block in blocks for op in block.operations]
    assert not {op.type for op in operations} & {"cos", "sin", "gather_along_axis", "one_hot", "band_part", "range_1d"}
    # What is gathered are rows of a ring.
    assert {op.inputs["indices"].arguments[0].name for op in operations if op.type == "gather"} == {"ring_rows"}
    assert "int16" not in str(build(mobile_e2b, "float16").model.mlProgram).lower()


def test_no_constant_leaves_what_float16_holds(mobile_e2b: Path, build: Build) -> None:
    """Masks are inputs, and finite; no large negative number hides in the program."""
    package = build(mobile_e2b, "float16")
    for op in package.block("decode").operations:
        if op.type == "const" and Package.dtype(op.attributes["val"]) in ("FLOAT16", "FLOAT32"):
            found = np.abs(np.asarray(package.value(op.attributes["val"]), np.float64))
            assert np.isfinite(found).all()
            assert found.max() <= 1e4, op.outputs[0].name
    masks = {f.name: f.shortDescription for f in package.model.description.functions[-1].input if "mask" in f.name}
    assert len(masks) == 2
    assert all("-10000" in text for text in masks.values())


def test_in_profile_ane_nothing_is_float32(mobile_e2b: Path) -> None:
    program = decoder(open_checkpoint(mobile_e2b), CoremlOptions(CONTEXT, (CHUNK,), "float16", "ane"))
    found = {
        operation.output.dtype
        for function in program.functions.values()
        for operation in function.live()
        if operation.output is not None
    }
    assert found == {"float16", "int8", "int32", "bool", "string"}


@given(
    scale=st.floats(2.0**-24, 2.0**8, width=32),
    code=st.integers(-128, 127),
)
def test_a_scale_is_split_without_loss(scale: float, code: int) -> None:
    tensor = OneScale(np.array([[scale]], np.float32))
    whole, gain = weights.split(tensor, "float16")
    assert gain is not None
    assert np.float32(whole[0, 0]) * gain[0] == np.float32(scale)
    product = np.float16(whole[0, 0]) * np.float16(code)
    assert float(product) == float(whole[0, 0]) * code


def test_block_scales_that_float16_cannot_hold_are_moved_by_a_power_of_two_or_refused() -> None:
    plain, gain = weights.split(OneScale(np.array([[0.00341796875, -0.5]], np.float32)), "float16")
    assert gain is None
    moved, gain = weights.split(OneScale(np.array([[2.0**-20 * 1.3671875, -(2.0**-19)]], np.float32)), "float16")
    assert gain is not None
    assert (gain.shape, np.frexp(gain)[0].tolist()) == ((1,), [0.5])
    assert gain[0] == 2.0**-3  # no further than needed
    assert np.array_equal(moved.astype(np.float16).astype(np.float32), moved)
    assert np.array_equal(plain, np.array([[0.00341796875, -0.5]], np.float32))
    with pytest.raises(PlanError, match="float16 cannot hold them exactly"):
        weights.split(OneScale(np.array([[2.0**-30 * 1.3671875, 100.0]], np.float32)), "float16")


class OneScale:
    """A row of nothing but scales."""

    name, bits, rows = "row", 4, 1

    def __init__(self, scales: np.ndarray) -> None:
        self._scales, self.groups, self.columns = scales, scales.shape[1], 32 * scales.shape[1]

    def scales(self, start: int, stop: int) -> np.ndarray:
        return self._scales[start:stop]

    codes = packed = scales


def test_a_number_that_float16_cannot_hold_is_refused_by_name(q4_0_e2b: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(q4_0_e2b, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.language_model.per_layer_model_projection.weight"][7, 3] = torch.tensor(1e6, dtype=torch.bfloat16)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"per_layer_model_projection.*float16 cannot.*--precision float32"):
        convert(open_checkpoint(folder), CoremlOptions(CONTEXT, (8,)), tmp_path / "x.mlpackage", Silent())
