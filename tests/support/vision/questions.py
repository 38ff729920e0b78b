"""Questions about pictures for checkpoints whose towers are untrained: right is what transformers answers, where it is
sure of it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from runtime_tests.case import Case
from runtime_tests.questions.pictured import Pictured
from runtime_tests.reference.model import Ids
from runtime_tests.reference.vision.tower import Tower
from runtime_tests.results import Check
from runtime_tests.rungs.images.accuracy import Asked, Sight

AWAY = "pictures: artifact away from the reference, same pixels"
SURE = 0.3  # logits between the first choice and the second
SQUARE = (384, 384)  # pixels of a picture that nobody resizes for 70 rows
TRIED = 16  # pictures


def agreement(checks: Sequence[Check], where: str, count: int) -> None:
    """Fails where an artifact that runs in ``where`` does not answer all of so many questions as transformers does."""
    found = {check.name: check for check in checks}
    assert [check.name for check in checks if not check.passed] == []
    assert found["pictures: answered by the reference"].note == f"of {count}"
    assert found["pictures: right in transformers"].found == 100
    assert found[f"pictures: right in {where}, same pixels"].note == f"count {count} of {count}"
    assert found[AWAY].note == "0 lost, 0 gained, 0 answers differ"


def question(size: tuple[int, int] = SQUARE, answer: str = "3", family: str = "count", seed: int = 2) -> Pictured:
    """About a picture of noise."""
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    content = ({"type": "image"}, {"type": "text", "text": "How many?"})
    return Pictured(f"{size[0]}-{seed}", family, content, (Image.fromarray(pixels),), answer)


def sure(
    case: Case,
    tower: Tower,
    rows: int,
    counts: dict[tuple[int, int], int],
    steps: int = 1,
    plain_ends: bool = False,
    least: float = SURE,
) -> tuple[Pictured, ...]:
    """Questions with the reference's own first tokens as their answers.

    Args:
        rows: that a picture becomes, at most.
        counts: how many, by size of their pictures.
        steps: tokens of an answer.
        plain_ends: the token behind a picture has no per-layer row of its own.
        least: logits between the first choice and the second.
    """
    found: list[Pictured] = []
    for size, count in counts.items():
        some: list[Pictured] = []
        asked = Asked(case, tower, rows, [question(size, seed=seed) for seed in range(TRIED)])
        for sight, ids in zip(asked.sights, asked.ids, strict=True):
            with asked.whole.plain_ends() if plain_ends else contextlib.nullcontext():
                text = _answer(asked, sight, ids, steps, least)
            if text is not None and text.isascii() and text.strip():
                some.append(replace(sight.question, answer=text.strip()))
            if len(some) == count:
                break
        assert len(some) == count, f"{len(some)} answers of which the reference is sure"
        found += some
    return tuple(found)


def _answer(asked: Asked, sight: Sight, ids: Ids, steps: int, least: float) -> str | None:
    """The reference's tokens as text; None where it is not sure of one."""
    new: list[int] = []
    while len(new) < steps:
        (logits,) = asked.whole.logits(np.append(ids, new).astype(np.int32), sight.patches, len(ids) + len(new) - 1)
        second, first = np.sort(logits)[-2:]
        if first - second < least:
            return None
        new.append(int(logits.argmax()))
    return asked.text(new)
