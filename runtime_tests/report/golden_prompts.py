"""What golden.json asks: questions of the checkpoint's own evaluation, or eight prompts that any model continues.

One of the questions comes at the end of a conversation that is longer than a sliding window: a window that is wrong
changes nothing of a short one.

Questions from elsewhere are not asked: a bundle does not carry the text of a set that somebody judged it with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runtime_tests.case import Case
from runtime_tests.questions.evaluation import Message, Question, Turn
from runtime_tests.questions.prompts import CHAT_STEPS, GREEDY_STEPS
from runtime_tests.rungs import fitting

MOST = 8
PAST = 16  # tokens: the model's last ones have lost sight of so many


@dataclass(frozen=True)
class Asked:
    """One prompt.

    Attributes:
        prompt: the text that is tokenized; of a conversation, what the chat template makes of it.
        messages: the conversation; empty for a bare prompt.
        answer: the right answer; None when there is none.
        steps: tokens to continue with, at most.
    """

    prompt: str
    messages: tuple[Message, ...]
    answer: str | None
    steps: int


def asked(case: Case) -> list[Asked]:
    """At most eight questions that fit the context, one of each family in turn; without any, the general prompts."""
    chats = [_chat(case, question.turns, question.accepted[0]) for question in _questions(case)]
    room = case.context - CHAT_STEPS - 1
    fits = [item for item in chats if len(case.tokenize(item.prompt)) <= room]
    if fits:
        long = _long(case, room)
        return [*fits[: MOST - len(long)], *long]
    general = [Asked(prompt, (), None, GREEDY_STEPS) for prompt in fitting.prompts(case)]
    return [*general, _chat(case, [Turn.model_validate(message) for message in fitting.chats(case)[0]], None)]


def _long(case: Case, room: int) -> list[Asked]:
    """Questions and their answers one after the other, until the last is more than a window away from the first.

    Nothing where the context has no room for that, or the template takes no earlier turns.
    """
    turns: list[Turn] = []
    for question in _questions(case):
        made = [*turns, *question.turns]
        try:
            found = _chat(case, made, question.accepted[0])
        except Exception:  # a template may raise anything
            return []
        size = len(case.tokenize(found.prompt))
        if size > room:
            return []
        if size > case.window + PAST:
            return [found]
        turns = [*made, Turn(role="assistant", content=question.accepted[0])]
    return []


def _chat(case: Case, turns: Sequence[Turn], answer: str | None) -> Asked:
    messages = [turn.model_dump() for turn in turns]
    return Asked(case.render(messages), tuple(map(Message.model_validate, messages)), answer, CHAT_STEPS)


def _questions(case: Case) -> list[Question]:
    """All questions: the first of every family, then the second of every family, and so on."""
    found: dict[str, list[Question]] = {}
    for question in case.own.questions if case.own else ():
        if question.turns[0].role == "system":  # apps replay turns of the user and the model
            continue
        found.setdefault(question.family, []).append(question)
    deepest = max((len(family) for family in found.values()), default=0)
    return [family[i] for i in range(deepest) for family in found.values() if i < len(family)]
