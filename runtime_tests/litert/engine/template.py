"""Rung 3, third part: the chat template in the engine against the checkpoint's own in transformers.

Many conversations (conversations.py) are rendered by both and must be the same text. The engine's answers of tools are
parts that published templates do not read, in transformers either; so transformers is given each answer where its
template prints it, and beside that the answer's own characters must stand in the engine's text.

In a chat the engine renders what was said, and again with the next message; it refuses that message when the second
text does not begin with the first. So both are rendered.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runtime_tests.litert.case import LitertCase
from runtime_tests.litert.runners.engine import Answer
from runtime_tests.measures.evidence import Adaptation
from runtime_tests.questions.conversations import (
    ANSWER,
    ASKED,
    CLOCK,
    CONVERSATIONS,
    HELLO,
    Conversation,
    Message,
    answers,
    text,
    user,
)
from runtime_tests.results import Check, at_least, none, stated
from runtime_tests.rungs.fitting import reason

Form = Callable[[Sequence[Message]], list[Message]]

BEFORE, AFTER = 30, 40  # characters shown of a difference
LARGEST = 400_000  # characters of a template up to which lines are compared
PROBE = "quarter to seven"
SILENT = "prints no tool's answer in transformers"


@dataclass(frozen=True)
class Expected:
    """What transformers makes of a conversation.

    Attributes:
        text: the rendered text; None when there is none to compare with.
        why: why not.
        whole: whether the engine's text must equal it; otherwise only the tool's answers must be in it.
    """

    text: str | None
    why: str = ""
    whole: bool = True


def asked() -> tuple[dict[str, Any], ...]:
    """The conversations as the engine takes them; then, of those that a chat comes to, what it had rendered before."""
    before = [{**_asked(item), "context": {**item.context, "add_generation_prompt": False}} for _, item in _continued()]
    return (*map(_asked, CONVERSATIONS), *before)


def _asked(item: Conversation) -> dict[str, Any]:
    return {"messages": item.messages, "tools": item.tools, "context": item.context}


def _continued() -> list[tuple[int, Conversation]]:
    """Places of the conversations that continue another, with that other."""
    return [(i, before) for i, item in enumerate(CONVERSATIONS) if (before := item.until_answer())]


def compare_templates(case: LitertCase, answer: Answer) -> list[Check]:
    """The engine's texts against transformers'."""
    total = len(CONVERSATIONS)
    expected = [expect(case, item) for item in CONVERSATIONS]
    rendered = answer.rendered[:total]
    refused = [f"{CONVERSATIONS[i].name}: {answer.refused[i]}" for i in _where(expected, rendered, given=False)]
    both = _where(expected, rendered, given=True)
    different, lost, answered = [], [], 0
    for i in both:
        item, found, wanted = CONVERSATIONS[i], rendered[i] or "", expected[i]
        if wanted.whole and found != wanted.text:
            different.append(f"{item.name}: {difference(found, wanted.text or '')}")
        if words := list(answers_of(item)):
            answered += 1
            missing = [word for word in words if word not in found]
            lost += [f"{item.name}: {missing[0]!a}"] if missing else []
    alike = [i for i, item in enumerate(CONVERSATIONS) if item.odd and expected[i].text is None and rendered[i] is None]
    left_out = [i for i in range(total) if expected[i].text is None and i not in alike]
    compared = total - len(left_out)
    return [
        none("the engine renders every conversation", refused, "conversations", compared),
        none("template renders otherwise", different, "conversations", compared),
        *([none("a tool's answer is not in the text", lost, "conversations", answered)] if answered else []),
        *_compare_continued(case, answer, set(both)),
        at_least("conversations compared", compared, 1, "conversations"),
        *(
            [stated("conversations left out", len(left_out), f"of {total}", _reasons(expected, left_out))]
            if left_out
            else []
        ),
    ]


def _where(expected: list[Expected], rendered: list[str | None], given: bool) -> list[int]:
    """Conversations that transformers renders, and the engine too or not."""
    pairs = enumerate(zip(expected, rendered, strict=True))
    return [i for i, (wanted, found) in pairs if wanted.text is not None and (found is not None) == given]


def _compare_continued(case: LitertCase, answer: Answer, rendered: set[int]) -> list[Check]:
    """Whether each text begins with what the engine had rendered before the last message came."""
    wrong: list[str] = []
    own: list[str] = []
    count = 0
    for (i, before), first in zip(_continued(), answer.rendered[len(CONVERSATIONS) :], strict=True):
        if i not in rendered:
            continue
        count += 1
        if first is not None and (whole := answer.rendered[i] or "").startswith(first):
            continue
        words = "it renders the next message alone" if first is None else difference(whole, first)
        (wrong if _continues(case, before, CONVERSATIONS[i]) else own).append(f"{before.name}: {words}")
    name = "a next message that the engine refuses"
    told = f"{own[0]}; as the checkpoint's template has it" if own else ""
    return [
        none(name, wrong, "conversations", count),
        *([stated(f"{name}, by the checkpoint's template", len(own), "conversations", told)] if own else []),
    ]


def _continues(case: LitertCase, before: Conversation, item: Conversation) -> bool:
    """Whether the same holds in transformers."""
    form = answer_form(case) or spoken
    try:
        first = case.render(form(before.messages), before.tools, reply=False, **before.context)
        return case.render(form(item.messages), item.tools, **item.context).startswith(first)
    except Exception:  # a template may raise anything
        return False


def expect(case: LitertCase, item: Conversation) -> Expected:
    """What transformers renders, given text, and each tool's answer where its template prints it."""
    form: Form = spoken
    whole = True
    responses = list(_responses(item))
    if responses:
        if not declares_tools(case):
            return Expected(None, "declares no tools in transformers")
        found = answer_form(case)
        if found is None:
            return Expected(None, SILENT)
        # As the content of a message, an answer that is no text has no agreed form: then only its characters count.
        form, whole = found, found is native or all(isinstance(response, str) for response in responses)
    if any(isinstance(message.get("content"), list) for message in form(item.messages)) and not takes_parts(case):
        return Expected(None, "takes text alone in transformers, no parts")
    try:
        rendered = case.render(form(item.messages), item.tools, **item.context)
    except Exception as error:  # a template may raise anything
        return Expected(None, f"refuses in transformers: {reason(error)}")
    if whole and not all(word in rendered for word in answers_of(item)):
        return Expected(None, SILENT)
    return Expected(rendered, whole=whole)


def answer_form(case: LitertCase) -> Form | None:
    """The form in which the checkpoint's template prints a tool's answer in transformers, if it does."""
    for form in (native, spoken):
        if PROBE in _attempt(case, form((*ASKED, answers(("tell_time", PROBE)))), (CLOCK,)):
            return form
    return None


def takes_parts(case: LitertCase) -> bool:
    """Whether a text and the same text as a part give one text in transformers.

    The engine gives parts alone, so what a template that knows only text prints for them is for nobody to see.
    """
    return _attempt(case, (user(PROBE),)) == _attempt(case, (user([text(PROBE)]),))


def declares_tools(case: LitertCase) -> bool:
    """Whether a declared tool is in the text that the checkpoint's template gives in transformers."""
    return CLOCK["function"]["name"] in _attempt(case, (HELLO,), (CLOCK,))


def takes_tools(case: LitertCase) -> bool:
    """Whether the checkpoint's template declares tools and prints what they answered, in transformers."""
    return declares_tools(case) and answer_form(case) is not None


def follows_calls(case: LitertCase) -> bool:
    """Whether a tool's answer only adds to what the checkpoint's template had printed before it, in transformers."""
    return _continues(case, Conversation("", ASKED, (CLOCK,)), Conversation("", (*ASKED, ANSWER), (CLOCK,)))


def thinks(case: LitertCase) -> bool:
    """Whether ``enable_thinking`` changes the text that the checkpoint's template gives in transformers."""
    return _attempt(case, (HELLO,), enable_thinking=True) != _attempt(case, (HELLO,), enable_thinking=False)


def _attempt(case: LitertCase, messages: Sequence[Message], tools: Sequence[Message] = (), **context: Any) -> str:
    try:
        return case.render(messages, tools, **context)
    except Exception:
        return ""


def native(messages: Sequence[Message]) -> list[Message]:
    """Tools' answers as ``tool_responses`` of the message that called them: Gemma's own form."""
    out: list[Message] = []
    for message in _without_bytes(messages):
        if message["role"] == "tool" and out:
            given = [{"name": part["name"], "response": part["response"]} for part in message["content"]]
            out[-1] = {**out[-1], "tool_responses": [*out[-1].get("tool_responses", ()), *given]}
        else:
            out.append(message)
    return out


def spoken(messages: Sequence[Message]) -> list[Message]:
    """Tools' answers as messages with text, and with the id of their call: OpenAI's form."""
    out: list[Message] = []
    waiting: list[tuple[str, str]] = []
    for number, message in enumerate(_without_bytes(messages)):
        if message.get("tool_calls"):
            calls = [{**call, "id": f"call_{number}_{i}"} for i, call in enumerate(message["tool_calls"])]
            waiting = [(call["function"]["name"], call["id"]) for call in calls]
            out.append({**message, "tool_calls": calls})
        elif message["role"] == "tool":
            for part in message["content"]:
                id = next((id for name, id in waiting if name == part["name"]), "")
                told = (
                    part["response"]
                    if isinstance(part["response"], str)
                    else json.dumps(part["response"], ensure_ascii=False)
                )
                out.append({"role": "tool", "name": part["name"], "tool_call_id": id, "content": told})
        else:
            out.append(message)
    return out


def _without_bytes(messages: Sequence[Message]) -> Iterator[Message]:
    """transformers' placeholders need no picture."""
    for message in messages:
        if isinstance(message.get("content"), list):
            parts = [{k: v for k, v in part.items() if k != "blob"} for part in message["content"]]
            yield {**message, "content": parts}
        else:
            yield message


def _responses(item: Conversation) -> Iterator[Any]:
    for message in item.messages:
        if message["role"] == "tool":
            yield from (part["response"] for part in message["content"])


def answers_of(item: Conversation) -> Iterator[str]:
    """The characters that a tool answered: keys, texts and numbers; words such as null are written in many ways."""
    for response in _responses(item):
        yield from _leaves(response)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif isinstance(value, str):
        if value:
            yield value
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def difference(found: str, expected: str) -> str:
    r"""What comes before two texts part, and both from there on; what a terminal or a browser would hide is escaped.

    >>> print(difference("<|turn>system\nBrief. <turn|>", "<|turn>system\nBrief.<turn|>"))
    at character 20, after '<|turn>system\nBrief.': '\x20<turn|>', expected '<turn|>'
    """
    pairs = enumerate(zip(found, expected, strict=False))
    start = next((i for i, (a, b) in pairs if a != b), min(len(found), len(expected)))
    begin = max(0, start - BEFORE)
    after = f", after {'…' if begin else ''}{found[begin:start]!a}" if start else ""
    return f"at character {start}{after}: {_onwards(found, start)}, expected {_onwards(expected, start)}"


def _onwards(text: str, start: int) -> str:
    shown = ascii(text[start : start + AFTER])
    if shown[1] == " ":  # else nobody sees the blank that is the difference
        shown = f"{shown[0]}\\x20{shown[2:]}"
    return shown + ("…" if start + AFTER < len(text) else "")


def _reasons(expected: list[Expected], left_out: list[int]) -> str:
    """For each reason how many, with the first of them by name."""
    by_reason: dict[str, list[str]] = {}
    for i in left_out:
        by_reason.setdefault(expected[i].why, []).append(CONVERSATIONS[i].name)
    told = []
    for why, names in by_reason.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        told.append(f"{names[0]}{more}: the checkpoint's template {why}")
    return "; ".join(told)


def adaptation(case: LitertCase) -> Adaptation:
    """The file's chat template beside the checkpoint's."""
    packed, own = case.artifact.llm_metadata().jinja_prompt_template, case.template
    if packed == own:
        return Adaptation(0, 0, ())
    if max(len(packed), len(own)) > LARGEST:
        return Adaptation(packed.count("\n") + 1, own.count("\n") + 1, ("too long to be compared line by line",))
    # Lines by "\n" alone: a template may hold other line ends as text.
    before, after = own.split("\n"), packed.split("\n")
    diff = tuple(
        difflib.unified_diff(before, after, "the checkpoint's template", "the template in the file", lineterm="")
    )
    added = sum(line.startswith("+") for line in diff[2:])
    return Adaptation(added, sum(line.startswith("-") for line in diff[2:]), diff)
