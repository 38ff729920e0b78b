"""The reference's continuations, read along tokens that somebody else gave: rung 3 and golden.json stand on them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from convert.checkpoint import open_checkpoint as read
from convert.progress import Silent
from convert.targets.litert import LitertOptions, convert
from runtime_tests.errors import CannotRunError
from runtime_tests.ladder import climb
from runtime_tests.litert.case import DECODER, LitertCase
from runtime_tests.litert.rungs.engine import _parted
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.rungs import continuations
from runtime_tests.rungs.continuations import along
from tests.support.litert.patient import Patient
from tests.support.whole_reference import greedy

VOCAB, STOP = 40, 9


class Scripted:
    """A reference that counts upwards from any token to the stop token, each token with a margin of its own."""

    def __init__(self, margins: dict[int, float], moved: float = 0.1) -> None:
        self.margins, self.moved, self.read = margins, moved, list[list[int]]()

    def rows(self, ids: Any) -> Any:
        out = np.zeros((len(ids), VOCAB), np.float32)
        for row, token in enumerate(ids):
            out[row, token + 1] = self.margins.get(int(token) + 1, 5.0)
        return out

    def many(self, sequences: Any, firsts: Any, draws: int = 0, relative: float = 0.0) -> Any:
        for i in reversed(range(len(sequences))):  # in an order of its own, as batches by length have
            self.read.append([int(token) for token in sequences[i]])
            rows = self.rows(sequences[i])[firsts[i] :]
            yield i, rows, [rows + np.float32(self.moved)] * draws


def case(reference: Scripted) -> LitertCase:
    held: dict[str, Any] = {"lattice_fault": "none", "stops": [STOP], "draws": int, "continuations": [], "further": []}
    return cast(LitertCase, SimpleNamespace(reference=reference, **held))


def tokens(*values: int) -> Any:
    return np.array(values, np.int32)


class Flipping(Scripted):
    """One whose roundings flip in the draws of a prompt that begins with 3, and by luck in none of another's."""

    def many(self, sequences: Any, firsts: Any, draws: int = 0, relative: float = 0.0) -> Any:
        for i, rows, moved in super().many(sequences, firsts, draws, relative):
            yield i, rows, moved if int(sequences[i][0]) == 3 else [rows] * draws


def test_what_a_flip_does_after_one_prompt_it_may_do_after_another() -> None:
    margins = {7: 0.15}
    lucky, flipped = along(case(Flipping(margins)), [tokens(2, 5), tokens(3, 5)], [tokens(6, 7, 8, STOP)] * 2)
    assert lucky.deviation == pytest.approx([0.1] * 4)
    assert (lucky.sure, flipped.sure) == (1, 1), "a margin of 0.15 is a near-tie where a flip moves a logit by 0.1"
    (alone,) = along(case(Flipping(margins)), [tokens(2, 5)], [tokens(6, 7, 8, STOP)])
    assert alone.sure == 4
    known = case(Flipping(margins))
    known.continuations = [flipped]
    (later,) = along(known, [tokens(2, 5)], [tokens(6, 7, 8, STOP)])
    assert later.sure == 1


def test_tokens_that_are_all_the_first_choice_are_the_continuation() -> None:
    (found,) = along(case(Scripted({})), [tokens(2, 5)], [tokens(6, 7, 8, STOP)])
    assert (found.new.tolist(), found.sure) == ([6, 7, 8, STOP], 4)
    assert found.best[:, 0].tolist() == found.new.tolist()
    assert found.deviation == pytest.approx([0.1] * 4)


@pytest.mark.parametrize("said", [[6, 20, 21, 22], [6, STOP], [6, 20]])
def test_where_they_part_the_references_own_choice_ends_it(said: list[int]) -> None:
    (found,) = along(case(Scripted({7: 0.1})), [tokens(2, 5)], [tokens(*said)])
    assert (found.new.tolist(), found.sure) == ([6, 7], 1)
    assert _parted(0, found, tokens(*said)) == "", "at a near-tie either may be right"


def test_a_token_that_is_not_the_first_choice_where_that_is_certain_is_named() -> None:
    (found,) = along(case(Scripted({})), [tokens(2, 5)], [tokens(6, 20, 21, 22)])
    assert (found.new.tolist(), found.sure) == ([6, 7], 2)
    assert _parted(3, found, tokens(6, 20, 21, 22)) == "prompt 3, step 1: 20, expected 7"
    assert _parted(0, found, tokens(6)) == "prompt 0, step 1: nothing, expected 7"


def test_going_on_where_the_reference_stops_is_no_first_choice() -> None:
    (found,) = along(case(Scripted({})), [tokens(2, 7)], [tokens(8, 30, 31)])
    assert (found.new.tolist(), _parted(0, found, tokens(8, 30, 31))) == ([8, STOP], "prompt 0, step 1: 30, expected 9")


@pytest.mark.parametrize("said", [[6, 7, 8, STOP], [6, 7, 20, 21], [30, 31, 32]])
def test_near_ties_are_the_same_whatever_the_artifact_says(said: list[int]) -> None:
    reference = Scripted({8: 0.1, 6: 0.3})
    (found,) = along(case(reference), [tokens(2, 5)], [tokens(*said)])
    assert found.sure == min(2, len(found.new))


def test_an_artifact_that_says_nothing_leaves_the_references_first_choice() -> None:
    (found,) = along(case(Scripted({})), [tokens(2, 5)], [tokens()])
    assert found.new.tolist() == [6]


def test_every_prompt_is_read_once_and_all_of_them_in_one_call() -> None:
    reference = Scripted({})
    found = along(case(reference), [tokens(2, 5), tokens(2, 3, 4, 7)], [tokens(6, 7), tokens(8, STOP)])
    assert sorted(reference.read) == [[2, 3, 4, 7, 8], [2, 5, 6]]
    assert [item.new.tolist() for item in found] == [[6, 7], [8, STOP]]


@pytest.fixture(scope="module")
def real(q4_0_e2b: Path, tmp_path_factory: pytest.TempPathFactory) -> LitertCase:
    """Without static activations, where a token's logits do not depend on how many are computed at once."""
    out = tmp_path_factory.mktemp("continued") / "model.litertlm"
    convert(read(q4_0_e2b), LitertOptions(context=96, prefill=(32,), cache="float32"), out, Silent())
    return LitertCase(open_litertlm(out), open_checkpoint(q4_0_e2b))


def test_the_continuation_is_what_the_reference_generates_token_by_token(real: LitertCase) -> None:
    prompts = [np.array([real.start, *real.tokenize(text)], np.int32) for text in ("one two", "Red is a colour of")]
    own = real.greedy(prompts, [8, 5])
    wrong = [np.concatenate([new[:2], [7, 7]]).astype(np.int32) for new in own]
    for given in (own, wrong):
        for ids, said, item in zip(prompts, given, along(real, prompts, given), strict=True):
            alone, logits = greedy(real.reference, ids, len(item.new), frozenset(real.stops))
            assert item.new.tolist() == alone.tolist()
            assert item.logits == pytest.approx(np.sort(logits)[:, :-6:-1], abs=2e-3)
            parts = np.flatnonzero(said[: len(alone)] != alone)
            assert len(item.new) == (parts[0] + 1 if len(parts) else len(said))


def test_the_rounding_of_stored_weights_widens_the_floor_of_each_step(real: LitertCase) -> None:
    prompts = [np.array([real.start, *real.tokenize("one two")], np.int32)]
    (wide,) = along(real, prompts, real.greedy(prompts, [6]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LitertCase, "lattice_fault", "as if it were not known")
        (narrow,) = along(real, prompts, real.greedy(prompts, [6]))
    assert (wide.deviation > narrow.deviation).all()
    assert (wide.typical > narrow.typical).all()


def test_without_an_interpreter_the_reference_generates(real: LitertCase, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = [np.array([real.start, *real.tokenize("one two")], np.int32)]

    def refusing(*_: Any) -> Any:
        raise CannotRunError("no runtime")

    expected = greedy(real.reference, prompts[0], 5, frozenset(real.stops))[0].tolist()
    monkeypatch.setattr(real, "greedy", refusing)
    assert [item.tolist() for item in continuations.drafts(real, prompts, [5])] == [expected]


def test_what_an_earlier_rung_was_told_is_not_asked_again(real: LitertCase, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = np.array([real.start, *real.tokenize("one two three")], np.int32)
    monkeypatch.setattr(real, "heard", {ids.tobytes(): tokens(5, 6, 7, 8)})
    monkeypatch.setattr(real, "greedy", lambda *_: pytest.fail("asked again"))
    assert [item.tolist() for item in continuations.drafts(real, [ids], [3])] == [[5, 6, 7]]


def test_a_damaged_artifact_chooses_other_tokens_where_the_reference_is_certain(
    real: LitertCase, tmp_path: Path
) -> None:
    patient = Patient(real.artifact.path)
    graph = patient.model(DECODER).subgraph("decode")
    rows = [patient.model(DECODER).buffer(graph.by_name[f"layers.{i}.mlp.down_proj.weight"].buffer) for i in (0, 1)]
    rows[0][:], rows[1][:] = rows[1].copy(), rows[0].copy()
    (tmp_path / "model.litertlm").write_bytes(patient.bytes)
    damaged = LitertCase(open_litertlm(tmp_path / "model.litertlm"), real.folder)
    damaged.__dict__["reference"] = real.reference
    (rung,) = climb(damaged, ("3",))
    failed = {check.name for check in rung.checks if not check.passed}
    assert "not the reference's first choice before a near-tie" in failed
    assert "text differs from the reference's before a near-tie" in failed
