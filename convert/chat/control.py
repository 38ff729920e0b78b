"""Text that spells a control token, made harmless: what a person types, and what a tool answers, must not open a turn.

The engine has one text, the rendered prompt, and its tokenizer takes every ``<turn|>`` in it for the token, whoever
wrote it. So before such text is handed over, a WORD JOINER (U+2060: no width, no break, no meaning) goes behind the
``<`` of every spelling of a control token::

    <(?=\\|[^<> \\t\\r\\n]+>
       |[^<>| \\t\\r\\n\\u2060]+\\|>
       |(?:pad|eos|bos|unk|mask|unused[0-9]+|(?:start|end)_of_[a-z_]+)>)

That is Gemma 4's form, ``<|name>``, ``<name|>`` and ``<|name|>``, with any name, and the older names that stand between
plain brackets. Done twice it is the same. HTML tags, ``a < b`` and the pipes of a shell stay as they are. The model
reads the same letters, and the tokenizer never sees the token. The pattern means the same in Python and in Java, so
that the Android sample can share it. Where a bundle's tokenizer knows yet another token, the forms above are still all
that can end a turn.
"""

from __future__ import annotations

import re
from typing import Any

JOINER = "\u2060"
_SPELLED = re.compile(
    r"<(?=\|[^<> \t\r\n]+>|[^<>| \t\r\n\u2060]+\|>"
    r"|(?:pad|eos|bos|unk|mask|unused[0-9]+|(?:start|end)_of_[a-z_]+)>)"
)


def harmless(text: str) -> str:
    """The text with every control token spelled harmlessly; without any, the same text."""
    return _SPELLED.sub(f"<{JOINER}", text)


def harmless_values(value: Any) -> Any:
    """The same for every text in a JSON value, keys included."""
    match value:
        case str():
            return harmless(value)
        case list():
            return [harmless_values(item) for item in value]
        case dict():
            return {harmless(key): harmless_values(item) for key, item in value.items()}
    return value
