"""The decoder's mathematics, against transformers and against itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from convert.checkpoint import open_checkpoint
from convert.checkpoint.config import FULL, SLIDING, Rope
from convert.model import eager
from convert.model.rope import angles, inverse_frequencies, rotate
from convert.model.signature import cache_tensors, signatures
from convert.targets.coreml import CoremlOptions
from convert.targets.coreml import signature as coreml
from convert.targets.litert import signature as litert
from convert.targets.litert.cache_rows import ring_rows
from tests.support.litert.tools import decibels


def tokens(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(110, 1000, count).astype(np.int32)


def reference(folder: Path, ids: np.ndarray) -> np.ndarray:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(ids.astype(np.int64))[None]).logits[0])


@pytest.mark.parametrize("name", ["q4_0_e2b", "q4_0_e4b"])
def test_the_decoder_is_transformers_gemma_4_to_100_db_beyond_the_window(
    name: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(name)
    ids = tokens(60)  # the window is 24
    expected, found = reference(folder, ids), eager.run(open_checkpoint(folder).text, ids, 45, 96)
    assert decibels(expected, found) >= 100
    assert (expected.argmax(-1) == found.argmax(-1)).all()


def test_a_mobile_model_starts_out_as_transformers_has_it(mobile_e2b: Path) -> None:
    """Later positions are chaotic: static activations flip on the last float bit. The first ones are not."""
    ids = tokens(3)
    expected, found = reference(mobile_e2b, ids), eager.run(open_checkpoint(mobile_e2b).text, ids, 3, 32)
    assert decibels(expected, found) >= 60


def test_chunks_and_single_tokens_give_the_same_logits(q4_0_e4b: Path) -> None:
    text, ids = open_checkpoint(q4_0_e4b).text, tokens(40)
    whole, pieces = eager.run(text, ids, 40, 64), eager.run(text, ids, 1, 64)
    assert decibels(whole, pieces) >= 100


@pytest.mark.parametrize(("kind", "dim"), [(SLIDING, 256), (FULL, 512)])
def test_inverse_frequencies_are_those_of_transformers(kind: str, dim: int) -> None:
    from transformers import Gemma4TextConfig
    from transformers.models.gemma4.modeling_gemma4 import Gemma4TextRotaryEmbedding

    theirs = Gemma4TextRotaryEmbedding(Gemma4TextConfig(num_hidden_layers=6))
    rope = Rope(1e4, "default", 1.0) if kind == SLIDING else Rope(1e6, "proportional", 0.25)
    assert torch.equal(inverse_frequencies(rope, dim), getattr(theirs, f"{kind}_inv_freq"))


def test_turning_keeps_lengths_and_depends_on_the_distance_alone() -> None:
    frequencies = inverse_frequencies(Rope(1e4, "default", 1.0), 64)
    x, y = torch.randn(1, 1, 1, 64, dtype=torch.float64), torch.randn(1, 1, 1, 64, dtype=torch.float64)

    def product(a: int, b: int) -> float:
        turned = [rotate(v, *angles(torch.tensor([p]), frequencies.double())) for v, p in ((x, a), (y, b))]
        return float((turned[0] * turned[1]).sum())

    assert rotate(x, *angles(torch.tensor([9]), frequencies)).norm().item() == pytest.approx(x.norm().item(), rel=1e-6)
    assert product(12, 5) == pytest.approx(product(107, 100), rel=1e-4)
    assert product(12, 5) != pytest.approx(product(12, 6), rel=1e-4)


def test_signatures_list_prefill_by_length_and_decode_last(mobile_e2b: Path) -> None:
    config = open_checkpoint(mobile_e2b).text.config
    found = signatures(config, 128, (64, 16), "float16", "int8")
    assert [s.name for s in found] == ["prefill_16", "prefill_64", "decode"]
    assert [s.gives_logits for s in found] == [False, False, True]
    assert [[t.name for t in s.outputs] for s in found] == [[], [], ["logits"]]
    assert {t.dtype for s in found for t in (*s.inputs, *s.outputs)} == {"float16"}
    states = found[0].states
    assert len(states) == 2 * len(config.owners)
    assert {t.dtype for t in states} == {"int8"}
    keys, values = states[0].shape, states[1].shape
    assert keys == (values[0], values[1], values[3], values[2])


def test_a_target_adds_to_the_signatures_of_the_decoder(mobile_e2b: Path) -> None:
    config = open_checkpoint(mobile_e2b).text.config
    common = signatures(config, 128, (64, 16), "float32", "float32")
    in_litert = litert.signatures(config, 128, (64, 16), "float32")
    in_coreml = coreml.signatures(config, CoremlOptions(128, (64, 16), "float32"))
    for ours, *theirs in zip(common, in_litert, in_coreml, strict=True):
        for found in theirs:
            assert (found.name, found.length) == (ours.name, ours.length)
            assert found.inputs[: len(ours.inputs)] == ours.inputs
            assert set(ours.outputs) <= set(found.outputs)
            assert all(t.meaning.endswith(".") for t in (*found.inputs, *found.outputs, *found.states))
        passed, kept = theirs
        # LiteRT keeps no more rows of a sliding layer than it looks at.
        assert [(t.name, t.dtype) for t in passed.states] == [(t.name, t.dtype) for t in ours.states]
        assert passed.states == cache_tensors(config, 128, "float32", ring_rows(config, 128)) != ours.states
        assert passed.inputs[-len(ours.states) :] == passed.outputs[: len(ours.states)] == passed.states
        assert [t.name for t in kept.states] == ["keys_sliding", "values_sliding", "keys_full", "values_full"]
        assert not set(kept.states) & {*kept.inputs, *kept.outputs}
