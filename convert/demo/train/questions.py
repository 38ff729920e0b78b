"""What the demo is asked: turns of a conversation, and which of them are kept away from training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Turn:
    """One question and its one right answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class Exam:
    """A held-out question: the turns before it, and the turn whose answer is judged."""

    family: str
    before: tuple[Turn, ...]
    last: Turn


class Family(Protocol):
    """One kind of question; a module of this package each."""

    def draw(self, random: np.random.Generator) -> list[Turn]:
        """Turns for training, one or a few that belong together; never a held-out one."""
        ...

    def exams(self) -> list[Exam]:
        """Every held-out question that is worth asking, in a fixed order."""
        ...

    def words(self) -> list[str]:
        """The words that questions and answers are made of, for the tokenizer."""
        ...


def share(key: str, parts: int) -> int:
    """A number below ``parts`` that depends on the key alone: the same split on every machine.

    >>> share("sums 12 34", 8) == share("sums 12 34", 8)
    True
    """
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little") % parts


def pick(random: np.random.Generator, count: int) -> int:
    """A uniform index below ``count``."""
    return int(random.integers(count))
