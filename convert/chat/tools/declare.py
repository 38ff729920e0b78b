"""A Python function as a tool: its name, docstring and type hints become the declaration that the model reads."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from convert.errors import PlanError

_PLAIN: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}
_ADVICE = "Arguments take str, int, float, bool, list of these, or Literal of texts"


@dataclass(frozen=True)
class Tool:
    """A function and how it is declared, as a JSON schema in the form that chat templates take."""

    name: str
    function: Callable[..., Any]
    declaration: dict[str, Any]

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Tool:
        """Declares a function.

        Raises:
            PlanError: it has no docstring, or an argument whose type cannot be declared.
        """
        name = function.__name__
        doc = inspect.getdoc(function)
        if not doc:
            found = f"{name} has no docstring, so the model cannot know what it does"
            raise PlanError("chat --tools", found, "Give it one, or a name that begins with _")
        try:
            hints = typing.get_type_hints(function)
        except Exception as error:
            found = f"the type hints of {name} cannot be read ({error})"
            raise PlanError("chat --tools", found, _ADVICE) from error
        described = _described(doc)
        properties: dict[str, Any] = {}
        required: list[str] = []
        for key, parameter in inspect.signature(function).parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                found = f"{name} takes {parameter}, which cannot be given by name"
                raise PlanError("chat --tools", found, _ADVICE)
            properties[key] = _schema(name, key, hints.get(key)) | described.get(key, {})
            if parameter.default is parameter.empty:
                required.append(key)
        parameters = {"type": "object", "properties": properties, "required": required}
        spoken = {"name": name, "description": " ".join(doc.split("\n\n")[0].split()), "parameters": parameters}
        return cls(name, function, {"type": "function", "function": spoken})

    def native(self) -> Any:
        """The same for the engine's Python interface, which asks for the declaration alone."""
        import litert_lm

        declaration = self.declaration

        class Declared(litert_lm.Tool):
            def get_tool_description(self) -> dict[str, Any]:
                return declaration

            def execute(self, param: Any) -> Any:
                raise NotImplementedError  # calls are answered by convert.chat.tools.calls

        return Declared()


def _schema(tool: str, key: str, hint: Any) -> dict[str, Any]:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if origin is typing.Literal and all(isinstance(value, str) for value in inner):
        return {"type": "string", "enum": list(inner)}
    if origin is list and len(inner) == 1:
        return {"type": "array", "items": _schema(tool, key, inner[0])}
    if origin in (types.UnionType, typing.Union) and len(inner) == 2 and types.NoneType in inner:
        (other,) = (each for each in inner if each is not types.NoneType)
        return _schema(tool, key, other) | {"nullable": True}
    found = f"argument {key} of {tool} has " + ("no type hint" if hint is None else f"the type {hint}")
    raise PlanError("chat --tools", found, _ADVICE)


def _described(doc: str) -> dict[str, dict[str, str]]:
    """Descriptions of arguments in the section ``Args:`` of a docstring, by name."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)*)", doc, re.MULTILINE)
    if section is None:
        return {}
    lines = section[1].splitlines()
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    found: dict[str, dict[str, str]] = {}
    last = None
    for line in lines:
        if (begin := re.match(rf"[ \t]{{{indent}}}(\w+)(?: \(.*?\))?:[ \t]*(.*)", line)) is not None:
            last = begin[1]
            found[last] = {"description": begin[2].strip()}
        elif last and line.strip():
            found[last]["description"] = f"{found[last]['description']} {line.strip()}".strip()
    return found
