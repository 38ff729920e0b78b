"""Rung 4 for LiteRT: does the model still do its job in the stock engine?

Every held-out question is put to the artifact in the engine, greedily, through the checkpoint's chat template. Beside
what rungs/task.py compares stands the reference without its static activations, and the artifact's text is held to the
reference's, token by token up to the first near-tie; the near-ties come from the reference alone. Questions
about pictures, where the checkpoint brings them and the file takes images, are judged in vision/accuracy.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from runtime_tests.errors import CannotRunError
from runtime_tests.litert.case import DECODER, LitertCase
from runtime_tests.litert.runners.engine import Answer, Request, ask
from runtime_tests.litert.vision.accuracy import compare_accuracy
from runtime_tests.measures import accuracy as table
from runtime_tests.measures.accuracy import System
from runtime_tests.measures.evidence import Evidence
from runtime_tests.progress import steps
from runtime_tests.questions.kept import Kept
from runtime_tests.reference.answers import Greedy, certain, disturbance, sampled
from runtime_tests.results import Check, Findings, none, stated
from runtime_tests.rungs import expected, task
from runtime_tests.rungs.asked import Asked


def climb(case: LitertCase) -> Findings:
    """Asks everybody and compares."""
    if case.evaluation is None:
        raise CannotRunError(task.NO_QUESTIONS)
    asked = Asked(case, case.evaluation)
    weights = case.artifact.model(DECODER)
    case.tell(expected.line(case.evaluation.name, [*map(len, asked.ids)], asked.limits, weights.end - weights.begin))
    kept = task.store(case)
    try:
        said = _answers(case, asked, kept)
    except RuntimeError as error:
        return Findings([none("the engine runs", [str(error)], "failures", 1)], Evidence())
    found = task.of_reference(case, asked, [np.array(case.tokenize(text), np.int32) for text in said.texts], kept)
    case.heard.update((item.ids.tobytes(), item.new) for item in found)
    floor = _floor(case, found)
    systems = [task.system(case, asked, table.REFERENCE, "the QAT checkpoint in transformers", found)]
    systems += [*_without_static(case, asked, found, kept), *task.others(case, asked, case.evaluation, found)]
    right = asked.right(said.texts)
    systems.append(System(table.ARTIFACT, "the artifact in the stock engine (LiteRT-LM)", "measured", right))
    measured = task.measured(case.evaluation, asked, systems)
    gave_up = none("the engine answers every question", said.failed, "questions", len(said.texts))
    checks = [gave_up, *_judge_texts(case, asked, found, floor, said), *task.judge_accuracy(case, measured)]
    checks += compare_accuracy(case)
    return Findings(checks, Evidence(accuracy=measured))


def _answers(case: LitertCase, asked: Asked, kept: Kept) -> Answer:
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


def _floor(case: LitertCase, found: list[Greedy]) -> float:
    if case.folder.storage == "integers":
        return disturbance(case.reference, found)
    try:
        # A q4_0 checkpoint stores its weights rounded, and the artifact holds them before that (lattice.py).
        return disturbance(case.reference, found, case.on_lattice)
    except CannotRunError:  # an artifact with other weights than the checkpoint's gets no allowance for their rounding
        return disturbance(case.reference, found)


def _without_static(case: LitertCase, asked: Asked, found: list[Greedy], kept: Kept) -> list[System]:
    """The reference with its activation scales left out: what dropping them would cost."""
    if not case.folder.static_activations:
        return []
    with case.reference.activation_steps(0):
        found = task.of_reference(case, asked, [item.new for item in found], kept, table.NO_STATIC)
    said = "the same weights, static activation scales left out"
    return [task.system(case, asked, table.NO_STATIC, said, found)]


def _judge_texts(case: LitertCase, asked: Asked, found: list[Greedy], floor: float, said: Answer) -> list[Check]:
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
        expected = task.spoken(case, greedy.new[:until])
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
