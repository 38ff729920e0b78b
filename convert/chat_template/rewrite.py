"""A whole template in the words of the engine's template language."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from convert.chat_template.engine import SEARCHED
from convert.chat_template.expressions import print_as_python
from convert.chat_template.expressions import rewrite as rewrite_code
from convert.chat_template.lexing import segments, tokens


@dataclass(frozen=True)
class Rewritten:
    """A template and what was changed in it: kind of change and how often, in the order of first occurrence."""

    text: str
    changes: dict[str, int]


def rewrite(source: str, printed: bool = False) -> Rewritten:
    """Says the same in the engine's words. A template that needs nothing stays as it is, byte for byte.

    Args:
        printed: values are printed by the macro of ``preamble.PRINTED``, which the caller puts before the template.

    Raises:
        jinja2.TemplateSyntaxError: it is not a template.
    """
    changes: Counter[str] = Counter()
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    if text != source:
        changes["line ends"] = 1
    text = "".join(rewrite_code(piece.text, changes) if piece.code else piece.text for piece in segments(text))
    if printed:
        text = "".join(print_as_python(piece.text, changes) if piece.code else piece.text for piece in segments(text))
    text = _comments(text, changes)
    if _ends_in_dropped_newline(text):
        text = text[:-1]
        changes["last line end"] = 1
    return Rewritten(text, dict(changes))


def _comments(text: str, changes: Counter[str]) -> str:
    """Calls spelled in comments get a blank: the engine replaces them by search, up to the next bracket anywhere."""
    found: list[str] = []
    done = 0
    for token in tokens(text) if SEARCHED.search(text) else ():
        if token.kind == "comment" and SEARCHED.search(token.text):
            found += [text[done : token.start], SEARCHED.sub(lambda hit: hit[0].replace("(", " ("), token.text)]
            done = token.end
            changes["comments"] += 1
    return "".join((*found, text[done:]))


def _ends_in_dropped_newline(text: str) -> bool:
    """Whether transformers drops a last line end that the engine would print: not after ``%}`` and ``#}``."""
    return text.endswith("\n") and not text.endswith(("%}\n", "#}\n"))
