"""What a rung hands back: checks with a figure, a limit and a verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from runtime_tests.measures.evidence import Evidence

Status = Literal["pass", "fail", "not run"]


@dataclass(frozen=True)
class Check:
    """One measured thing.

    Attributes:
        name: what was measured, in words.
        found: the figure.
        limit: the bar it is held to; None for a figure that is only stated.
        sense: whether the figure must be at least or at most the limit, or equal to it.
        unit: ``dB``, ``nats``, ``of 1``, ``tensors``, ``steps``, ``tokens``.
        note: where it happened, or why the bar is where it is; one line.
    """

    name: str
    found: float
    limit: float | None
    sense: Literal["at least", "at most", "equal", "stated"]
    unit: str
    note: str = ""

    @property
    def passed(self) -> bool:
        """True when the figure keeps the limit; a figure that is not a number never does."""
        if self.sense == "stated" or self.limit is None:
            return True
        if self.sense == "at least":
            return self.found >= self.limit
        return self.found <= self.limit if self.sense == "at most" else self.found == self.limit


@dataclass(frozen=True)
class Findings:
    """What a rung hands back that saw more than its checks say."""

    checks: list[Check]
    evidence: Evidence


@dataclass(frozen=True)
class Rung:
    """The outcome of one rung.

    Attributes:
        why: given when it did not run.
        evidence: what it saw beyond its figures.
    """

    name: str
    question: str
    status: Status
    why: str
    checks: tuple[Check, ...]
    evidence: Evidence = field(default_factory=Evidence)


def at_least(name: str, found: float, limit: float, unit: str, note: str = "") -> Check:
    """A figure that must reach its bar."""
    return Check(name, float(found), float(limit), "at least", unit, note)


def at_most(name: str, found: float, limit: float, unit: str, note: str = "") -> Check:
    """A figure that must not exceed its bar."""
    return Check(name, float(found), float(limit), "at most", unit, note)


def none(name: str, wrong: list[str], unit: str, total: int) -> Check:
    """A list of offenders that must be empty; the first three are named."""
    shown = "; ".join(wrong[:3]) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else "")
    return Check(name, float(len(wrong)), 0.0, "equal", unit, shown or f"{total} compared")


def stated(name: str, found: float, unit: str, note: str = "") -> Check:
    """A figure without a bar."""
    return Check(name, float(found), None, "stated", unit, note)


def rung(name: str, question: str, found: list[Check] | Findings) -> Rung:
    """A rung that ran: it passes when it checked something and every check passes."""
    checks, evidence = (found.checks, found.evidence) if isinstance(found, Findings) else (found, Evidence())
    judged = [check for check in checks if check.sense != "stated"]
    if not judged:
        return Rung(name, question, "not run", "nothing could be compared", tuple(checks), evidence)
    return Rung(
        name, question, "pass" if all(check.passed for check in judged) else "fail", "", tuple(checks), evidence
    )
