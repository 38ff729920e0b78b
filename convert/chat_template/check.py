"""Whether a template gives in the engine what the published one gives in transformers, for a table of conversations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from convert.chat_template import conversations as table
from convert.chat_template.conversations import FORMS, Conversation
from convert.chat_template.engine import Engine
from convert.chat_template.look import Traits
from convert.chat_template.published import Published, RenderError

_BEFORE, _AFTER = 24, 40


@dataclass(frozen=True)
class Expected:
    """A conversation and the text of the published template, without the start token."""

    conversation: Conversation
    text: str


def expected(template: Published, traits: Traits, start: str) -> list[Expected]:
    """The conversations that a template has to print alike, with what the published one prints.

    Raises:
        RenderError: the published template refuses a conversation that every template takes; says which.
    """
    chosen = [*table.TEXTS, *table.THOUGHTS]
    chosen += table.TOOLS if traits.tools else ()
    chosen += table.CALLS if traits.tools and traits.answers else ()
    found = []
    for item in chosen:
        form = FORMS[traits.answers or "native"]
        try:
            text = template.render(form(item.messages), list(item.tools) or None, item.generate, item.extra)
        except RenderError as error:
            if item.odd:
                continue
            raise RenderError(f"it refuses {item.name}: {error.message}", error.line) from error
        if not item.odd or _says(item, text):
            found.append(Expected(item, text.removeprefix(start)))
    return found


def first_difference(template: Engine, wanted: Sequence[Expected]) -> str | None:
    """The first conversation that a template prints otherwise in the engine, and where; None where all are alike."""
    for item in wanted:
        given = item.conversation
        try:
            text = template.render(list(given.messages), list(given.tools) or None, given.generate, given.extra)
        except RenderError as error:
            return f"{given.name} fails in the engine: {error}"
        if text != item.text:
            return f"{given.name} {difference(text, item.text)}"
    return None


def stops_following(template: Engine, tools: bool) -> str | None:
    """The first conversation whose text does not begin with what was printed before its last messages came.

    The engine feeds the model what is new, so it refuses a message after which the text before it has changed.
    """
    turns = (table.HELLO, table.model("Yes."), table.user("And?"), table.model("No."), table.user("So?"))
    steps = [turns[:2], turns[:3], turns[:4], turns]
    if tools:
        answer = table.answered(("find_place", "The Fox"))
        steps = [table.ASKED, (*table.ASKED, answer), (*table.ASKED, answer, table.model("It is the Fox."))]
    declared = [table.TOOL] if tools else None
    try:
        texts = [template.render(list(step), declared, False, {}) for step in steps]
    except RenderError as error:
        return str(error)
    for first, second in pairwise(texts):
        if not second.startswith(first):
            return difference(second, first, "with the next message", "before it")
    return None


def difference(found: str, wanted: str, here: str = "in the engine", there: str = "in transformers") -> str:
    """Where two texts part, in words, with some of what stands before and both sides of what follows."""
    pairs = enumerate(zip(found, wanted, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(found), len(wanted)))
    before = found[max(0, at - _BEFORE) : at]
    now, then = found[at : at + _AFTER], wanted[at : at + _AFTER]
    return f"differs at character {at}, after {before!a}: {now!a} {here}, {then!a} {there}"


def _says(item: Conversation, text: str) -> bool:
    """Whether the texts of lists are there, as texts: some templates leave lists out, or print them as Python does."""
    lists = [message["content"] for message in item.messages if isinstance(message["content"], list)]
    texts = [part["text"].strip() for content in lists for part in content if part["type"] == "text"]
    return all(word in text for word in texts) and not (lists and any(word in text for word in ("'type'", '"type"')))
