"""Rung 4, part of images: what the models answer about a checkpoint's own pictures, beside transformers.

A picture's patches become rows in the model that reads images, and these take the places of its tokens in the decoder,
which ONNX Runtime then runs token by token.
"""

from __future__ import annotations

from runtime_tests.onnx.case import OnnxCase
from runtime_tests.onnx.images import budget, encode, model
from runtime_tests.onnx.runner import Runner
from runtime_tests.questions.pictured import read_pictured
from runtime_tests.results import Check
from runtime_tests.rungs.images.accuracy import Asked


def compare_accuracy(case: OnnxCase) -> list[Check]:
    """The checkpoint's questions about pictures; nothing where it has none or the model takes no images."""
    questions = read_pictured(case.folder.path) if case.artifact.images is not None else ()
    if not questions:
        return []
    asked = Asked(case, case.tower, budget(case), questions)
    runner = Runner(model(case).path, case.threads)
    rows = asked.rows(lambda image: encode(runner, image, image.count))
    new = case.greedy(asked.ids, [asked.steps] * len(asked.ids), rows)
    return asked.judge(asked.reference(new), [asked.text(tokens) for tokens in new], "ONNX Runtime")
