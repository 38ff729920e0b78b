"""Whether the models still see: questions about pictures, put to ONNX Runtime and to transformers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime_tests.onnx.case import TEXT, VISION
from runtime_tests.onnx.rungs.task import climb
from runtime_tests.onnx.vision import accuracy
from runtime_tests.onnx.vision.accuracy import compare_accuracy
from runtime_tests.questions.evaluation import read_evaluation
from runtime_tests.questions.pictured import Pictured
from runtime_tests.rungs.images import accuracy as shared
from tests.judge.onnx.vision.bed import ROWS, Bed, Seeing, faults
from tests.judge.onnx.vision.test_tower import blue_first
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


def test_the_models_answer_about_pictures_as_transformers_does(float_bed: Bed) -> None:
    agreement(compare_accuracy(float_bed.case), "ONNX Runtime", 5)


def one_behind(seeing: Seeing) -> None:
    """Each row where the one in front of it belongs, the last left out."""
    (beside,) = seeing.users("image_features")
    beside.input[:] = [*beside.input][::-1]


def own_per_layer_row(seeing: Seeing) -> None:
    """The image token's own per-layer row beside each row, and not the padding's."""
    (padded,) = [node for node in seeing.users("input_ids") if node.op_type == "Where"]
    padded.input[1] = "input_ids"


@pytest.mark.parametrize(("change", "name"), [(one_behind, TEXT), (own_per_layer_row, TEXT), (blue_first, VISION)])
def test_models_that_see_otherwise_are_caught(change: Callable[[Seeing], None], name: str, float_bed: Bed) -> None:
    assert AWAY in faults(compare_accuracy(float_bed.edited(change, name)))


def test_rows_of_another_picture_are_caught(float_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    encode, first = accuracy.encode, list[Any]()

    def always_the_first(runner: Any, image: Any, count: int) -> Any:
        first.append(encode(runner, image, count))
        return first[0][: image.rows]

    monkeypatch.setattr(accuracy, "encode", always_the_first)
    assert AWAY in faults(compare_accuracy(float_bed.case))


def test_models_that_take_no_images_or_a_checkpoint_without_questions_are_not_asked(
    float_bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = float_bed.case.like(replace(float_bed.case.artifact, images=None))
    assert compare_accuracy(case) == []
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
    assert found["pictures: right in ONNX Runtime, same pixels"].found == 100
