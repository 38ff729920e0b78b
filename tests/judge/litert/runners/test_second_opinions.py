"""Other runtimes on the same bytes: agreement, disagreement, and reasons why one cannot answer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from runtime_tests.errors import CannotRunError
from runtime_tests.ladder import SECOND, climb, passed
from runtime_tests.litert.case import DECODER, LitertCase
from runtime_tests.litert.rungs import second
from runtime_tests.litert.rungs.second import Mine, agreement, opinions, record
from runtime_tests.litert.runners.process import Process, run
from runtime_tests.litert.runners.protocol import Arrays, Tape
from runtime_tests.litert.runners.second import PLAIN, REFERENCE, TENSORFLOW, tensorflow
from runtime_tests.pinned import venvs
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.results import Check, Rung

STEPS = 6
SAME = Process("the same kernels", "litert", "ai_edge_litert")


@pytest.fixture(scope="module")
def case(mobile_e2b: Path, tmp_path_factory: pytest.TempPathFactory) -> LitertCase:
    from convert.checkpoint import open_checkpoint as read
    from convert.progress import Silent
    from convert.targets.litert import LitertOptions, convert

    out = tmp_path_factory.mktemp("judged") / "model.litertlm"
    convert(read(mobile_e2b), LitertOptions(context=160, prefill=(32,), cache="float32"), out, Silent())
    return LitertCase(open_litertlm(out), open_checkpoint(mobile_e2b))


@pytest.fixture(scope="module")
def mine(case: LitertCase) -> Mine:
    return record(case, STEPS)


@dataclass(frozen=True)
class Altered:
    """Gives what was recorded here, altered where the name holds ``only``."""

    mine: Mine
    codes: int = 0
    floats: float = 0.0
    only: str = ""
    name: str = "altered"
    runtime: str = "tensorflow"

    def play(self, tapes: Sequence[Tape], threads: int) -> list[list[Arrays]]:
        def alter(name: str, value: np.ndarray) -> np.ndarray:
            if self.only not in name:
                return value
            if value.dtype == np.int8:
                return np.clip(value.astype(int) + self.codes, -128, 127).astype(np.int8)
            return value * np.float32(1 + self.floats)

        return [[{name: alter(name, value) for name, value in out.items()} for out in kept] for kept in self.mine.kept]


def failing(checks: list[Check]) -> list[str]:
    return [check.name.partition(": ")[2].partition(" of ")[0] for check in checks if not check.passed]


def test_a_runtime_that_gives_the_same_agrees(case: LitertCase, mine: Mine) -> None:
    checks = agreement(case, mine, Altered(mine))
    assert failing(checks) == []
    assert [check.found for check in checks] == [4 + 1 + STEPS, 1.0, 200.0, 200.0, 1.0]


@pytest.mark.parametrize(
    ("codes", "floats", "caught"),
    [(1, 0.0, ["int8 outputs equal"]), (0, 0.3, ["floats"]), (0, 10.0, ["floats", "logits"])],
)
def test_a_runtime_that_gives_something_else_is_told(
    case: LitertCase, mine: Mine, codes: int, floats: float, caught: list[str]
) -> None:
    assert failing(agreement(case, mine, Altered(mine, codes, floats))) == caught


def test_the_same_kernels_in_another_process_give_the_same_bits(case: LitertCase, mine: Mine) -> None:
    theirs = SAME.play(mine.tapes, case.threads)
    for here, there in zip(mine.kept, theirs, strict=True):
        for a, b in zip(here, there, strict=True):
            assert a.keys() == b.keys()
            assert all(a[name].dtype == b[name].dtype and np.array_equal(a[name], b[name]) for name in a)


def test_a_short_forced_decode_is_the_one_of_the_rung(case: LitertCase, mine: Mine) -> None:
    from runtime_tests.litert.rungs.lowering import forced_logits
    from runtime_tests.litert.runners.interpreter import Session

    prompt = len(case.ids[: 13 + STEPS]) - STEPS
    session = Session(case.interpreter(DECODER), case.model(DECODER))
    expected = forced_logits(case, case.ids[: 13 + STEPS], prompt, session)
    assert np.array_equal(np.stack([out["logits"].reshape(-1) for out in mine.kept[-1] if out]), expected)


def test_a_runtime_that_cannot_answer_is_written_down_with_its_reason(case: LitertCase) -> None:
    absent = replace(TENSORFLOW, package="no_such_package")
    (check,) = opinions(case, [absent]).checks
    assert (check.found, check.unit, check.limit) == (0, "calls", None)
    assert check.note == (
        "not run: no_such_package is not installed; verify --second-opinion has it in an environment of its own"
    )


@pytest.mark.parametrize(
    ("codes", "floats", "only", "said"),
    [(1, 0.0, "layers.3.", "layer 3: int8 outputs equal"), (0, 10.0, "layers.9/mlp", "layer 9: floats")],
)
def test_a_second_opinion_names_the_block_that_differs(
    case: LitertCase,
    mine: Mine,
    monkeypatch: pytest.MonkeyPatch,
    codes: int,
    floats: float,
    only: str,
    said: str,
) -> None:
    monkeypatch.setattr(second, "record", lambda case: mine)
    monkeypatch.setattr(second, "tensorflow", lambda: Altered(mine))
    (same,) = climb(case, (SECOND.name,))
    blocks = {check.name.partition(":")[0] for check in same.checks} - {"altered"}
    assert (same.status, blocks) == ("pass", {*(f"layer {i}" for i in range(10)), "embedding and head"})
    monkeypatch.setattr(second, "tensorflow", lambda: Altered(mine, codes, floats, only))
    (other,) = climb(case, (SECOND.name,))
    failed = [check.name for check in other.checks if not check.passed]
    assert (other.status, len(failed)) == ("fail", 2)
    assert failed[0].startswith("altered: ")
    assert failed[1].startswith(said)


def test_a_second_opinion_that_cannot_be_asked_is_no_failure(case: LitertCase, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> Process:
        raise CannotRunError("pip install failed: no network")

    monkeypatch.setattr(second, "tensorflow", absent)
    (rung,) = climb(case, (SECOND.name,))
    assert (rung.status, rung.why) == ("not run", "pip install failed: no network")
    assert passed([Rung("0", "", "pass", "", ()), rung], ("0",))


def test_reference_kernels_lack_an_operator_and_say_which(case: LitertCase, mine: Mine) -> None:
    """When they have it one day, this fails, and they can be given limits like the others."""
    with pytest.raises(CannotRunError, match="Didn't find op for builtin opcode"):
        REFERENCE.play(mine.tapes, case.threads)


def test_kernels_without_the_delegate_agree_within_their_limits(case: LitertCase, mine: Mine) -> None:
    checks = agreement(case, mine, PLAIN)
    assert failing(checks) == []
    assert checks[1].found < 1.0, "they round otherwise; see budgets.py"


def test_tensorflows_interpreter_gives_the_same_integers(case: LitertCase, mine: Mine) -> None:
    if not venvs.made("tensorflow"):
        pytest.skip("not run: just second-opinion has made no environment here")
    checks = agreement(case, mine, tensorflow())
    assert failing(checks) == []
    assert checks[1].found == 1.0


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.abort()", "ended with SIGABRT"),
        ("raise ValueError('no such op')", "ended with code 1: .*ValueError: no such op"),
        ("import time; time.sleep(60)", "no answer within 1 s"),
    ],
)
def test_a_process_that_ends_badly_is_a_reason_and_no_crash(code: str, words: str) -> None:
    with pytest.raises(CannotRunError, match=words):
        run([sys.executable, "-c", code], {}, 1 if "sleep" in code else 60)
