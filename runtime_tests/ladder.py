"""The rungs in order: each runs, or says why it could not. None stops the next."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from runtime_tests.case import Case
from runtime_tests.errors import CannotRunError, InputError
from runtime_tests.results import Rung, rung


@dataclass(frozen=True)
class Step:
    """A rung by its name, the file in ``rungs/`` that climbs it, and its question."""

    name: str
    module: str
    question: str


STEPS = (
    Step("0", "weights", "are the integers and scales in the artifact the checkpoint's?"),
    Step("1", "decoder", "is the converter's decoder Gemma 4?"),
    Step("2a", "blocks", "does each block give the reference's outputs on the reference's inputs?"),
    Step("2b", "lowering", "does the artifact in its runtime do what the reference does?"),
    Step("3", "engine", "does the shipped file in the shipped engine produce the reference's tokens?"),
)
NAMES = tuple(step.name for step in STEPS)
# Beside the ladder, for those who ask: where it cannot run, nothing is held against the artifact.
ARM64 = Step("arm64", "arm64", "does the same file do the same on an arm64 processor?")


def climb(case: Case, names: tuple[str, ...] = NAMES, told: Callable[[Step], None] = lambda _: None) -> list[Rung]:
    """Climbs the named rungs; ``told`` hears of each before it begins."""
    out = []
    for step in (*STEPS, ARM64):
        if step.name in names:
            told(step)
            try:
                checks = importlib.import_module(f"runtime_tests.rungs.{step.module}").climb(case)
                out.append(rung(step.name, step.question, checks))
            except CannotRunError as error:
                out.append(Rung(step.name, step.question, "not run", str(error), ()))
            except InputError as error:
                if not case.foreign:
                    raise
                # A file of another maker need not have what ours have.
                out.append(Rung(step.name, step.question, "not run", str(error), ()))
    return out


def passed(rungs: list[Rung]) -> bool:
    """Every rung that was asked for ran and passed; what stands beside the ladder did at least not fail."""
    ladder = [item for item in rungs if item.name != ARM64.name]
    return bool(ladder) and all(item.status == "pass" for item in ladder) and all(r.status != "fail" for r in rungs)
