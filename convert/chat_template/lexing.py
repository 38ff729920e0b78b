"""A template as tokens that know where they stand, so that a rewrite touches nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from jinja2 import Environment

# Extensions only so that their statements are lexed as others are; what they mean is of no interest here.
_ENVIRONMENT = Environment(keep_trailing_newline=True)
_SILENT = ("whitespace",)


@dataclass(frozen=True)
class Token:
    """A lexical token: kind as jinja2 names it, text, and characters ``start`` to ``end`` of the source."""

    kind: str
    text: str
    start: int
    end: int
    line: int


@dataclass(frozen=True)
class Segment:
    """A stretch of the source: ``code`` from ``{{`` or ``{%`` to its end, or anything else. All of them make it up."""

    text: str
    code: bool
    line: int


def tokens(source: str) -> list[Token]:
    """All tokens of a template but blanks inside code, in order.

    Raises:
        jinja2.TemplateSyntaxError: it cannot be lexed.
    """
    found: list[Token] = []
    place = 0
    for line, kind, text in _ENVIRONMENT.lex(source):
        # `{%-` swallows blanks before it, which the lexer then does not report.
        start = source.index(text, place) if text else place
        place = start + len(text)
        if kind not in _SILENT:
            found.append(Token(kind, text, start, place, line))
    return found


def segments(source: str) -> list[Segment]:
    """The template cut into code and the rest.

    Raises:
        jinja2.TemplateSyntaxError: it cannot be lexed.
    """
    found: list[Segment] = []
    done = begin = line = 0
    for token in tokens(source):
        if token.kind in ("variable_begin", "block_begin"):
            begin, line = token.start, token.line
            if begin > done:
                found.append(Segment(source[done:begin], False, line))
            done = begin
        elif token.kind in ("variable_end", "block_end"):
            found.append(Segment(source[begin : token.end], True, line))
            done = token.end
    if done < len(source):
        found.append(Segment(source[done:], False, source.count("\n", 0, done) + 1))
    return found
