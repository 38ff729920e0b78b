"""Rung 4: does the model still do its job?

Every held-out question is put to the artifact in the stock engine, greedily, through the checkpoint's chat template;
matching.py says which answers are right. The reference then reads the artifact's answers in one pass. Where all tokens
are its own first choice the answer is its own as well; where they part it goes on by itself (answers.py), so that what
counts as its answer is its own in every case. Beside them stand the float model and its naive requantization, measured
here or recorded by training, and the reference without its static activations. The artifact's text is also held to the
reference's, token by token up to the first near-tie; the near-ties come from the reference alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from runtime_tests.case import DECODER, Case
from runtime_tests.errors import CannotRunError, InputError
from runtime_tests.litert.runners.engine import Answer, Request, ask
from runtime_tests.measures import accuracy as table
from runtime_tests.measures.accuracy import Accuracy, System
from runtime_tests.progress import steps
from runtime_tests.questions.evaluation import Evaluation
from runtime_tests.questions.kept import Kept
from runtime_tests.reference.answers import Greedy, Memory, certain, disturbance, follow, sampled
from runtime_tests.reference.model import Ids, Reference
from runtime_tests.results import Check, at_least, at_most, none, stated
from runtime_tests.rungs import expected
from runtime_tests.rungs.asked import Asked
from runtime_tests.weights.requantize import RECIPES, requantize

NO_QUESTIONS = "the checkpoint brings no evaluation questions, and none were given with --evaluation"


def climb(case: Case) -> list[Check]:
    """Asks everybody and compares."""
    if case.evaluation is None:
        raise CannotRunError(NO_QUESTIONS)
    asked = Asked(case, case.evaluation)
    weights = case.artifact.model(DECODER)
    case.tell(expected.line(case.evaluation.name, [*map(len, asked.ids)], asked.limits, weights.end - weights.begin))
    kept = store(case)
    try:
        said = _answers(case, asked, kept)
    except RuntimeError as error:
        return [none("the engine runs", [str(error)], "failures", 1)]
    found = of_reference(case, asked, [np.array(case.tokenize(text), np.int32) for text in said.texts], kept)
    case.heard.update((item.ids.tobytes(), item.new) for item in found)
    floor = _floor(case, found)
    systems = [_system(case, asked, table.REFERENCE, "the QAT checkpoint in transformers", found)]
    systems += [*_without_static(case, asked, found, kept), *others(case, asked, case.evaluation, found)]
    right = asked.right(said.texts)
    systems.append(System(table.ARTIFACT, "the artifact in the stock engine (LiteRT-LM)", "measured", right))
    case.accuracy = measured = table.measured(case.evaluation, asked, systems)
    gave_up = none("the engine answers every question", said.failed, "questions", len(said.texts))
    return [gave_up, *_judge_texts(case, asked, found, floor, said), *judge_accuracy(case, measured)]


def store(case: Case) -> Kept:
    """Answers of a run that was killed, and the place to keep new ones."""
    of = {"artifact_sha256": case.artifact.sha256(), "cache": str(sorted(case.cache_scales.items()))}
    kept = Kept(case.kept_at, of if case.kept_at is None else of | case.folder.hashes(), case.tell)
    case.kept = kept
    return kept


def _answers(case: Case, asked: Asked, kept: Kept) -> Answer:
    """The engine's answers, of which those that are known already are not asked for again.

    Raises:
        RuntimeError: the engine failed or crashed.
    """
    keys = asked.keys()
    known = {i: item for i, name in enumerate(keys) if (item := kept.get(table.ARTIFACT, name)) is not None}
    open_ = [i for i in range(len(keys)) if i not in known]
    texts, tokens = [""] * len(keys), [[0]] * len(keys)
    for i, (text, spelled) in known.items():
        texts[i], tokens[i] = str(text), list(spelled)
    if not open_:
        return Answer(texts, tokens, [], [], [], [], None, [])
    request = Request(
        str(case.artifact.path),
        tuple(asked.texts[i] for i in open_),
        tuple(asked.limits[i] for i in open_),
        (),
        (),
        1,
        case.threads,
    )
    with steps("tokens of questions and answers", sum(len(asked.ids[i]) + asked.limits[i] for i in open_)) as advance:

        def heard(place: int, text: str, spelled: list[int]) -> None:
            kept.put(table.ARTIFACT, keys[open_[place]], [text, spelled])
            advance(len(asked.ids[open_[place]]) + asked.limits[open_[place]])

        answer = ask(request, heard=heard)
    for place, i in enumerate(open_):
        texts[i], tokens[i] = answer.texts[place], answer.tokens[place]
    return replace(answer, texts=texts, tokens=tokens)


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


def _floor(case: Case, found: list[Greedy]) -> float:
    if case.folder.format == "mobile":
        return disturbance(case.reference, found)
    try:
        # A q4_0 checkpoint stores its weights rounded, and the artifact holds them before that (lattice.py).
        return disturbance(case.reference, found, case.on_lattice)
    except CannotRunError:  # an artifact with other weights than the checkpoint's gets no allowance for their rounding
        return disturbance(case.reference, found)


def spoken(case: Case, ids: Ids) -> str:
    """What the reader sees of a continuation: the tokens before the stop token."""
    return case.detokenize([int(token) for token in ids if int(token) not in case.stops])


def _system(case: Case, asked: Asked, name: str, description: str, found: list[Greedy]) -> System:
    return System(name, description, "measured", asked.right([spoken(case, item.new) for item in found]))


def _without_static(case: Case, asked: Asked, found: list[Greedy], kept: Kept) -> list[System]:
    """The reference with its activation scales left out: what dropping them would cost. Mobile format only."""
    if case.folder.format != "mobile":
        return []
    with case.reference.activation_steps(0):
        found = of_reference(case, asked, [item.new for item in found], kept, table.NO_STATIC)
    said = "the same weights, static activation scales left out"
    return [_system(case, asked, table.NO_STATIC, said, found)]


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
        out.append(_system(case, asked, name, said, own))
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
    sample = len(sampled([len(item.ids) + len(item.new) for item in found]))
    where = f"margin at most twice {floor:.3g}, the floor over {sample} questions"
    checks = [none("questions tokenized otherwise", otherwise, "questions", count)]
    if tokens:  # with none, equal texts would be no evidence
        compared = f"{count} prompts, {whole_texts} of them to their end"
        check = none("answers differ from the reference's before a near-tie", differ, "prompts", count)
        checks.append(check if differ else Check(check.name, 0.0, 0.0, "equal", "prompts", compared))
    checks.append(stated("prompts with a near-tie of the reference", count - whole_texts, "prompts", where))
    checks.append(stated("tokens certain enough to be compared", tokens, "tokens", f"of {total}"))
    return checks


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
