"""Caches of sliding layers keep what the next token looks at, in every loop that runs the models.

Of a checkpoint without activation scales: attention over more rows adds up in another order, and a rounding could flip.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime_genai as genai
import pytest

from convert.bundle.platforms.desktop.gemma import Gemma
from convert.checkpoint import open_checkpoint
from convert.progress import Silent
from convert.targets.onnx import TARGET, OnnxOptions, convert
from convert.targets.onnx.inspect import inspect_models
from convert.targets.onnx.sizes import cache_bytes
from runtime_tests.onnx.case import OnnxCase, open_pair
from runtime_tests.onnx.genai import greedy
from runtime_tests.onnx.runner import past
from runtime_tests.readers.checkpoint import open_checkpoint as read
from runtime_tests.readers.dimensions import SLIDING

OPTIONS = OnnxOptions(context=192, prefill=(512,))
IDS = np.random.default_rng(1).integers(3, 1000, OPTIONS.context).astype(np.int32)


@pytest.fixture(scope="module")
def model(q4_0_e2b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with all that a runtime reads beside it; its window is an eighth of the context."""
    out = tmp_path_factory.mktemp("windows") / "model.onnx"
    checkpoint = open_checkpoint(q4_0_e2b)
    convert(checkpoint, OPTIONS, out, Silent())
    TARGET.collect(checkpoint, OPTIONS, out.parent)
    return out


@pytest.fixture(scope="module")
def case(model: Path, q4_0_e2b: Path) -> OnnxCase:
    return OnnxCase(open_pair(model), read(q4_0_e2b), 1)


def test_at_the_end_of_the_context_the_caches_are_as_large_as_was_planned(
    model: Path, case: OnnxCase, q4_0_e2b: Path
) -> None:
    session, end = case.session(), 0
    window, sliding = case.dims.window, [case.dims.kinds[owner.layer] == SLIDING for owner in case.dims.owners]
    assert any(sliding)
    assert not all(sliding)
    for count in (13, 7, 2, 1, 1, 60, 108):
        session.run(IDS[end : end + count])
        end += count
        rows = [session._past[past(i, "key")].shape[2] for i in range(len(sliding))]
        assert rows == [min(end, window - 1) if slides else end for slides in sliding]
    assert end == OPTIONS.context
    held = sum(one.nbytes for one in session._past.values())
    found = inspect_models([model]).cache
    assert found is not None
    assert (found.bytes, found.ring) == (held, window - 1)
    assert cache_bytes(open_checkpoint(q4_0_e2b), OPTIONS) == held
    context = OnnxOptions(window - 2, (512,))  # all rows of such a conversation are kept
    assert cache_bytes(open_checkpoint(q4_0_e2b), context) == sum(
        8 * owner.kv_heads * owner.head_dim * context.context for owner in case.dims.owners
    )


@pytest.mark.parametrize("pieces", [(100, 92), (13, 7, 25, 80, 1, 1, 40, 25), (24, 1, 23, *[1] * 30)])
def test_no_row_that_is_left_out_is_missed(case: OnnxCase, pieces: tuple[int, ...]) -> None:
    """A buffer for the whole conversation loses none, and the same graph says the same with it."""
    short, whole, end = case.session(), case.session(), 0
    for i, owner in enumerate(case.dims.owners):
        if case.dims.kinds[owner.layer] == SLIDING:
            for part in ("key", "value"):
                junk = np.full((1, owner.kv_heads, OPTIONS.context, owner.head_dim), 7, np.float32)
                whole._past[past(i, part)] = junk
    for count in pieces:
        one, other = (session.run(IDS[end : end + count]) for session in (short, whole))
        assert np.abs(one - other).max() < 1e-4 * np.abs(one).max()
        end += count


def test_onnxruntime_genai_says_the_same_over_windows(model: Path, case: OnnxCase) -> None:
    prompts, steps = [IDS[:count] for count in (5, case.dims.window, 2 * case.dims.window - 7, 150)], [20] * 4
    for found, expected in zip(greedy(model.parent, prompts, steps, 1), case.greedy(prompts, steps), strict=True):
        assert found.tolist() == expected.tolist()


def test_onnxruntime_genai_takes_tokens_back_or_refuses(model: Path, case: OnnxCase) -> None:
    """It knows nothing of what the graph keeps, and takes back as long as its buffer of a window was not full."""
    buffer = case.dims.window + 16
    loaded = genai.Model(str(model.parent))
    params = genai.GeneratorParams(loaded)
    params.set_search_options(do_sample=False, max_length=OPTIONS.context)
    generator, session = genai.Generator(loaded, params), case.session()
    generator.append_tokens(IDS[:buffer])
    generator.rewind_to(7)
    generator.append_tokens(IDS[60:64])
    session.run(np.concatenate([IDS[:7], IDS[60:64]]))
    expected = session.run(IDS[64:65])
    generator.append_tokens(IDS[64:65])
    assert np.abs(np.asarray(generator.get_logits()).reshape(-1) - expected).max() < 1e-3 * np.abs(expected).max()
    generator.append_tokens(IDS[:buffer])
    with pytest.raises(RuntimeError, match="Cannot rewind"):
        generator.rewind_to(buffer)


@pytest.mark.parametrize("same", [5, 60, 99])
def test_the_loop_reads_again_what_it_has_lost(model: Path, same: int) -> None:
    """Another prompt that begins alike, before and behind the window."""
    for first in (20, 100):
        kept, fresh = Gemma(model.parent, 1), Gemma(model.parent, 1)
        kept.read(IDS[:first].tolist())
        other = [*IDS[: min(same, first)].tolist(), 9, 8, 7]
        found, expected = kept.read(other), fresh.read(other)
        assert kept.used == len(other)
        assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()
