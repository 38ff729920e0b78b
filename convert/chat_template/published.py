"""Renders a template as transformers does: jinja2, sandboxed, with the same settings and functions."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

# A day for both renderers, so that a template that prints the date can be compared with itself.
TODAY = datetime(2026, 1, 2, 3, 4, 5)
_REASONING = ("reasoning_content", "thinking", "reasoning")


class RenderError(Exception):
    """A template that cannot be rendered: what its language said, and the line if it said one."""

    def __init__(self, message: str, line: int | None = None) -> None:
        self.message, self.line = message, line
        super().__init__(message if line is None else f"{message} (line {line})")


class _Generation(jinja2.ext.Extension):
    """``{% generation %}`` marks what an assistant said, for training; it prints what is inside."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 reads it from the class

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _tojson(value: Any, ensure_ascii: bool = False, **layout: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **layout)


def strftime_now(format: str) -> str:
    """The fixed day in the given format."""
    return TODAY.strftime(format)


class Published:
    """A template as its publisher means it.

    Raises:
        RenderError: it is not a template.
    """

    def __init__(self, text: str, tokens: dict[str, str]) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
        )
        environment.filters["tojson"] = _tojson
        environment.globals.update(raise_exception=_raise_exception, strftime_now=strftime_now)
        self._tokens = tokens
        try:
            self._template = environment.from_string(text)
        except jinja2.TemplateSyntaxError as error:
            raise RenderError(str(error.message), error.lineno) from error
        except RecursionError as error:
            raise RenderError("its expressions are nested too deep") from error
        except MemoryError:
            raise
        except Exception as error:  # what Python says of the code that jinja2 makes, such as a break outside a loop
            raise RenderError(str(error)) from error

    def render(
        self, messages: list[dict[str, Any]], tools: list[Any] | None, generate: bool, extra: dict[str, Any]
    ) -> str:
        """The text of a conversation.

        Raises:
            RenderError: the template refuses the conversation, or calls what is not there.
        """
        messages = [_with_reasoning(message) for message in messages]
        try:
            return self._template.render(
                messages=messages,
                tools=tools,
                documents=None,
                add_generation_prompt=generate,
                **{**self._tokens, **extra},
            )
        except MemoryError:
            raise
        except RecursionError as error:
            raise RenderError("it calls itself without end") from error
        except Exception as error:
            raise RenderError(str(error) or type(error).__name__, _line(error)) from error


def _with_reasoning(message: dict[str, Any]) -> dict[str, Any]:
    """transformers gives a thought under further names that templates know it by."""
    thought = next((message[name] for name in _REASONING if message.get(name) is not None), None)
    return message if thought is None else {"thinking": thought, **message, "reasoning_content": thought}


def _line(error: Exception) -> int | None:
    """The line of the template that an error comes from: jinja2 puts it into the traceback."""
    line, trace = None, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
