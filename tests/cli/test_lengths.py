"""Context and prefill lengths: what is accepted, what is added, and that a conversation uses its context to the end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert import demo, tables
from convert.checkpoint import open_checkpoint
from convert.errors import PlanError
from convert.lengths import LEAST_CONTEXT, context_length, prefill_lengths
from convert.plan import Request, make
from convert.progress import Silent
from convert.targets import all_targets
from convert.targets.litert import convert
from convert.targets.litert.options import LitertOptions
from tests.support.commands import REPOSITORY

MOST = 2048
LITERT, COREML = ((target.prefill, target.pads) for name in ("litert", "coreml") for target in [all_targets()[name]])


@pytest.mark.parametrize(("context", "expected"), [(2048, (8, 32, 128)), (100, (8, 32, 100)), (64, (8, 32, 64))])
def test_default_prefill_lengths_are_capped_by_the_context(context: int, expected: tuple[int, ...]) -> None:
    assert prefill_lengths("plan", None, context, *LITERT) == (expected, ())


@pytest.mark.parametrize(
    ("asked", "expected", "added"),
    [
        ((1024,), (8, 32, 128, 1024), (8, 32, 128)),
        ((64, 16), (8, 16, 64), (8,)),
        ((8, 256), (8, 256), ()),
        ((4,), (4,), ()),
    ],
)
def test_shorter_lengths_are_added_to_those_asked_for(
    asked: tuple[int, ...], expected: tuple[int, ...], added: tuple[int, ...]
) -> None:
    assert prefill_lengths("plan", asked, 1024, *LITERT) == (expected, added)


def test_core_ml_gets_the_lengths_that_were_asked_for_alone() -> None:
    assert prefill_lengths("plan", (1024,), 1024, *COREML) == ((1024,), ())
    assert prefill_lengths("plan", None, 1024, *COREML) == ((128, 1024), ())


def test_the_plan_says_which_lengths_were_added_and_why(tmp_path: Path) -> None:
    checkpoint = open_checkpoint("demo")
    asked = make(Request("android", "demo", tmp_path, context=1024, prefill=(1024,)), checkpoint, "demo")
    assert "8, 32, 128, 1024 tokens (8, 32 and 128 added: without them" in tables.plan(asked)
    assert "added" not in tables.plan(make(Request("android", "demo", tmp_path), checkpoint, "demo"))


@given(context=st.integers(LEAST_CONTEXT, MOST), asked=st.lists(st.integers(1, MOST), min_size=1, max_size=4))
def test_accepted_lengths_fit_ascend_and_hold_what_was_asked_for(context: int, asked: list[int]) -> None:
    try:
        found, added = prefill_lengths("plan", tuple(asked), context, *LITERT)
    except PlanError:
        assert max(asked) > context
    else:
        assert list(found) == sorted({*asked, *added})
        assert found[0] <= 8
        assert found[-1] <= context
        # The same again, as the pipeline hands the plan's choice to its child.
        assert prefill_lengths("convert", found, context, *LITERT) == (found, ())


@pytest.mark.parametrize("asked", [(), (0,), (-1, 16), (16, 257)])
def test_prefill_lengths_outside_the_context_are_refused(asked: tuple[int, ...]) -> None:
    with pytest.raises(PlanError, match="Give --prefill lengths from 1 to 256"):
        prefill_lengths("plan", asked, 256, *LITERT)


@pytest.mark.parametrize("context", [-5, 0, 1, 16, 32, LEAST_CONTEXT - 1])
def test_a_context_too_short_to_be_judged_is_refused_before_any_work(context: int) -> None:
    with pytest.raises(PlanError, match=rf"{context} tokens was asked for, too short to judge.*--context 64 or more"):
        context_length("plan", context, MOST)


def test_a_model_that_knows_no_context_that_can_be_judged_is_refused() -> None:
    with pytest.raises(PlanError, match="trained for 32 tokens, and no conversation fits fewer than 64"):
        context_length("plan", None, 32)


def test_a_context_is_capped_by_the_model_and_refused_above_it() -> None:
    assert (context_length("plan", None, MOST), context_length("plan", None, 131072)) == (MOST, 4096)
    with pytest.raises(PlanError, match=r"2049 tokens was asked for and the model was trained for 2048\. Give"):
        context_length("plan", 2049, MOST)


TALK = """
import json, sys, tempfile
import litert_lm
litert_lm.set_min_log_severity(litert_lm.LogSeverity.SILENT)
cpu, used = litert_lm.Backend.CPU(thread_count=1), []
greedy = litert_lm.SamplerConfig(top_k=1, top_p=1.0, temperature=1.0, seed=1)
with tempfile.TemporaryDirectory() as cache, litert_lm.Engine(sys.argv[1], backend=cpu, cache_dir=cache) as engine:
    with engine.create_conversation(sampler_config=greedy) as conversation:
        message = "What is 47 + 38?"
        turn = len(engine.tokenize(conversation.render_message_to_string({"role": "user", "content": message})))
        try:
            while True:
                conversation.send_message(message)
                used.append(conversation.token_count)
        except RuntimeError:
            pass
json.dump([turn, used], sys.stdout)
"""


def test_a_conversation_in_the_stock_engine_goes_on_until_its_context_is_full(tmp_path: Path) -> None:
    """With a prefill length of 128 alone the second message would be refused."""
    context, file = 128, tmp_path / "short.litertlm"
    prefill, _ = prefill_lengths("convert", (128,), context, *LITERT)
    convert(open_checkpoint(demo.folder()), LitertOptions(context, prefill, "float32"), file, Silent())
    ran = subprocess.run(
        [sys.executable, "-c", TALK, str(file)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    turn, used = json.loads(ran.stdout)
    assert len(used) > 4
    # What is left is less than the next turn takes, rounded up to whole pieces of the shortest length.
    assert context - used[-1] < turn + prefill[0] - 1
