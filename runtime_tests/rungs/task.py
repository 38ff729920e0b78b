"""Rung 4: does the model still do its job?

Every held-out question is put to the artifact, greedily, through the checkpoint's chat template; matching.py says which
answers are right. The reference then reads the artifact's answers in one pass. Where all tokens are its own first
choice the answer is its own as well; where they part it goes on by itself (answers.py), so that what counts as its
answer is its own in every case. Beside them stand the float model and its naive requantization, measured here or
recorded by training. A target whose artifact is asked in another way, by an engine for one, has a rung of its own that
shares what is here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runtime_tests.case import Case
from runtime_tests.errors import CannotRunError, InputError
from runtime_tests.measures import accuracy as table
from runtime_tests.measures.accuracy import Accuracy, System
from runtime_tests.measures.evidence import Evidence
from runtime_tests.measures.statistics import Outcomes
from runtime_tests.questions.evaluation import Evaluation
from runtime_tests.questions.kept import Kept
from runtime_tests.reference.answers import Greedy, Memory, follow
from runtime_tests.reference.model import Ids, Reference
from runtime_tests.results import Check, Findings, at_least, at_most, stated
from runtime_tests.rungs.asked import Asked
from runtime_tests.weights.requantize import RECIPES, requantize

NO_QUESTIONS = "the checkpoint brings no evaluation questions, and none were given with --evaluation"


def climb(case: Case) -> Findings:
    """Asks the artifact token by token, and the reference, and compares."""
    if case.evaluation is None:
        raise CannotRunError(NO_QUESTIONS)
    asked, kept = Asked(case, case.evaluation), store(case)
    said = case.greedy(asked.ids, asked.limits)
    found = of_reference(case, asked, said, kept)
    case.heard.update((item.ids.tobytes(), item.new) for item in found)
    systems = [
        system(case, asked, table.REFERENCE, "the QAT checkpoint in transformers", found),
        *others(case, asked, case.evaluation, found),
        System(table.ARTIFACT, "the artifact, token by token", "measured", right(case, asked, said)),
    ]
    accuracy = measured(case.evaluation, asked, systems)
    return Findings(judge_accuracy(case, accuracy), Evidence(accuracy=accuracy))


def measured(evaluation: Evaluation, asked: Asked, systems: list[System]) -> Accuracy:
    """The table of an evaluation."""
    families = tuple(item.family for item in asked.questions)
    kinds = Counter(item.match for item in asked.questions)
    return Accuracy(
        evaluation.name,
        evaluation.sha256,
        asked.left_out,
        families,
        table.ordered(systems),
        evaluation.total,
        evaluation.own,
        tuple(kind for kind, _ in kinds.most_common()),
    )


def store(case: Case) -> Kept:
    """Answers of a run that was killed, and the place to keep new ones."""
    of = {"artifact_sha256": case.artifact.sha256(), "cache": str(sorted(case.cache_scales.items()))}
    kept = Kept(case.kept_at, of if case.kept_at is None else of | case.folder.hashes(), case.tell)
    case.kept = kept
    return kept


@dataclass(frozen=True)
class _Memory(Memory):
    """The reference's answers, among those that are kept."""

    kept: Kept
    who: str
    keys: Sequence[str]
    ids: Sequence[Ids]

    def get(self, stage: str, i: int) -> Greedy | None:
        found = self.kept.get(f"{self.who}, {stage}", self.keys[i])
        return None if found is None else Greedy(self.ids[i], np.array(found[0], np.int32), np.array(found[1]))

    def put(self, stage: str, i: int, answer: Greedy) -> None:
        self.kept.put(f"{self.who}, {stage}", self.keys[i], [answer.new.tolist(), answer.margins.tolist()])


def of_reference(
    case: Case, asked: Asked, drafts: Sequence[Ids], kept: Kept, who: str = table.REFERENCE
) -> list[Greedy]:
    """The reference's answers, read along drafts; what is known of a run that was killed is taken over."""
    memory = _Memory(kept, who, asked.keys(), asked.ids)
    return follow(case.reference, asked.ids, drafts, asked.limits, frozenset(case.stops), memory)


def spoken(case: Case, ids: Ids) -> str:
    """What the reader sees of a continuation: the tokens before the stop token."""
    return case.detokenize([int(token) for token in ids if int(token) not in case.stops])


def right(case: Case, asked: Asked, said: Sequence[Ids]) -> Outcomes:
    """Which answers, given as tokens, are right."""
    return asked.right([spoken(case, ids) for ids in said])


def system(case: Case, asked: Asked, name: str, description: str, found: list[Greedy]) -> System:
    """A system of the table that is asked by the reference's means."""
    return System(name, description, "measured", right(case, asked, [item.new for item in found]))


def others(case: Case, asked: Asked, evaluation: Evaluation, found: list[Greedy]) -> list[System]:
    """Float and PTQ: measured when the float model is given, else as training recorded them.

    Args:
        found: the reference's answers, which these models are likely to give as well.
    """
    live = [] if case.float_model is None else _measure_float(case, asked, found)
    names = {item.name for item in live}
    recorded = [
        System(name, item.description, "recorded", item.correct[asked.kept])
        for name, item in evaluation.recorded.items()
        if name not in names
    ]
    return [*recorded, *live]


def _measure_float(case: Case, asked: Asked, found: list[Greedy]) -> list[System]:
    assert case.float_model is not None
    stops, out = frozenset(case.stops), []
    for recipe in ("", *RECIPES):
        model = Reference(case.float_model, case.threads)
        if model.text.vocab_size != case.reference.text.vocab_size:
            sizes = f"{model.text.vocab_size} tokens, the checkpoint {case.reference.text.vocab_size}"
            raise InputError(f"--float {case.float_model.name}: its vocabulary has {sizes}")
        if recipe:
            requantize(model, case.folder, recipe)
        own = follow(model, asked.ids, [item.new for item in found], asked.limits, stops)
        name = table.PTQ if recipe else table.FLOAT
        said = f"the float model rounded to the checkpoint's bits: {RECIPES[recipe]}" if recipe else "the float model"
        out.append(system(case, asked, name, said, own))
    plain, *rounded = out
    return [plain, max(rounded, key=lambda item: item.accuracy)]  # the better recipe stands for PTQ


def judge_accuracy(case: Case, measured: Accuracy) -> list[Check]:
    """The bars of the accuracy table.

    The checkpoint's own questions were written for it: bars ask as well whether they can show a loss at all. A part of
    them, or a set from elsewhere, may be small or beyond the model. It is held to what chance allows, and what it can
    show is stated.
    """
    budget, reference, artifact = case.budget, measured.reference, measured.system(table.ARTIFACT)
    assert artifact is not None
    beside, (low, high) = measured.beside_reference(artifact), reference.interval
    outside = 100.0 * max(0.0, low - artifact.accuracy, artifact.accuracy - high)
    compared = f"McNemar; {beside.lost} lost, {beside.gained} gained"
    return [
        *_counted(measured),
        *(_own_bars(case, measured) if measured.own else _what_shows(case, measured)),
        at_least(
            "chance that artifact and reference are as good as each other", beside.p, budget.artifact_p, "p", compared
        ),
        at_most("artifact outside the reference's interval", outside, 0, "points", f"{low:.1%} to {high:.1%}"),
        *_beside(case, measured),
    ]


def _counted(measured: Accuracy) -> list[Check]:
    count, total = len(measured.families), measured.total
    left = [f"{measured.left_out} more do not fit the context"] if measured.left_out else []
    drawn = [f"drawn from {total}"] if count + measured.left_out < total else []
    return [stated("questions", count, "questions", "; ".join(drawn + left))]


def _own_bars(case: Case, measured: Accuracy) -> list[Check]:
    artifact = measured.system(table.ARTIFACT)
    assert artifact is not None
    points = abs(measured.beside_reference(artifact).points)
    right = measured.reference.correct.sum()
    return [
        at_least("answered by the reference", right, 1, "questions", "with none, none can be lost"),
        at_most("artifact away from the reference", points, case.budget.artifact_points, "points"),
    ]


def _what_shows(case: Case, measured: Accuracy) -> list[Check]:
    """What a set from elsewhere, or a part of the own one, can show, and what it shows."""
    artifact = measured.system(table.ARTIFACT)
    assert artifact is not None
    right, least = int(measured.reference.correct.sum()), table.least_loss(case.budget.artifact_p)
    can = f"a loss of fewer than {least} would be taken for chance"
    if right < least:
        can = f"it takes a loss of {least} to be more than chance: these questions prove nothing about right answers"
    return [
        stated("answered by the reference", right, "questions", can),
        stated("artifact away from the reference", measured.beside_reference(artifact).points, "points"),
    ]


def _beside(case: Case, measured: Accuracy) -> list[Check]:
    """The float model, naive rounding, and what dropping the static activations costs."""
    budget, checks = case.budget, []
    if plain := measured.system(table.FLOAT):
        beside = measured.beside_reference(plain)
        note = f"{plain.source}; {beside.gained} lost, {beside.lost} gained by QAT"
        check = at_most("reference below the float model", beside.points, budget.float_points, "points", note)
        checks.append(check if measured.own else stated(check.name, check.found, check.unit, note))
    if rounded := measured.system(table.PTQ):
        beside = measured.beside_reference(rounded)
        # Only a loss is a proof; a requantization that gains is as good as the reference.
        p = beside.p if beside.points < 0 else 1.0
        note = f"{rounded.source}; {-beside.points:.1f} points worse; questions that miss this would miss any damage"
        check = at_most("chance that PTQ is as good as QAT", p, budget.ptq_p, "p", note)
        checks.append(check if measured.own else stated(check.name, check.found, check.unit, note))
    if dropped := measured.system(table.NO_STATIC):
        beside = measured.beside_reference(dropped)
        note = f"{dropped.accuracy:.1%}; McNemar p {beside.p:.2g}"
        checks.append(stated("cost of leaving out static activations", -beside.points, "points", note))
    return checks
