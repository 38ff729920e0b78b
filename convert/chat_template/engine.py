"""Renders a template much as the LiteRT-LM engine does: minijinja with the engine's settings, words and messages.

minijinja's Python package is a little newer than what the engine (litert_lm 0.18.1) is built with and prints Python's
True and None; the differences that were found are undone here. The engine itself stays the judge: it renders the packed
template in rung 3.
"""

from __future__ import annotations

import json
import re
from typing import Any

from convert.chat_template.published import RenderError, strftime_now

# Steps of the virtual machine: a long conversation takes some ten thousands.
FUEL = 5_000_000
# The engine replaces these by search in the whole template, texts and comments too.
SEARCHED = re.compile(r"\.(?:startswith|endswith|replace|split|join|strip|lstrip|rstrip)\(|\.items\(\)")


def as_parts(message: dict[str, Any]) -> dict[str, Any]:
    """A message as the engine hands it to a template: text and single parts become lists of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": [{"type": "text", "text": content}]}
    if isinstance(content, dict):
        return {**message, "content": [content]}
    return message


class Engine:
    """A template as the engine takes it.

    Raises:
        RenderError: it is not a template of minijinja's.
    """

    def __init__(self, text: str) -> None:
        from minijinja import Environment, TemplateError

        self._error = TemplateError
        self._environment = environment = Environment(
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            undefined_behavior="lenient",
            pycompat=False,
            finalizer=_printed,
            fuel=FUEL,
            debug=False,
        )
        environment.add_global("raise_exception", _raise_exception)
        environment.add_global("strftime_now", strftime_now)
        environment.add_filter("tojson", lambda value: json.dumps(value, ensure_ascii=False))
        environment.add_filter("lstrip", lambda value, letters=None: value.lstrip(letters))
        environment.add_filter("rstrip", lambda value, letters=None: value.rstrip(letters))
        environment.add_filter("length", _length)
        environment.add_filter("count", _length)
        environment.add_test("sequence", lambda value: isinstance(value, (list, tuple)))
        environment.add_test("none", lambda value: False)
        try:
            environment.add_template("template", text)
        except TemplateError as error:
            raise RenderError(error.message, error.line) from error

    def render(
        self, messages: list[dict[str, Any]], tools: list[Any] | None, generate: bool, extra: dict[str, Any]
    ) -> str:
        """The text of a conversation, without the start token, which the engine puts before it.

        Raises:
            RenderError: the template refuses the conversation, runs without end, or calls what is not there.
        """
        context = {"tools": tools} if tools else {}
        try:
            return self._environment.render_template(
                "template",
                messages=[as_parts(message) for message in messages],
                add_generation_prompt=generate,
                bos_token="",
                eos_token="",
                **context,
                **extra,
            )
        except self._error as error:
            if "fuel" in error.message:
                raise RenderError("it runs without end") from error
            raise RenderError(error.message, error.line) from error
        except Exception as error:  # what our own functions raise
            raise RenderError(str(error)) from error


def _printed(value: Any) -> Any:
    # What is undefined comes as None too and is printed as nothing. None itself is "none" in the engine and "None" in
    # transformers, so a template that prints it has no right text here.
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value


def _length(value: Any) -> int:
    if value is None:
        raise ValueError("cannot calculate length of value of type none")
    return len(value)


def _raise_exception(message: str) -> None:
    raise ValueError(message)
