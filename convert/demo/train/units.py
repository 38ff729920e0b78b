"""Conversions of units. Where the factor is a power of ten, numbers are held out; elsewhere phrasings are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convert.demo.train.questions import Exam, Turn, pick, share

PHRASINGS = (
    "How many {small} are in {n} {big}?",
    "Convert {n} {big} to {small}.",
    "What is {n} {big} in {small}?",
    "{n} {big} in {small}?",
    "Express {n} {big} in {small}.",
)


@dataclass(frozen=True)
class Unit:
    """``factor`` of the smaller unit make one of the larger; asked for ``2..largest`` of them."""

    big: str
    small: str
    factor: int
    largest: int

    @property
    def decimal(self) -> bool:
        return self.factor in (10, 100, 1000)


UNITS = (
    Unit("meters", "centimeters", 100, 99),
    Unit("centimeters", "millimeters", 10, 99),
    Unit("kilometers", "meters", 1000, 99),
    Unit("kilograms", "grams", 1000, 99),
    Unit("tons", "kilograms", 1000, 99),
    Unit("liters", "milliliters", 1000, 99),
    Unit("dollars", "cents", 100, 99),
    Unit("hours", "minutes", 60, 12),
    Unit("minutes", "seconds", 60, 12),
    Unit("days", "hours", 24, 10),
    Unit("weeks", "days", 7, 20),
    Unit("years", "months", 12, 20),
    Unit("feet", "inches", 12, 20),
    Unit("yards", "feet", 3, 30),
)


def held_out(unit: Unit, n: int, phrasing: int) -> bool:
    """Whether a question is kept from training."""
    if unit.decimal:
        return share(f"units {unit.big} {unit.small} {n}", 6) == 0
    return share(f"units {unit.big} {unit.small} {n}", len(PHRASINGS)) == phrasing


def turn(unit: Unit, n: int, phrasing: int) -> Turn:
    """The question in one of its phrasings."""
    return Turn(PHRASINGS[phrasing].format(n=n, big=unit.big, small=unit.small), str(n * unit.factor))


class Units:
    """The family of conversions."""

    def draw(self, random: np.random.Generator) -> list[Turn]:
        while True:
            unit = UNITS[pick(random, len(UNITS))]
            n, phrasing = 2 + pick(random, unit.largest - 1), pick(random, len(PHRASINGS))
            if not held_out(unit, n, phrasing):
                return [turn(unit, n, phrasing)]

    def exams(self) -> list[Exam]:
        return [
            Exam("units", (), turn(unit, n, phrasing))
            for unit in UNITS
            for n in range(2, unit.largest + 1)
            for phrasing in [share(f"units {unit.big} {unit.small} {n}", len(PHRASINGS))]
            if held_out(unit, n, phrasing)
        ]

    def words(self) -> list[str]:
        return [PHRASINGS[i % 5].format(n="", big=unit.big, small=unit.small) for unit in UNITS for i in range(40)]
