"""Whether a file still sees: questions about pictures, put to the stock engine and to transformers.

The tower is untrained: what is right to answer is what transformers says, to pictures in each of which it is sure.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime_tests.litert.vision import accuracy
from runtime_tests.litert.vision.accuracy import compare_accuracy, judge_resizing, shown
from runtime_tests.questions.pictured import Pictured
from runtime_tests.reference.vision.patches import Sizes, make
from runtime_tests.rungs.images import accuracy as shared
from runtime_tests.rungs.images.accuracy import Asked, Sight
from tests.judge.litert.vision.bed import ROWS, Bed, faults
from tests.judge.litert.vision.test_tower import Half
from tests.support.vision.questions import AWAY, SQUARE, agreement, question, sure

SIZES = Sizes(patch=16, kernel=3, positions=210)
# Logits. The engine's kernels are the processor's: with 0.3, one answer of six was another where there is AVX-512.
KERNELS = 1.5
RESIZED = "pictures: what the engine's own resizing changes"


@pytest.fixture(scope="module")
def asked(bed: Bed) -> tuple[Pictured, ...]:
    """Six questions, two of them with pictures that have to be resized."""
    return sure(bed.case, bed.case.tower, ROWS, {SQUARE: 4, (200, 200): 2}, plain_ends=True, least=KERNELS)


@pytest.fixture
def few(asked: tuple[Pictured, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """These, and one token of an answer; the token behind a picture has no row of its own, as in the engine."""
    reference = Asked.reference

    def answers(asked: Asked, drafts: Any) -> list[str]:
        with asked.whole.plain_ends():
            return reference(asked, drafts)

    monkeypatch.setattr(Asked, "reference", answers)
    monkeypatch.setattr(shared, "STEPS", 1)
    monkeypatch.setattr(accuracy, "read_pictured", lambda folder: asked)


@pytest.mark.usefixtures("few")
def test_the_engine_answers_about_pictures_as_transformers_does(bed: Bed) -> None:
    checks = compare_accuracy(bed.case)
    agreement(checks, "the stock engine", 6)
    found = {check.name: check for check in checks}
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


def test_a_picture_becomes_what_the_engine_does_not_resize_any_more() -> None:
    square, other = (Sight(question(size), ROWS, SIZES) for size in (SQUARE, (200, 120)))
    (same,), (resized,) = shown(square), shown(other)
    assert np.array_equal(np.asarray(same), np.asarray(square.question.pictures[0]))
    assert resized.size == (480, 288)
    assert np.array_equal(make("a", resized, ROWS, SIZES).pixels, other.patches[0].pixels)


def test_what_the_engines_own_resizing_changes_is_stated_of_the_pictures_that_need_it() -> None:
    sights = [Sight(question(size), ROWS, SIZES) for size in (*[SQUARE] * 150, *[(96, 96)] * 50)]
    same = ["3"] * 200
    (found,) = judge_resizing(
        sights, same, {**dict.fromkeys(range(150, 190), "3"), **dict.fromkeys(range(190, 200), "4")}
    )
    assert (found.name, found.found, found.sense) == (RESIZED, -20.0, "stated")
    assert found.note == "of 50 questions 10 lost, 0 gained, 10 answers differ"
    assert judge_resizing(sights, same, {}) == []
