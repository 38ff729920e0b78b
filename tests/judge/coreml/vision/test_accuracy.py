"""Whether the packages still see: questions about pictures, put to the evaluator and to transformers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from runtime_tests.coreml.greedy import answers
from runtime_tests.coreml.rungs.task import climb
from runtime_tests.coreml.vision import accuracy
from runtime_tests.coreml.vision.accuracy import compare_accuracy
from runtime_tests.questions.evaluation import read_evaluation
from runtime_tests.questions.pictured import Pictured
from runtime_tests.rungs.images import accuracy as shared
from tests.judge.coreml.vision.bed import ROWS, Bed, faults
from tests.judge.coreml.vision.test_tower import BlueFirst
from tests.support.vision.questions import AWAY, SQUARE, agreement, sure

STEPS = 2


@pytest.fixture(scope="module")
def asked(float_bed: Bed) -> tuple[Pictured, ...]:
    return sure(float_bed.case, float_bed.case.tower, ROWS, {SQUARE: 4, (120, 200): 1}, STEPS)


@pytest.fixture(autouse=True)
def few(asked: tuple[Pictured, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """These questions, and so many tokens of an answer as they were asked for."""
    monkeypatch.setattr(shared, "STEPS", STEPS)
    monkeypatch.setattr(accuracy, "read_pictured", lambda folder: asked)


def test_the_packages_answer_about_pictures_as_transformers_does(float_bed: Bed) -> None:
    agreement(compare_accuracy(float_bed.case), "the evaluator", 5)


def test_a_package_that_sees_other_colours_is_caught(float_bed: Bed) -> None:
    case = float_bed.lowered_with("Vision", BlueFirst)
    case.__dict__["reference"] = float_bed.case.reference
    assert AWAY in faults(compare_accuracy(case))


def one_off(asked: Any, ids: Any, rows: Any) -> Any:
    placed = np.flatnonzero(ids == asked.whole.image) + 1
    return dict(zip(placed.tolist(), rows, strict=True))


def own_per_layer_row(asked: Any, ids: Any) -> Any:
    return ids


def another_picture(case: Any, lengths: Any, image: Any) -> Any:
    return np.zeros((image.rows, case.dims.hidden), np.float32)


@pytest.mark.parametrize(
    ("name", "fault"), [("_placed", one_off), ("_prompt", own_per_layer_row), ("_encode", another_picture)]
)
def test_rows_at_another_place_or_of_another_picture_are_caught(
    name: str, fault: Any, float_bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accuracy, name, fault)
    assert AWAY in faults(compare_accuracy(float_bed.case))


def test_rows_that_come_token_by_token_are_those_that_are_prefilled(
    float_bed: Bed, asked: tuple[Pictured, ...]
) -> None:
    """Beside a prompt of few tokens, whose answers begin before the picture does."""
    case = float_bed.case
    found = shared.Asked(case, case.tower, ROWS, asked[:1])
    (ids,), (rows,) = found.ids, found.rows(lambda image: accuracy._encode(case, [ROWS], image))
    prompt, placed, evaluator = accuracy._prompt(found, ids), accuracy._placed(found, ids, rows), case.evaluator()
    alone = answers(case, evaluator, [prompt], STEPS, frozenset(), [placed])
    both = answers(case, evaluator, [prompt[:3], prompt], STEPS, frozenset(), [{}, placed])
    assert both[1].tolist() == alone[0].tolist()
    assert found.text(alone[0]).strip() == asked[0].answer


def test_packages_that_take_no_images_or_a_checkpoint_without_questions_are_not_asked(
    float_bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compare_accuracy(float_bed.like(None)) == []
    monkeypatch.setattr(accuracy, "read_pictured", lambda folder: ())
    assert compare_accuracy(float_bed.case) == []


def test_who_asks_for_few_questions_is_asked_few_about_pictures_too(
    float_bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = float_bed.case
    line = {"id": "a", "family": "sums", "messages": [{"role": "user", "content": "1 + 1?"}], "answer": "2"}
    (tmp_path / "one.jsonl").write_text(json.dumps(line), "utf-8")
    monkeypatch.setattr(case, "evaluation", read_evaluation(case.folder.path, tmp_path / "one.jsonl"))
    found = {check.name: check for check in climb(case).checks}
    assert found["questions"].found == 1
    assert found["pictures: answered by the reference"].note == "of 1, evenly drawn from 5"
    assert found["pictures: right in the evaluator, same pixels"].found == 100


@pytest.mark.parametrize(("rows", "length"), [(64, 70), (70, 70), (71, 140)])
def test_a_picture_goes_through_the_shortest_function_that_has_room(
    rows: int, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[int] = []

    def run(case: Any, budget: int, image: Any, arithmetic: str) -> Any:
        called.append(budget)
        return {"rows": torch.zeros(1, budget, 8)}

    monkeypatch.setattr(accuracy, "run", run)
    image: Any = SimpleNamespace(rows=rows)
    assert accuracy._encode(cast(Any, None), [70, 140], image).shape == (rows, 8)
    assert called == [length]
