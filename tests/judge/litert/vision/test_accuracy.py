"""Whether a file still sees: questions about pictures, put to the stock engine and to transformers.

The tower is untrained: what is right to answer is what transformers says, to pictures in each of which it is sure.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime_tests.litert.vision import accuracy
from runtime_tests.litert.vision.accuracy import Sight, compare_accuracy, judge, look
from runtime_tests.questions.pictured import Pictured
from runtime_tests.reference.vision.patches import Sizes, make
from runtime_tests.reference.vision.whole import Whole
from runtime_tests.results import Check
from tests.judge.litert.vision.bed import Bed, faults
from tests.judge.litert.vision.test_tower import Half

SURE = 0.3  # logits between the first choice and the second
SIZES = Sizes(patch=16, kernel=3, positions=210)
AWAY = "pictures: engine away from the reference, same pixels"
RESIZED = "pictures: what the engine's own resizing changes"


@pytest.fixture(scope="module")
def asked(bed: Bed) -> tuple[Pictured, ...]:
    """Six questions, two of them with pictures that have to be resized, and the reference's own answers of a token."""
    case, found = bed.case, list[Pictured]()
    whole = Whole(case.folder.path, case.reference, case.tower)
    for seed in range(60):
        size = (384, 384) if len(found) < 4 else (200, 200)
        sight = look(replace(question(size, seed=seed), id=f"q{seed}"), 70, case.tower.sizes)
        ids = accuracy._ids(case, whole, sight)
        with whole.plain_ends():
            logits = whole.logits(ids, sight.patches, len(ids) - 1)[0]
        second, first = np.sort(logits)[-2:]
        text = case.detokenize([int(logits.argmax())]).strip()
        if first - second > SURE and text.isascii() and text:
            found.append(replace(sight.question, answer=text))
        if len(found) == 6:
            return tuple(found)
    raise AssertionError(f"{len(found)} answers of which the reference is sure")


@pytest.fixture
def few(asked: tuple[Pictured, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """These, and one token of an answer; the token behind a picture has no row of its own, as in the engine."""
    whole_answer = accuracy._answer

    def answer(case: Any, whole: Whole, *given: Any) -> str:
        with whole.plain_ends():
            return whole_answer(case, whole, *given)

    monkeypatch.setattr(accuracy, "_answer", answer)
    monkeypatch.setattr(accuracy, "STEPS", 1)
    monkeypatch.setattr(accuracy, "read_pictured", lambda folder: asked)


@pytest.mark.usefixtures("few")
def test_the_engine_answers_about_pictures_as_transformers_does(bed: Bed) -> None:
    found = {check.name: check for check in compare_accuracy(bed.case)}
    assert all(check.passed for check in found.values()), faults([*found.values()])
    assert found["pictures: right in transformers"].found == 100
    assert found["pictures: right in the stock engine, same pixels"].note == "count 6 of 6"
    assert found[AWAY].note == "0 lost, 0 gained, 0 answers differ"
    assert found[RESIZED].note.startswith("of 2 questions ")


@pytest.mark.usefixtures("few")
def test_a_file_that_sees_otherwise_is_caught(bed: Bed) -> None:
    assert AWAY in faults(compare_accuracy(bed.lowered_with("Vision", Half)))


@pytest.mark.usefixtures("few")
def test_an_engine_that_is_shown_other_pixels_is_caught(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = accuracy._chat

    def upside_down(sight: Sight, pictures: Any, path: Path) -> Any:
        return chat(sight, [picture.rotate(180) for picture in pictures], path)

    monkeypatch.setattr(accuracy, "_chat", upside_down)
    assert AWAY in faults(compare_accuracy(bed.case))


def test_a_file_that_takes_no_images_or_a_checkpoint_without_questions_is_not_asked(
    bed: Bed, asked: tuple[Pictured, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compare_accuracy(bed.case) == []
    monkeypatch.setattr(accuracy, "read_pictured", lambda folder: asked)
    monkeypatch.setattr(type(bed.case), "holds_images", False)
    assert compare_accuracy(bed.case) == []


def question(size: tuple[int, int], answer: str = "3", family: str = "count", seed: int = 2) -> Pictured:
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Pictured(
        "a", family, ({"type": "image"}, {"type": "text", "text": "How many?"}), (Image.fromarray(pixels),), answer
    )


def test_a_picture_becomes_what_the_engine_does_not_resize_any_more() -> None:
    square = look(question((384, 384)), 70, SIZES)
    assert not square.resized
    assert np.array_equal(np.asarray(square.pictures[0]), np.asarray(square.question.pictures[0]))
    other = look(question((200, 120)), 70, SIZES)
    assert other.resized
    assert other.pictures[0].size == (480, 288)
    again = make("a", other.pictures[0], 70, SIZES)
    assert np.array_equal(again.pixels, other.patches[0].pixels)


def told(found: list[Check]) -> dict[str, Check]:
    return {check.name.removeprefix("pictures: "): check for check in found}


def test_the_figures_of_the_engine_and_of_its_resizing_are_apart() -> None:
    sights = [look(question((384, 384)), 70, SIZES)] * 150 + [look(question((96, 96), family="other"), 70, SIZES)] * 50
    right = ["3"] * 200
    found = told(judge(sights, right, right, [*right[:-10], *["4"] * 10]))
    assert found["what the engine's own resizing changes"].found == -20.0
    assert (
        found["what the engine's own resizing changes"].note == "of 50 questions 10 lost, 0 gained, 10 answers differ"
    )
    assert all(check.passed for check in found.values())
    found = told(judge(sights, right, ["4", *right[1:]], right))
    assert found["engine away from the reference, same pixels"].passed  # half a point
    found = told(judge(sights, right, ["4", "4", *right[2:]], right))
    assert not found["engine away from the reference, same pixels"].passed
    found = told(judge(sights, right, right, right))
    assert found["right in the stock engine, same pixels"].note == "count 150 of 150, other 50 of 50"


def test_a_reference_that_answers_nothing_shows_nothing() -> None:
    sights = [look(question((384, 384)), 70, SIZES)]
    assert "pictures: answered by the reference" in faults(judge(sights, ["4"], ["4"], ["4"]))
