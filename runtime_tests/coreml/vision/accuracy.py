"""Rung 4, part of images: what the packages answer about a checkpoint's own pictures, evaluated, beside transformers.

A picture's patches become rows in the package for images. They stand in place of the embeddings of its tokens, whose
per-layer rows are the padding's, as a bundle says it in ``feeding.images``; the token behind an image has its own. Many
questions then go through the decoder's package together.
"""

from __future__ import annotations

import numpy as np

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.greedy import Placed, answers, expected
from runtime_tests.coreml.vision.package import budgets, run
from runtime_tests.progress import duration
from runtime_tests.questions.pictured import read_pictured
from runtime_tests.reference.model import Floats, Ids
from runtime_tests.reference.vision.patches import Patches
from runtime_tests.results import Check
from runtime_tests.rungs.images.accuracy import Asked


def compare_accuracy(case: CoremlCase) -> list[Check]:
    """The checkpoint's questions about pictures; nothing where it has none or the package takes no images."""
    questions = read_pictured(case.folder.path) if case.images is not None else ()
    if case.images is None or not questions:
        return []
    lengths = budgets(case.images)
    asked = Asked(case, case.tower, lengths[-1], questions)
    prompts = [_prompt(asked, ids) for ids in asked.ids]
    evaluator = case.evaluator_for(prompts, asked.steps)
    if case.large:
        once = expected(case, evaluator, prompts, asked.steps)
        case.tell(f"questions about pictures, for whose tokens all weights are unpacked: {duration(once)} at most")
    rows = asked.rows(lambda image: _encode(case, lengths, image))
    placed = [_placed(asked, *each) for each in zip(asked.ids, rows, strict=True)]
    new = answers(case, evaluator, prompts, asked.steps, frozenset(case.stops), placed)
    return asked.judge(asked.reference(new), [asked.text(tokens) for tokens in new], "the evaluator")


def _prompt(asked: Asked, ids: Ids) -> Ids:
    """The tokens whose rows of the tables an app takes: the padding's in place of an image's."""
    return np.where(ids == asked.whole.image, asked.whole.padding, ids).astype(np.int32)


def _placed(asked: Asked, ids: Ids, rows: Floats) -> Placed:
    """Rows of a question's pictures by position."""
    return dict(zip(np.flatnonzero(ids == asked.whole.image).tolist(), rows, strict=True))


def _encode(case: CoremlCase, lengths: list[int], image: Patches) -> Floats:
    """Rows of an image by the shortest function that has room for them, ``[m, H]``."""
    length = next(each for each in lengths if each >= image.rows)
    return np.asarray(run(case, length, image, "declared")["rows"].numpy()[0, : image.rows], np.float32)
