"""What is asked about images: one before the text, one behind it, two in a turn, one in a later turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]
STEPS = 12  # tokens of an answer, at most


@dataclass(frozen=True)
class Question:
    """A conversation whose last message is asked.

    Attributes:
        messages: with role and content; an image is a part with a ``name``.
        images: names of its images, in order.
    """

    name: str
    messages: tuple[Message, ...]
    images: tuple[str, ...]


def _image(name: str) -> dict[str, str]:
    return {"type": "image", "name": name}


_WHAT = {"type": "text", "text": "What is in the picture?"}
_ALIKE = {"type": "text", "text": "Are these two alike?"}
QUESTIONS = (
    Question("an image before the text", ({"role": "user", "content": [_image("one"), _WHAT]},), ("one",)),
    Question("an image behind the text", ({"role": "user", "content": [_WHAT, _image("one")]},), ("one",)),
    Question("two images", ({"role": "user", "content": [_image("one"), _ALIKE, _image("other")]},), ("one", "other")),
    Question(
        "an image in a later turn",
        (
            {"role": "user", "content": "Name one colour."},
            {"role": "assistant", "content": "Red."},
            {"role": "user", "content": [_image("other"), _WHAT]},
        ),
        ("other",),
    ),
)
# Of a large model two show all of this, for an image is some hundred tokens to read.
FEWER = QUESTIONS[2:]
