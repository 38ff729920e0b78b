"""What a template does, found by rendering it: whether it knows tools, thinking and lists of parts, and what it puts
around texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convert.chat_template.conversations import FORMS, HELLO, TOOL, Answers, answered, call, model, system, text, user
from convert.chat_template.published import Published, RenderError

# Letters only, so that no template trims, escapes or splits them.
_FIRST, _SECOND = "Loremipsum", "Dolorsitamet"


@dataclass(frozen=True)
class Traits:
    """What a template does.

    Attributes:
        tools: it prints the declared tools.
        answers: in which form it prints a tool's answer; None if in none.
        thinking: ``enable_thinking`` changes what it prints.
        lists: it prints each text of a content of several parts.
        nulls: it prints a content of null as the word None.
    """

    tools: bool
    answers: Answers | None
    thinking: bool
    lists: bool
    nulls: bool


@dataclass(frozen=True)
class Affixes:
    """What stands before and after a text of one role."""

    prefix: str
    suffix: str


def look(template: Published) -> Traits:
    """Traits of a template; what it refuses it does not know."""
    question = [user(_FIRST), model("", tool_calls=[call(_SECOND)])]
    answers: Answers | None = None
    for form in FORMS:
        messages = FORMS[form]((*question, answered((_SECOND, _FIRST[::-1]))))
        if answers is None and _FIRST[::-1] in _attempt(template, messages):
            answers = form
    null = _attempt(template, [HELLO, model(None), HELLO])
    parts = _attempt(template, [user([text(_FIRST), text(_SECOND)])])
    return Traits(
        tools=TOOL["function"]["name"] in _attempt(template, [HELLO], [TOOL]),
        answers=answers,
        thinking=_attempt(template, [HELLO], enable_thinking=True)
        != _attempt(template, [HELLO], enable_thinking=False),
        # A template may print the list itself, as Python or JSON would.
        lists=_FIRST in parts and _SECOND in parts and "'text'" not in parts and '"text"' not in parts,
        nulls=bool(null) and null == _attempt(template, [HELLO, model("None"), HELLO]),
    )


def writes_start(template: Published, start: str) -> bool:
    """Whether a template writes the start token as a text, so that it is there without ``bos_token`` too."""
    return _attempt(template, [HELLO]).startswith(start)


def image(template: Published) -> str:
    """What a template prints for an image between two texts, without blanks around it; empty: nothing."""
    printed = _attempt(template, [user([text(_FIRST), {"type": "image"}, text(_SECOND)])], generate=False)
    if printed.count(_FIRST) != 1 or printed.count(_SECOND) != 1:
        return ""
    return printed.split(_FIRST)[1].split(_SECOND)[0].strip()


def affixes(template: Published, start: str) -> dict[str, Affixes]:
    """What a template puts around the texts of ``user``, ``model`` and ``system``, without the start token.

    The model's prefix is what opens its reply. Empty where turns are not made of a text and what is around it.
    """
    question = _attempt(template, [user(_FIRST)], generate=False).removeprefix(start)
    asked = _attempt(template, [user(_FIRST)]).removeprefix(start)
    both = _attempt(template, [user(_FIRST), model(_SECOND)], generate=False).removeprefix(start)
    if question.count(_FIRST) != 1 or both.count(_SECOND) != 1 or not asked.startswith(question):
        return {}
    if not both.startswith(question):
        return {}
    found = {
        "user": Affixes(*question.split(_FIRST)),
        "model": Affixes(asked.removeprefix(question), both.split(_SECOND)[1]),
    }
    instructed = _attempt(template, [system(_SECOND), user(_FIRST)], generate=False).removeprefix(start)
    before = instructed.removesuffix(question)
    if instructed.endswith(question) and before.count(_SECOND) == 1:
        found["system"] = Affixes(*before.split(_SECOND))
    return found


def _attempt(
    template: Published,
    messages: list[dict[str, Any]],
    tools: list[Any] | None = None,
    generate: bool = True,
    **extra: Any,
) -> str:
    try:
        return template.render(messages, tools, generate, extra)
    except RenderError:
        return ""
