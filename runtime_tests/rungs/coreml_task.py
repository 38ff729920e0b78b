"""Rung 4 for Core ML: does the model still do its job, evaluated from the package?

The same questions as on the other targets go to the reference and to the package in the evaluator, greedily; and to the
package once more with the static quantization of its activations left out, to show what that is there for.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from runtime_tests import accuracy as table
from runtime_tests.accuracy import Accuracy, System
from runtime_tests.answers import answers
from runtime_tests.case import Case
from runtime_tests.coreml import greedy
from runtime_tests.coreml.case import CoremlCase
from runtime_tests.errors import CannotRunError
from runtime_tests.reference import Ids
from runtime_tests.results import Check, stated
from runtime_tests.rungs import task

PLAIN = "package, activations in float"


def climb(case: Case) -> list[Check]:
    """Asks the reference and the package, and compares."""
    own = cast(CoremlCase, case)
    if own.evaluation is None:
        raise CannotRunError(task.NO_QUESTIONS)
    asked, stops = task.Asked(own, own.evaluation), frozenset(own.stops)
    found = answers(own.reference, asked.ids, asked.steps, stops)

    def system(name: str, said: str, tokens: list[Ids]) -> System:
        texts = (task.spoken(own, item) for item in tokens)
        right = [task.same(text, item) for text, item in zip(texts, asked.questions, strict=True)]
        return System(name, said, "measured", np.array(right, bool))

    positions = _positions(own, asked)

    def package(name: str, said: str, activations: bool) -> System:
        evaluator = own.evaluator(activations=activations, positions=positions)
        return system(name, said, greedy.answers(own, evaluator, asked.ids, asked.steps, stops))

    systems = [system(table.REFERENCE, "the QAT checkpoint in transformers", [item.new for item in found])]
    systems += task.others(own, asked, own.evaluation)
    cut = "" if positions is None else f", the first {positions} of {own.context} positions"
    said = f"the package in the evaluator, {own.precision}{cut}: program and weights, not a device"
    systems.append(package(table.ARTIFACT, said, activations=True))
    families = tuple(item.family for item in asked.questions)
    every = table.ordered(systems)
    measured = Accuracy(own.evaluation.name, own.evaluation.sha256, asked.left_out, families, every)
    own.accuracy = measured
    checks = task.judge_accuracy(own, measured)
    if own.folder.format == "mobile":
        plain = package(PLAIN, "the same, activation quantization left out", activations=False)
        note = f"{plain.correct.sum()} of {len(plain.correct)} right; with it {systems[-1].correct.sum()}"
        checks.append(stated("package without its activation quantization", 100 * plain.accuracy, "%", note))
    return checks


def _positions(case: CoremlCase, asked: task.Asked) -> int | None:
    """Positions to cut the cache down to; None where the program does not let itself be cut."""
    found = greedy.reach(case, asked.ids, asked.steps)
    try:
        case.evaluator(positions=found)
    except CannotRunError:
        return None
    return found
