"""The reference layer by layer gives what the whole reference gives, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convert import demo
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.reference import trace
from runtime_tests.reference.capture import Capture
from runtime_tests.reference.model import Ids, Reference
from runtime_tests.reference.trace import Trace
from runtime_tests.weights.recovered import Recovered
from tests.support.whole_reference import Whole, capture

IDS: Ids = np.random.default_rng(3).integers(0, 256, 41).astype(np.int32)
SCALES = {0: (0.03, 0.02), 2: (0.05, 0.04)}


def folder_of(name: str, q4_0: Path, e4b: Path) -> Path:
    return {"q4_0": q4_0, "shared by two": e4b}.get(name, demo.folder())


def whole(reference: Reference, folder: Path) -> tuple[Whole, Recovered | None]:
    opened = open_checkpoint(folder)
    if opened.format == "mobile":
        return capture(reference, IDS), None
    with reference.weights(source := Recovered(opened)):
        return capture(reference, IDS), source


@pytest.mark.parametrize("name", ["demo", "int8 cache", "q4_0", "shared by two"])
def test_a_layer_by_itself_is_the_same_bit_for_bit(
    name: str, q4_0_e2b: Path, mobile_e4b: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "KEPT_BYTES", 0)  # so that layers do run again
    folder = folder_of(name, q4_0_e2b, mobile_e4b)
    reference = Reference(folder, 1)
    reference.cache_scales = SCALES if name == "int8 cache" else {}
    everything, source = whole(reference, folder)
    expected = everything.inside
    traced = Trace(reference, IDS, source)
    last = len(reference.decoder.layers) - 1
    found = Capture()
    for index in [last, *range(last), 1]:  # any order, and again
        layer = traced.layer(index)
        assert layer is traced.layer(index), "the layer at hand is not run for every question about it"
        for part in ("boundary", "keys", "values", "linears", "norms", "scales"):
            getattr(found, part).update(getattr(layer, part))
        assert np.array_equal(traced.entering(index), expected.boundary[f"layers.{index}/input"])
    found.linears.update(traced.front.linears)
    found.norms.update({**traced.front.norms, "norm": traced.norm()})
    assert found.scales == expected.scales
    for part in ("boundary", "keys", "values", "linears", "norms"):
        mine, theirs = getattr(found, part), getattr(expected, part)
        assert mine.keys() == theirs.keys()
        assert [key for key in theirs if not np.array_equal(mine[key], theirs[key])] == []
    assert np.array_equal(traced.logits(range(len(IDS))), everything.logits)
    assert np.array_equal(traced.embeddings, everything.embeddings)


def test_the_model_is_left_as_it_was() -> None:
    reference = Reference(demo.folder(), 1)

    def hooks() -> list[int]:
        return [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in reference.decoder.modules()]

    before, hooked = reference.logits(IDS), hooks()
    traced = Trace(reference, IDS)
    traced.layer(3)
    assert np.array_equal(reference.logits(IDS), before)
    assert hooks() == hooked


def test_what_a_trace_forgot_is_there_again_when_it_is_asked_for(mobile_e2b: Path) -> None:
    ids = np.arange(2, 40, dtype=np.int32)
    trace = Trace(Reference(mobile_e2b, 1), ids)
    owner = 1
    before = trace.rows(owner), trace.entering(3), trace.layer(2)
    trace.forget()
    assert all(np.array_equal(a, b) for a, b in zip(trace.rows(owner), before[0], strict=True))
    assert np.array_equal(trace.entering(3), before[1])
    again = trace.layer(2)
    assert again is not before[2]
    assert all(np.array_equal(again.linears[key], value) for key, value in before[2].linears.items())
