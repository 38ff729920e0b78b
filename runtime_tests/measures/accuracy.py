"""The accuracy table of rung 4: each system's outcomes on the same questions, and what may be said about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from runtime_tests.measures.statistics import Outcomes, Paired, paired, wilson

REFERENCE, ARTIFACT, FLOAT, PTQ = "reference", "artifact", "float", "ptq"
NO_STATIC = "reference, activations in float"
_ORDER = (FLOAT, PTQ, REFERENCE, NO_STATIC, ARTIFACT)


@dataclass(frozen=True)
class System:
    """One thing that answered.

    Attributes:
        source: measured here and now, or recorded by the training run that made the checkpoint.
        correct: by question, in order, bool ``[N]``.
    """

    name: str
    description: str
    source: Literal["measured", "recorded"]
    correct: Outcomes

    @property
    def accuracy(self) -> float:
        """Fraction answered right."""
        return float(self.correct.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval."""
        return wilson(int(self.correct.sum()), len(self.correct))


@dataclass(frozen=True)
class Accuracy:
    """All systems over the same questions.

    Attributes:
        questions: name of the questions' file; sha256 of its bytes.
        left_out: questions that do not fit the artifact's context, and that no system is counted on.
        families: of each question, in order.
        systems: the reference among them, in the order of the table.
        total: questions in the file.
        own: whether they are the checkpoint's, and all of them.
        matches: the kinds of match, the most frequent first.
    """

    questions: str
    sha256: str
    left_out: int
    families: tuple[str, ...]
    systems: tuple[System, ...]
    total: int
    own: bool
    matches: tuple[str, ...]

    def system(self, name: str) -> System | None:
        """A system by its name."""
        return next((item for item in self.systems if item.name == name), None)

    @property
    def reference(self) -> System:
        found = self.system(REFERENCE)
        assert found is not None
        return found

    def beside_reference(self, item: System) -> Paired:
        """A system against the reference, paired."""
        return paired(self.reference.correct, item.correct)

    def by_family(self, item: System) -> dict[str, tuple[int, int]]:
        """Correct and total by family, sorted by name."""
        where = np.array(self.families)
        names = sorted(set(self.families))
        return {name: (int(item.correct[where == name].sum()), int((where == name).sum())) for name in names}


def least_loss(p: float) -> int:
    """How many questions have to be lost, and none gained, so that McNemar's test says it with less than ``p``.

    >>> least_loss(0.05)
    6
    """
    return next(k for k in range(1, 1000) if 2 * 0.5**k < p)


def ordered(systems: list[System]) -> tuple[System, ...]:
    """From the float model to the artifact; other recorded systems, which are other ways to round, after ``ptq``."""
    others = _ORDER.index(PTQ) + 0.5
    return tuple(sorted(systems, key=lambda at: (_ORDER.index(at.name) if at.name in _ORDER else others, at.name)))
