"""Answering the model's calls, in the form that the engine gives to the chat template.

Whatever a call does, the model gets an answer: an unknown tool, wrong arguments and a tool that fails are texts that
begin with ``error:``.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import sys
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from convert.chat.control import harmless, harmless_values
from convert.chat.shown import shown
from convert.chat.tools.declare import Tool

_MOST_SHOWN = 200


@dataclass(frozen=True)
class Call:
    """What the model asks for."""

    name: str
    arguments: dict[str, Any]

    @classmethod
    def of(cls, call: dict[str, Any]) -> Call:
        """From the engine's form; what is missing is empty."""
        function = call.get("function") or {}
        arguments = function.get("arguments")
        return cls(str(function.get("name", "")), arguments if isinstance(arguments, dict) else {})

    def to_json(self) -> dict[str, Any]:
        """The engine's form."""
        return {"type": "function", "function": {"name": self.name, "arguments": self.arguments}}


def answer_all(calls: Sequence[Call], tools: Sequence[Tool], tell: Callable[[str], object]) -> list[dict[str, Any]]:
    """Runs the calls one after the other; gives the content of a message of role ``tool``, one part a call."""
    parts = []
    for call in calls:
        given = ", ".join(f"{key}={_json(value)}" for key, value in call.arguments.items())
        tell(f"the model calls {_line(call.name)}({_line(given)})")
        answer = run(call, tools)
        tell(f"{_line(call.name)} answers {_line(_json(answer))}")
        parts.append({"type": "tool_response", "name": harmless(call.name), "response": harmless_values(answer)})
    return parts


def run(call: Call, tools: Sequence[Tool]) -> Any:
    """The answer as a JSON value."""
    tool = next((tool for tool in tools if tool.name == call.name), None)
    if tool is None:
        return f"error: there is no tool {call.name!r}, only {', '.join(tool.name for tool in tools)}"
    try:
        bound = inspect.signature(tool.function).bind(**_fitted(tool, call.arguments))
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for the model's answers
            answer = tool.function(*bound.args, **bound.kwargs)
    except (Exception, SystemExit) as error:
        return f"error: {type(error).__name__}: {error}"
    try:
        return json.loads(json.dumps(answer, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return str(answer)


def _fitted(tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments as the hints have them: 3.0 is 3 where int is asked for, and no other type is taken for another."""
    hints = typing.get_type_hints(tool.function)
    return {key: _fit(key, value, hints[key]) if key in hints else value for key, value in arguments.items()}


def _fit(key: str, value: Any, hint: Any) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if hint is float and type(value) is int:
        return float(value)
    if origin is list and isinstance(value, list):
        return [_fit(key, item, inner[0]) for item in value]
    if origin is typing.Literal:
        fits = value in inner
    elif origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _fit(key, value, next(each for each in inner if each is not types.NoneType))
    else:
        fits = type(value) is hint
    if not fits:
        raise TypeError(f"{key} cannot be {_json(value)}")
    return value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _line(text: str) -> str:
    """One line of what the model or a tool wrote, fit to be shown."""
    flat = " ".join(shown(text).split())
    return flat if len(flat) <= _MOST_SHOWN else flat[:_MOST_SHOWN] + "..."
