"""Rewrites inside one piece of template code (``{{ ... }}`` or ``{% ... %}``), token by token.

Strings are tokens, so their text is never touched. Line breaks stay, so that line numbers stay true.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from convert.chat_template.lexing import Token, tokens
from convert.chat_template.methods import METHODS

_OPEN, _CLOSE = {"(", "[", "{"}, {")", "]", "}"}
# Names after which a bracket opens an expression of its own instead of a call.
_WORDS = frozenset(("in", "not", "and", "or", "if", "else", "elif", "is", "set", "for", "print", "recursive"))


@dataclass(frozen=True)
class Edit:
    """Characters ``start`` to ``end`` of a piece of code become ``text``; ``reason`` names the kind of change."""

    start: int
    end: int
    text: str
    reason: str


def rewrite(code: str, changes: Counter[str]) -> str:
    """The code with everything said in words that the engine knows; ``changes`` counts what was done.

    What has no such words is left as it is: ``convert.chat_template.words`` refuses it by name.
    """
    while edit := _first(code):
        code = code[: edit.start] + edit.text + code[edit.end :]
        changes[edit.reason] += 1
    return code


def print_as_python(code: str, changes: Counter[str]) -> str:
    """``{{ value }}`` with the macro of ``preamble.PRINTED`` around the value; texts as such are left alone."""
    found = tokens(code)
    inside = found[1:-1]
    if not inside or found[0].kind != "variable_begin" or all(token.kind == "string" for token in inside):
        return code
    start, end = inside[0].start, inside[-1].end
    changes["None is printed as Python does"] += 1
    return f"{code[:start]}as_python(({code[start:end]})){code[end:]}"


def _first(code: str) -> Edit | None:
    found = [token for token in tokens(code) if token.text]
    for i, token in enumerate(found):
        edit = None
        if token.kind == "operator" and token.text == ".":
            edit = _method(code, found, i)
        elif token.kind == "name" and token.text == "is":
            edit = _none(found, i)
        elif token.kind == "operator" and token.text == "|":
            edit = _filter(found, i)
        elif token.kind == "name" and i == 1 and token.text in ("generation", "endgeneration"):
            # What is set inside is not seen outside, as with transformers' own block.
            name = token.text.replace("generation", "with")
            edit = Edit(token.start, token.end, name, "generation")
        if edit:
            return edit
    return None


def _method(code: str, found: list[Token], i: int) -> Edit | None:
    """``receiver.name(...)`` at the dot ``i``."""
    if i + 2 >= len(found) or found[i + 2].text != "(" or found[i + 1].text not in METHODS:
        return None
    name, last = found[i + 1].text, _closing(found, i + 2)
    if last is None:
        return None
    given = _arguments(code, found, i + 2, last)
    least, most, form = METHODS[name]
    first = _receiver(found, i - 1)
    if not least <= len(given) <= most or first is None or any(_keyword(argument) for argument in given):
        return None
    start = found[first].start
    return Edit(start, found[last].end, form(code[start : found[i].start].strip(), given), f".{name}()")


def _none(found: list[Token], i: int) -> Edit | None:
    """``is none`` and ``is not none``: the engine's test of that name asks whether a value is undefined."""
    after = i + 2 if i + 1 < len(found) and found[i + 1].text == "not" else i + 1
    if after < len(found) and found[after].kind == "name" and found[after].text == "none":
        return Edit(found[after].start, found[after].end, "eq(none)", "is none")
    return None


def _filter(found: list[Token], i: int) -> Edit | None:
    """Keywords of two filters that the engine does not take; it does the same without them."""
    if i + 3 >= len(found) or found[i + 2].text != "(":
        return None
    name, last = found[i + 1].text, _closing(found, i + 2)
    if last is None:
        return None
    inside = found[i + 3 : last]
    if name == "tojson" and [token.text.lower() for token in inside] == ["ensure_ascii", "=", "false"]:
        return Edit(found[i + 2].start, found[last].end, "", "tojson(ensure_ascii=false)")
    if name in ("default", "d"):
        for j, token in enumerate(inside[:-1]):
            if token.text == "boolean" and inside[j + 1].text == "=" and j and inside[j - 1].text == ",":
                return Edit(token.start, inside[j + 1].end, "", "default(boolean=)")
    return None


def _closing(found: list[Token], i: int) -> int | None:
    """Index of the bracket that closes the one at ``i``."""
    depth = 0
    for j in range(i, len(found)):
        if found[j].kind == "operator":
            depth += (found[j].text in _OPEN) - (found[j].text in _CLOSE)
            if not depth:
                return j
    return None


def _receiver(found: list[Token], i: int) -> int | None:
    """Index of the first token of the operand that ends at ``i``: a name, text or bracket with all that hangs on it."""
    while i > 0:
        if found[i].kind == "operator" and found[i].text in _CLOSE:
            depth = 0
            while i > 0:
                depth += (found[i].text in _CLOSE) - (found[i].text in _OPEN) if found[i].kind == "operator" else 0
                if not depth:
                    break
                i -= 1
            before = found[i - 1]
            hangs = before.kind == "string" or before.text in _CLOSE
            if found[i].text in ("(", "[") and (hangs or (before.kind == "name" and before.text not in _WORDS)):
                i -= 1
                continue
        elif found[i].kind not in ("name", "string", "integer"):
            return None
        if found[i - 1].kind == "operator" and found[i - 1].text == ".":
            i -= 2
            continue
        return i
    return None


def _arguments(code: str, found: list[Token], first: int, last: int) -> list[str]:
    """The texts between the brackets ``first`` and ``last``, cut at the commas that are not inside others."""
    given: list[str] = []
    depth, start = 0, found[first].end
    for token in found[first + 1 : last]:
        if token.kind == "operator":
            depth += (token.text in _OPEN) - (token.text in _CLOSE)
            if token.text == "," and not depth:
                given.append(code[start : token.start].strip())
                start = token.end
    given.append(code[start : found[last].start].strip())
    return [argument for argument in given if argument]


def _keyword(argument: str) -> bool:
    name, equals, rest = argument.partition("=")
    return bool(equals) and name.strip().isidentifier() and not rest.startswith("=")
