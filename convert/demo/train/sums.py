"""Sums and differences of numbers of one or two digits. Held out: one pair of numbers in eight, in every phrasing."""

from __future__ import annotations

import numpy as np

from convert.demo.train.questions import Exam, Turn, pick, share

PLUS = ("What is {} + {}?", "What is {} plus {}?", "Add {} and {}.", "How much is {} + {}?", "{} + {} = ?")
MINUS = ("What is {} - {}?", "What is {} minus {}?", "Take {} and subtract {}.", "How much is {} - {}?", "{} - {} = ?")
LARGEST = 99


def held_out(sign: str, a: int, b: int) -> bool:
    """Whether a pair is kept from training; ``a + b`` and ``b + a`` go together."""
    low, high = sorted((a, b))
    return share(f"sums {sign} {low} {high}", 8) == 0


def turn(sign: str, a: int, b: int, phrasing: int) -> Turn:
    """The question in one of its phrasings. Differences are never negative: the larger number is asked first."""
    if sign == "+":
        return Turn(PLUS[phrasing].format(a, b), str(a + b))
    a, b = max(a, b), min(a, b)
    return Turn(MINUS[phrasing].format(a, b), str(a - b))


class Sums:
    """The family of sums."""

    def draw(self, random: np.random.Generator) -> list[Turn]:
        while True:
            sign, a, b = "+-"[pick(random, 2)], pick(random, LARGEST + 1), pick(random, LARGEST + 1)
            if not held_out(sign, a, b):
                return [turn(sign, a, b, pick(random, len(PLUS)))]

    def exams(self) -> list[Exam]:
        return [
            Exam("sums", (), turn(sign, a, b, share(f"phrasing {sign} {a} {b}", len(PLUS))))
            for sign in "+-"
            for a in range(10, LARGEST + 1)
            for b in range(10, LARGEST + 1 if sign == "+" else a + 1)
            if held_out(sign, a, b)
        ]

    def words(self) -> list[str]:
        return [*PLUS, *MINUS] * 40
