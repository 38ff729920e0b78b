"""The rungs in order: each runs, or says why it could not. None stops the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from runtime_tests.case import Case
from runtime_tests.errors import CannotRunError, InputError
from runtime_tests.results import Check, Findings, Rung, rung


@dataclass(frozen=True)
class Step:
    """A rung by its name, the file in a ``rungs/`` folder that climbs it, and its question."""

    name: str
    module: str
    question: str


STEPS = (
    Step("0", "weights", "are the integers and scales in the artifact the checkpoint's?"),
    Step("1", "decoder", "is the converter's decoder Gemma 4?"),
    Step("2a", "blocks", "does each block give the reference's outputs on the reference's inputs?"),
    Step("2b", "lowering", "does the artifact in its runtime do what the reference does?"),
    Step("3", "engine", "does the shipped file in the shipped engine produce the reference's tokens?"),
    Step("4", "task", "does the model still do its job?"),
)
ROOT = "runtime_tests"
NAMES = tuple(step.name for step in STEPS)
# Beside the ladder, for those who ask: where one cannot run, nothing is held against the artifact.
ARM64 = Step("arm64", "arm64", "does the same file do the same on an arm64 processor?")
SECOND = Step("second", "second", "does another project's runtime do the same with the same file?")


def asked(case: Case, names: tuple[str, ...] | None) -> tuple[str, ...]:
    """The rungs that the verdict is about: those named, or all for which the checkpoint brings what they need.

    Without questions rung 4 has nothing to ask, and some rungs need another system. They are recorded as not run, and
    fail nobody who did not ask for them.
    """
    if names is not None:
        return names
    left_out = case.elsewhere | (set() if case.evaluation is not None else {"4"})
    return tuple(name for name in NAMES if name not in left_out)


def find(target: str, name: str) -> ModuleType:
    """The file of that name in a target's ``rungs/``, or else in those that targets share.

    Raises:
        CannotRunError: there is none.
    """
    for place in (f"{ROOT}.{target}.rungs", f"{ROOT}.rungs"):
        if find_spec(f"{place}.{name}") is not None:
            return import_module(f"{place}.{name}")
    raise CannotRunError(f"{target} has no {name} rung")


def climb(case: Case, names: tuple[str, ...] = NAMES, told: Callable[[Step], None] = lambda _: None) -> list[Rung]:
    """Climbs the named rungs; ``told`` hears of each before it begins."""
    out = []
    for step in (*STEPS, ARM64, SECOND):
        if step.name in names:
            told(step)
            try:
                found: list[Check] | Findings = find(case.target, step.module).climb(case)
                out.append(rung(step.name, step.question, found))
            except CannotRunError as error:
                out.append(Rung(step.name, step.question, "not run", str(error), ()))
            except InputError as error:
                if not case.foreign:
                    raise
                # A file of another maker need not have what ours have.
                out.append(Rung(step.name, step.question, "not run", str(error), ()))
            case.release()
    return out


def passed(rungs: list[Rung], names: tuple[str, ...]) -> bool:
    """Every one of the rungs ``names`` ran and passed, and no other failed."""
    good = {item.name for item in rungs if item.status == "pass"}
    return bool(names) and good.issuperset(names) and all(item.status != "fail" for item in rungs)
