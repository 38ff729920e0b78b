"""What the last reviewed run found: a file for each target, mutant -> declared catcher -> check that failed.

No figures, for they may vary.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tests.mutants.run import Outcome

FOLDER = Path(__file__).parent
Found = dict[str, dict[str, str]]


def path(target: str) -> Path:
    """The file of a target."""
    return FOLDER / f"{target}.json"


def read(target: str) -> Found:
    """By mutant; empty where there is no file yet."""
    found: Found = json.loads(path(target).read_text("utf-8")) if path(target).exists() else {}
    return found


def found_by(outcomes: Iterable[Outcome]) -> dict[str, Found]:
    """What a run found, by target."""
    out: dict[str, Found] = {}
    for item in outcomes:
        caught = {name: item.caught[name] for name in item.mutant.expected}
        out.setdefault(item.mutant.target, {})[item.mutant.name] = caught
    return out


def write(outcomes: Iterable[Outcome], part: bool) -> list[str]:
    """Writes what was found; a part of the catalogue leaves the rest as it was. Names of the files."""
    names = []
    for target, found in found_by(outcomes).items():
        content = {**read(target), **found} if part else found
        path(target).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", "utf-8")
        names.append(path(target).name)
    return names


def differences(outcomes: Iterable[Outcome], part: bool) -> list[str]:
    """What is not as it was, a line each."""
    out = []
    for target, found in found_by(outcomes).items():
        kept = read(target)
        names = found.keys() if part else found.keys() | kept.keys()
        out += [
            f"{target}/{name}: found {found.get(name)}, kept {kept.get(name)}"
            for name in sorted(names)
            if found.get(name) != kept.get(name)
        ]
    return out
