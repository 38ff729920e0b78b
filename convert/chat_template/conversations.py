"""Conversations in which an adapted template must print what the published one prints. Small: they run before any work.

The judge renders more of them in the engine itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Message = dict[str, Any]
# How a template wants a tool's answer: on the message that called (Gemma's own form), or as a message with a text.
Answers = Literal["native", "spoken"]


@dataclass(frozen=True)
class Conversation:
    """A conversation as apps give it to the engine: tools' answers as ``tool_response`` parts.

    Attributes:
        generate: whether the model is to speak next.
        odd: content that only some templates take; left out where the published one refuses it.
    """

    name: str
    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    generate: bool = True
    odd: bool = False


def user(content: Any) -> Message:
    """What a person says."""
    return {"role": "user", "content": content}


def model(content: Any, **more: Any) -> Message:
    """What the model said."""
    return {"role": "assistant", "content": content, **more}


def system(content: Any) -> Message:
    """Instructions."""
    return {"role": "system", "content": content}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """A tool call of the model."""
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def answered(*pairs: tuple[str, Any]) -> Message:
    """Tools' answers in one message."""
    return {"role": "tool", "content": [{"type": "tool_response", "name": n, "response": r} for n, r in pairs]}


def text(content: str) -> dict[str, str]:
    """A part of content."""
    return {"type": "text", "text": content}


HELLO = user("Hello there")
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "find_place",
        "description": 'Finds a "place".',
        "parameters": {
            "type": "object",
            "properties": {
                "kind": {"type": "string", "description": "What", "enum": ["inn", "well"]},
                "near": {
                    "type": "object",
                    "description": "Where",
                    "properties": {"x": {"type": "number"}, "tags": {"type": "array", "items": {"type": "string"}}},
                    "required": ["x"],
                },
                "open": {"type": "boolean", "nullable": True},
                "any": {"description": "No type"},
            },
            "required": ["kind"],
        },
    },
}
PLAIN_TOOL = {"type": "function", "function": {"name": "toss", "description": "Tosses a coin."}}
ASKED = (user("Where?"), model("", tool_calls=[call("find_place", kind="inn", near={"x": 1.5, "tags": ["a", None]})]))
_ON, _OFF = {"enable_thinking": True}, {"enable_thinking": False}
_CHANNEL = "<|channel>thought\nHm.\n<channel|>Yes."

TEXTS = (
    Conversation("a question", (HELLO,)),
    Conversation("a question with blanks around it", (user(" \n Hello \t "),)),
    Conversation("several turns", (HELLO, model(" Yes. "), user("And?"), model("No."), user("So?"))),
    Conversation("several turns without a reply to come", (HELLO, model("Yes.")), generate=False),
    Conversation("emoji and right to left", (user("👩🏽‍🚀 שלום"), model("مرحبا"), user("日本 é"))),
    Conversation("text that looks like code", (user("{{ 1 }} {% x %} <|turn> \\n ' \" <b>"),)),
    Conversation("an empty question", (user(""),)),
    Conversation("two questions in a row", (HELLO, user("Well?")), odd=True),
    Conversation("a system text", (system(" Be brief. "), HELLO), odd=True),
    Conversation("a system text and turns", (system("Be brief."), HELLO, model("Yes."), user("And?")), odd=True),
    Conversation("a developer's text", ({"role": "developer", "content": "Be brief."}, HELLO), odd=True),
    Conversation("a content of null", (HELLO, model(None), user("And?")), odd=True),
    Conversation("a content of several texts", (user([text("One "), text(" two")]),), odd=True),
    Conversation("a system text of several parts", (system([text("One "), text(" two")]), HELLO), odd=True),
    Conversation("an image and a text", (user([{"type": "image"}, text(" What? ")]),), odd=True),
    Conversation("a text and a sound", (user([text("What?"), {"type": "audio"}]), model("A."), HELLO), odd=True),
)
THOUGHTS = (
    Conversation("thinking on", (HELLO,), extra=_ON),
    Conversation("thinking off", (HELLO,), extra=_OFF),
    Conversation("thinking on with a system text", (system("Be brief."), HELLO), extra=_ON, odd=True),
    Conversation("a thought in the history's text", (HELLO, model(_CHANNEL), user("And?"))),
    Conversation("a thought in the history", (HELLO, model("Yes.", reasoning="Hm."), user("And?"))),
    Conversation("a thought of the last answer", (HELLO, model("Yes.", reasoning="Hm.")), generate=False),
)
TOOLS = (
    Conversation("declared tools", (HELLO,), (TOOL, PLAIN_TOOL)),
    Conversation("declared tools and a system text", (system("Be brief."), HELLO), (TOOL,), odd=True),
    Conversation("declared tools and thinking", (HELLO,), (TOOL,), _ON),
)
# Keys ascend: the engine sorts those of the message that is sent.
CALLS = (
    Conversation("a tool's answer", (*ASKED, answered(("find_place", {"beds": 3, "name": 'The "Fox"'}))), (TOOL,)),
    Conversation("a tool's answer of text", (*ASKED, answered(("find_place", "The Fox"))), (TOOL,)),
    Conversation("a tool's answer with thinking", (*ASKED, answered(("find_place", "The Fox"))), (TOOL,), _ON),
    Conversation(
        "two calls and two answers",
        (
            user("Both?"),
            model("", tool_calls=[call("find_place", kind="inn"), call("toss")]),
            answered(("find_place", "The Fox")),
            answered(("toss", "tails")),
        ),
        (TOOL, PLAIN_TOOL),
    ),
    Conversation(
        "an answer of two parts and what follows",
        (*ASKED, answered(("find_place", [1, True, None]), ("find_place", "b")), model("Two."), user("Thanks")),
        (TOOL,),
    ),
    Conversation("a call without an answer", (*ASKED, user("Never mind")), (TOOL,), odd=True),
    Conversation("a text before a call", (HELLO, model("I look.", tool_calls=[call("toss")])), (PLAIN_TOOL,), odd=True),
)


def native(messages: tuple[Message, ...]) -> list[Message]:
    """For transformers: answers as ``tool_responses`` of the message before them."""
    found: list[Message] = []
    for message in messages:
        if message["role"] == "tool" and found:
            given = [{"name": part["name"], "response": part["response"]} for part in message["content"]]
            found[-1] = {**found[-1], "tool_responses": [*found[-1].get("tool_responses", ()), *given]}
        else:
            found.append(message)
    return found


def spoken(messages: tuple[Message, ...]) -> list[Message]:
    """For transformers: answers as messages of their own, with a text."""
    found: list[Message] = []
    for message in messages:
        if message["role"] != "tool":
            found.append(message)
            continue
        for part in message["content"]:
            said = part["response"]
            said = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
            found.append({"role": "tool", "name": part["name"], "content": said})
    return found


FORMS: dict[Answers, Callable[[tuple[Message, ...]], list[Message]]] = {"native": native, "spoken": spoken}
