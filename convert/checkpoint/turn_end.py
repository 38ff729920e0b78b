"""What the chat template prints behind the model's words: the token that ends its turn.

The template is rendered, for no other way tells what a program prints; by ``minijinja``, because that is what the
engine renders with, it reaches no Python object, and its fuel bounds a template that would run for ever.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from convert.checkpoint.strict_json import shown

_FUEL = 5_000_000  # operations; a conversation of two messages takes some thousands
_ANSWER = "Quillfeather"
_TRAINING_ONLY = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")


@dataclass(frozen=True)
class Closing:
    """Attributes:
    text: what follows the model's words, without the white space around it; empty when nothing does.
    fault: why it is not known; empty when it is.
    """

    text: str
    fault: str


def closing(template: str, tokens: Mapping[str, str]) -> Closing:
    """Renders one question and its answer.

    Args:
        tokens: special tokens by their roles, ``bos_token`` and so on, as templates use them.
    """
    from minijinja import Environment, TemplateError

    environment = Environment(trim_blocks=True, lstrip_blocks=True, fuel=_FUEL)
    environment.add_global("raise_exception", _refuse)
    environment.add_global("strftime_now", lambda form: "1970-01-01")
    messages = [{"role": "user", "content": "Name a pen."}, {"role": "assistant", "content": _ANSWER}]
    try:
        text = environment.render_str(
            _TRAINING_ONLY.sub("", template), messages=messages, add_generation_prompt=False, tools=None, **tokens
        )
    except (TemplateError, RuntimeError, ValueError, TypeError) as error:
        return Closing("", shown(str(error).split("\n", 1)[0]))
    _, found, after = text.rpartition(_ANSWER)
    return Closing(after.strip(), "") if found else Closing("", "it leaves out what the model said")


def _refuse(message: str) -> str:
    raise ValueError(message)
