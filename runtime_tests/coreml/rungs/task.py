"""Rung 4 for Core ML: does the model still do its job, evaluated from the package?

The same questions as on the other targets go to the package in the evaluator, greedily, and its answers to the
reference; and to the package once more with the static quantization of its activations left out, to show what that is
there for. Questions about pictures, where the checkpoint brings them and the package takes images, are judged in
vision/accuracy.py.
"""

from __future__ import annotations

import numpy as np

from runtime_tests.coreml import greedy
from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.program.evaluator import Evaluator
from runtime_tests.coreml.vision.accuracy import compare_accuracy
from runtime_tests.errors import CannotRunError
from runtime_tests.measures import accuracy as table
from runtime_tests.measures.accuracy import System
from runtime_tests.measures.evidence import Evidence
from runtime_tests.progress import duration, steps
from runtime_tests.questions.kept import Kept
from runtime_tests.reference.model import Ids
from runtime_tests.results import Findings, stated
from runtime_tests.rungs import task
from runtime_tests.rungs.asked import Asked

PLAIN = "package, activations in float"


def climb(case: CoremlCase) -> Findings:
    """Asks the package and the reference, and compares."""
    if case.evaluation is None:
        raise CannotRunError(task.NO_QUESTIONS)
    asked, kept = Asked(case, case.evaluation), task.store(case)
    positions = _positions(case, asked)
    if case.large:
        once = greedy.expected(case, case.evaluator(positions=positions), asked.ids, max(asked.limits))
        times = 2 if case.folder.static_activations else 1
        case.tell(f"the evaluator unpacks all weights for every token: about {duration(times * once)} at most")

    def package(who: str, activations: bool) -> list[Ids]:
        return _answers(case, asked, kept, who, case.evaluator(activations=activations, positions=positions))

    def system(name: str, said: str, tokens: list[Ids]) -> System:
        return System(name, said, "measured", task.right(case, asked, tokens))

    said = package(table.ARTIFACT, activations=True)
    found = task.of_reference(case, asked, said, kept)
    case.heard.update((item.ids.tobytes(), item.new) for item in found)
    systems = [system(table.REFERENCE, "the QAT checkpoint in transformers", [item.new for item in found])]
    systems += task.others(case, asked, case.evaluation, found)
    cut = "" if positions is None else f", the first {positions} of {case.context} positions"
    what = f"the package in the evaluator, {case.precision}{cut}: program and weights, not a device"
    systems.append(system(table.ARTIFACT, what, said))
    measured = task.measured(case.evaluation, asked, systems)
    checks = task.judge_accuracy(case, measured)
    if case.folder.static_activations:
        plain = system(PLAIN, "the same, activation quantization left out", package(PLAIN, activations=False))
        note = f"{plain.correct.sum()} of {len(plain.correct)} right; with it {systems[-1].correct.sum()}"
        checks.append(stated("package without its activation quantization", 100 * plain.accuracy, "%", note))
    checks += compare_accuracy(case)
    return Findings(checks, Evidence(accuracy=measured))


def _answers(case: CoremlCase, asked: Asked, kept: Kept, who: str, evaluator: Evaluator) -> list[Ids]:
    """The package's answers, a stack at a time; a stack that is known from a run that was killed is not asked for."""
    keys, stops = asked.keys(), frozenset(case.stops)
    order = sorted(range(len(keys)), key=lambda i: (asked.limits[i], len(asked.ids[i])))
    out: dict[int, Ids] = {}
    with steps("questions", len(order)) as advance:
        for start in range(0, len(order), greedy.TOGETHER):
            group = order[start : start + greedy.TOGETHER]
            known = [kept.get(who, keys[i]) for i in group]
            if any(item is None for item in known):
                most = max(asked.limits[i] for i in group)
                known = [*greedy.answers(case, evaluator, [asked.ids[i] for i in group], most, stops)]
            for i, new in zip(group, known, strict=True):
                out[i] = np.array(new, np.int32)[: asked.limits[i]]
                kept.put(who, keys[i], out[i].tolist())
            advance(len(group))
    return [out[i] for i in range(len(keys))]


def _positions(case: CoremlCase, asked: Asked) -> int | None:
    """Positions to cut the cache down to; None where the program does not let itself be cut."""
    found = greedy.reach(case, asked.ids, max(asked.limits))
    try:
        case.evaluator(positions=found)
    except CannotRunError:
        return None
    return found
