"""Rung 4: does the model still do its job?

Every held-out question is put to the reference and to the artifact in the stock engine, greedily, through the
checkpoint's chat template. An answer counts when it equals the expected one, spaces around it aside. Beside them stand
the float model and its naive requantization, measured here or recorded by training, and the reference without its
static activations. The artifact's text is also held to the reference's, token by token up to the first near-tie; the
near-ties come from the reference alone (answers.py), before any answer of the artifact is looked at.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from runtime_tests import accuracy as table
from runtime_tests.accuracy import Accuracy, System
from runtime_tests.answers import SAMPLE, Greedy, answers, certain, disturbance
from runtime_tests.case import Case
from runtime_tests.errors import CannotRunError, InputError
from runtime_tests.evaluation import Evaluation, Question
from runtime_tests.reference import Ids, Reference
from runtime_tests.requantize import RECIPES, requantize
from runtime_tests.results import Check, at_least, at_most, none, stated
from runtime_tests.runners.engine import Answer, Request, ask
from runtime_tests.statistics import Outcomes

NO_QUESTIONS = "the checkpoint brings no evaluation questions"
# Beyond the longest answer: room for a stop token and for an answer that is spelled in shorter tokens.
SPARE_STEPS, MOST_STEPS = 8, 256


class Asked:
    """The questions that fit the artifact's context.

    Attributes:
        kept: their indices among all.
        texts: rendered by the template, without the start token.
        ids: their tokens, start token first.
        steps: tokens of an answer, at most.
    """

    def __init__(self, case: Case, evaluation: Evaluation) -> None:
        every = evaluation.questions
        texts = [case.render([message.model_dump() for message in item.messages]) for item in every]
        ids = [np.array([case.start, *case.tokenize(text)], np.int32) for text in texts]
        self.steps = min(MOST_STEPS, max(len(case.tokenize(item.answer)) for item in every) + SPARE_STEPS)
        self.kept = [i for i, item in enumerate(ids) if len(item) + self.steps <= case.context]
        self.left_out = len(every) - len(self.kept)
        if not self.kept:
            raise CannotRunError(f"none of the {len(every)} questions fits a context of {case.context} tokens")
        self.questions = [every[i] for i in self.kept]
        self.texts, self.ids = tuple(texts[i] for i in self.kept), [ids[i] for i in self.kept]


def climb(case: Case) -> list[Check]:
    """Asks everybody and compares."""
    if case.evaluation is None:
        raise CannotRunError(NO_QUESTIONS)
    asked = Asked(case, case.evaluation)
    request = Request(str(case.artifact.path), asked.texts, asked.steps, (), (), 1, case.threads)
    with ThreadPoolExecutor(1) as engine:  # a process of its own, so the two sides do not wait for each other
        answer = engine.submit(ask, request)
        found = answers(case.reference, asked.ids, asked.steps, frozenset(case.stops))
        floor = _floor(case, found)
        systems = [_system(case, asked, table.REFERENCE, "the QAT checkpoint in transformers", found)]
        systems += [*_without_static(case, asked), *others(case, asked, case.evaluation)]
        said = _answer(answer)
    if isinstance(said, str):
        return [none("the engine runs", [said], "failures", 1)]
    exact = np.array([same(text, item) for text, item in zip(said.texts, asked.questions, strict=True)], bool)
    systems.append(System(table.ARTIFACT, "the artifact in the stock engine (LiteRT-LM)", "measured", exact))
    families = tuple(item.family for item in asked.questions)
    measured = Accuracy(case.evaluation.name, case.evaluation.sha256, asked.left_out, families, table.ordered(systems))
    case.accuracy = measured
    gave_up = none("the engine answers every question", said.failed, "questions", len(said.texts))
    return [gave_up, *_judge_texts(case, asked, found, floor, said), *judge_accuracy(case, measured)]


def _floor(case: Case, found: list[Greedy]) -> float:
    if case.folder.format == "mobile":
        return disturbance(case.reference, found)
    try:
        # A q4_0 checkpoint stores its weights rounded, and the artifact holds them before that (lattice.py).
        return disturbance(case.reference, found, case.on_lattice)
    except CannotRunError:  # an artifact with other weights than the checkpoint's gets no allowance for their rounding
        return disturbance(case.reference, found)


def _answer(future: Future[Answer]) -> Answer | str:
    try:
        return future.result()
    except RuntimeError as error:
        return str(error)


def same(text: str, question: Question) -> bool:
    return text.strip() == question.answer


def spoken(case: Case, ids: Ids) -> str:
    """What the reader sees of a continuation: the tokens before the stop token."""
    return case.detokenize([int(token) for token in ids if int(token) not in case.stops])


def _outcomes(case: Case, asked: Asked, found: list[Greedy]) -> Outcomes:
    texts = (spoken(case, item.new) for item in found)
    return np.array([same(text, item) for text, item in zip(texts, asked.questions, strict=True)], bool)


def _system(case: Case, asked: Asked, name: str, description: str, found: list[Greedy]) -> System:
    return System(name, description, "measured", _outcomes(case, asked, found))


def _without_static(case: Case, asked: Asked) -> list[System]:
    """The reference with its activation scales left out: what dropping them would cost. Mobile format only."""
    if case.folder.format != "mobile":
        return []
    with case.reference.float_activations():
        found = answers(case.reference, asked.ids, asked.steps, frozenset(case.stops))
    said = "the same weights, static activation scales left out"
    return [_system(case, asked, table.NO_STATIC, said, found)]


def others(case: Case, asked: Asked, evaluation: Evaluation) -> list[System]:
    """Float and PTQ: measured when the float model is given, else as training recorded them."""
    live = [] if case.float_model is None else _measure_float(case, asked)
    names = {item.name for item in live}
    recorded = [
        System(name, item.description, "recorded", item.correct[asked.kept])
        for name, item in evaluation.recorded.items()
        if name not in names
    ]
    return [*recorded, *live]


def _measure_float(case: Case, asked: Asked) -> list[System]:
    assert case.float_model is not None
    stops, out = frozenset(case.stops), []
    for recipe in ("", *RECIPES):
        model = Reference(case.float_model, case.threads)
        if model.text.vocab_size != case.reference.text.vocab_size:
            sizes = f"{model.text.vocab_size} tokens, the checkpoint {case.reference.text.vocab_size}"
            raise InputError(f"--float {case.float_model.name}: its vocabulary has {sizes}")
        if recipe:
            requantize(model, case.folder, recipe)
        found = answers(model, asked.ids, asked.steps, stops)
        name = table.PTQ if recipe else table.FLOAT
        said = f"the float model rounded to the checkpoint's bits: {RECIPES[recipe]}" if recipe else "the float model"
        out.append(_system(case, asked, name, said, found))
    plain, *rounded = out
    return [plain, max(rounded, key=lambda item: item.accuracy)]  # the better recipe stands for PTQ


def _judge_texts(case: Case, asked: Asked, found: list[Greedy], floor: float, said: Answer) -> list[Check]:
    """The artifact's text against the reference's, up to the first near-tie."""
    count = len(found)
    sure = [certain(item, floor) for item in found]
    otherwise = [
        item.id
        for item, tokens, ids in zip(asked.questions, said.tokens, asked.ids, strict=True)
        if tokens != ids[1:].tolist()
    ]
    differ = []
    for item, greedy, text, until in zip(asked.questions, found, said.texts, sure, strict=True):
        expected = spoken(case, greedy.new[:until])
        # A cut inside a character ends in replacement characters that the longer text does not have.
        whole = until == len(greedy.new)
        if not (text == expected if whole else text.startswith(expected.rstrip("\ufffd"))):
            differ.append(f"{item.id}: {text[:24]!r}, expected {expected[:24]!r}")
    tokens, total = sum(sure), sum(len(item.new) for item in found)
    whole_texts = sum(until == len(item.new) for until, item in zip(sure, found, strict=True))
    where = f"margin at most twice {floor:.3g}, the floor over {min(SAMPLE, count)} questions"
    checks = [none("questions tokenized otherwise", otherwise, "questions", count)]
    if tokens:  # with none, equal texts would be no evidence
        compared = f"{count} prompts, {whole_texts} of them to their end"
        check = none("answers differ from the reference's before a near-tie", differ, "prompts", count)
        checks.append(check if differ else Check(check.name, 0.0, 0.0, "equal", "prompts", compared))
    checks.append(stated("prompts with a near-tie of the reference", count - whole_texts, "prompts", where))
    checks.append(stated("tokens certain enough to be compared", tokens, "tokens", f"of {total}"))
    return checks


def judge_accuracy(case: Case, measured: Accuracy) -> list[Check]:
    """The bars of the accuracy table."""
    budget, reference, artifact = case.budget, measured.reference, measured.system(table.ARTIFACT)
    assert artifact is not None
    count = len(measured.families)
    beside, (low, high) = measured.beside_reference(artifact), reference.interval
    outside = 100.0 * max(0.0, low - artifact.accuracy, artifact.accuracy - high)
    left = f"{measured.left_out} more do not fit the context" if measured.left_out else ""
    checks = [
        stated("questions", count, "questions", left),
        at_least("answered by the reference", reference.correct.sum(), 1, "questions", "with none, none can be lost"),
        at_most("artifact away from the reference", abs(beside.points), budget.artifact_points, "points"),
        at_least(
            "chance that artifact and reference are as good as each other",
            beside.p,
            budget.artifact_p,
            "p",
            f"McNemar; {beside.lost} lost, {beside.gained} gained",
        ),
        at_most("artifact outside the reference's interval", outside, 0, "points", f"{low:.1%} to {high:.1%}"),
    ]
    if plain := measured.system(table.FLOAT):
        beside = measured.beside_reference(plain)
        note = f"{plain.source}; {beside.gained} lost, {beside.lost} gained by QAT"
        checks.append(at_most("reference below the float model", beside.points, budget.float_points, "points", note))
    if rounded := measured.system(table.PTQ):
        beside = measured.beside_reference(rounded)
        # Only a loss is a proof; a requantization that gains is as good as the reference.
        p = beside.p if beside.points < 0 else 1.0
        note = f"{rounded.source}; {-beside.points:.1f} points worse; questions that miss this would miss any damage"
        checks.append(at_most("chance that PTQ is as good as QAT", p, budget.ptq_p, "p", note))
    if dropped := measured.system(table.NO_STATIC):
        beside = measured.beside_reference(dropped)
        note = f"{dropped.accuracy:.1%}; McNemar p {beside.p:.2g}"
        checks.append(stated("cost of leaving out static activations", -beside.points, "points", note))
    return checks
