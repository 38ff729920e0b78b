"""What golden.json asks: questions of the checkpoint's own evaluation, or eight prompts that any model continues."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from runtime_tests.case import Case
from runtime_tests.errors import InputError
from runtime_tests.prompts import CHAT, CHAT_STEPS, GREEDY_STEPS, PROMPTS
from runtime_tests.strict import Strict

QUESTIONS, MOST, MOST_BYTES = "evaluation.jsonl", 8, 16 << 20


class Message(Strict):
    """One turn of a conversation."""

    role: Literal["user", "assistant"]
    content: str = Field(max_length=20_000)


class _Question(Strict):
    id: str
    family: str
    messages: Annotated[list[Message], Field(min_length=1, max_length=64)]
    answer: str


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
    """At most eight questions that fit the context, one of each family in turn; without any, the general prompts.

    Raises:
        InputError: a line of evaluation.jsonl is no question.
    """
    chats = [_chat(case, question.messages, question.answer) for question in _questions(case)]
    room = case.context - CHAT_STEPS - 1
    fitting = [item for item in chats if len(case.tokenize(item.prompt)) <= room][:MOST]
    if fitting:
        return fitting
    general = [Asked(prompt, (), None, GREEDY_STEPS) for prompt in PROMPTS]
    return [*general, _chat(case, [Message(role="user", content=CHAT)], None)]


def _chat(case: Case, messages: list[Message], answer: str | None) -> Asked:
    text = case.render([message.model_dump() for message in messages])
    return Asked(text, tuple(messages), answer, CHAT_STEPS)


def _questions(case: Case) -> list[_Question]:
    """All questions: the first of every family, then the second of every family, and so on."""
    path = case.folder.path / QUESTIONS
    if not path.is_file():
        return []
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path.name}: {path.stat().st_size} bytes; at most {MOST_BYTES} are read")
    found: dict[str, list[_Question]] = {}
    try:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):  # noqa: B007
            question = _Question.model_validate(json.loads(line))
            found.setdefault(question.family, []).append(question)
    except (UnicodeDecodeError, ValueError, ValidationError) as error:
        raise InputError(f"{path.name}, line {number}: {' '.join(str(error).split())[:200]}") from error
    deepest = max((len(family) for family in found.values()), default=0)
    return [family[i] for i in range(deepest) for family in found.values() if i < len(family)]
