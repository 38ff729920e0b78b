"""Traps of the format that were stepped on once: what must never come back, whoever writes the code."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from convert import demo
from convert.checkpoint import open_checkpoint, with_digests
from convert.progress import Silent
from convert.targets.coreml import CoremlOptions, convert
from runtime_tests.coreml.session import MASKED
from runtime_tests.readers.coreml.mlpackage import MlPackage
from runtime_tests.readers.coreml.parts import open_parts

ROOT = Path(__file__).parents[3]
Packages = dict[str, MlPackage]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """The demo: with both functions, with decode alone, and for the Neural Engine in parts."""
    checkpoint, out = with_digests(open_checkpoint(demo.folder())), tmp_path_factory.mktemp("traps")
    chosen = {
        "both": CoremlOptions(512, (64,)),
        "decode": CoremlOptions(512, ()),
        "ane": CoremlOptions(512, (64,), "float16", "ane", 4),
    }
    for name, options in chosen.items():
        convert(checkpoint, options, out / f"{name}.mlpackage", Silent())
        convert(checkpoint, options, out / "again" / f"{name}.mlpackage", Silent())
    return {name: open_parts(out / f"{name}.mlpackage") for name in chosen}


def test_nothing_that_rounds_weights_again_is_called() -> None:
    """``linear_quantize_weights`` derives scales anew and moves QAT weights off their grid; so do its kin."""
    never = re.compile("linear_quantize_weights|palettize_weights|coremltools.optimize|prune_weights")
    sources = [path for folder in ("convert", "runtime_tests") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 100
    assert [path.name for path in sources if never.search(path.read_text("utf-8"))] == []


def test_a_second_function_costs_no_weights(packages: Packages) -> None:
    """Measured: prefill and decode share every record; weight.bin does not grow by a byte."""
    one, two = (next(packages[name].path.rglob("weight.bin")).stat().st_size for name in ("decode", "both"))
    assert two <= 1.01 * one
    assert two == one


@pytest.mark.parametrize("name", ["both", "ane"])
def test_the_same_input_gives_the_same_bytes(packages: Packages, name: str) -> None:
    package = packages[name]
    again = open_parts(package.path.parent / "again" / package.path.name)
    assert package.sha256() == again.sha256()
    assert len(package.files) == 3 * max(1, len(package.parts))


@pytest.mark.parametrize("name", ["both", "ane"])
def test_every_gelu_is_the_tanh_one(packages: Packages, name: str) -> None:
    for function in packages[name].functions.values():
        found = [function.constant(function.one(op, "mode")) for op in function.operations if op.kind == "gelu"]  # type: ignore[arg-type]
        assert {constant.held for constant in found if constant is not None} == {"TANH_APPROXIMATION"}
        assert len(found) >= 8


@pytest.mark.parametrize("name", ["both", "ane"])
def test_rows_of_tables_and_rotary_rows_are_inputs_and_masks_are_finite(packages: Packages, name: str) -> None:
    decode = packages[name].functions["decode"]
    assert {"embeddings", "per_layer_embeddings", "cos_full", "sin_full", "cos_sliding", "mask_full"} <= set(
        decode.inputs
    )
    types = {type.dtype for type in decode.types.values()}
    assert not types & {"int16", "uint16"}  # ids would not fit
    assert not {op.kind for op in decode.operations} & {"cos", "sin", "band_part"}
    rows = {("ring_rows",)} if "ring_rows" in decode.inputs else set()  # what is gathered are rows of a ring
    assert {op.inputs["indices"] for op in decode.operations if op.kind == "gather"} == rows
    assert bool(rows) == (name != "ane")
    for op in decode.operations:
        if op.constant is not None and op.constant.type.dtype.startswith("float"):
            assert np.isfinite(op.constant.array()).all()
    assert np.isfinite(np.float16(MASKED))
