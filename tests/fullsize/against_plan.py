"""What ``plan`` said of a bundle beside what it then took: how good the estimates of ``convert/costs.py`` are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Protocol

from convert import tables

# Flags of `bundle` with a value that `plan` does not have.
_OTHERS = ("--apk", "--evaluation", "--questions")


class Taken(Protocol):
    """A stage as it was measured: seconds, and the most bytes of memory and of disk."""

    @property
    def stage(self) -> str: ...

    @property
    def seconds(self) -> float: ...

    @property
    def resident(self) -> int: ...

    @property
    def disk(self) -> int: ...


def ask(words: Sequence[str]) -> dict[str, Any] | None:
    """The plan for a bundle that is asked for with the same words, as ``plan --json`` gives it; None: refused."""
    kept = [word for i, word in enumerate(words) if word not in _OTHERS and (not i or words[i - 1] not in _OTHERS)]
    command = [sys.executable, "-m", "convert", "plan", *kept, "--json"]
    ran = subprocess.run(command, check=False, capture_output=True)
    told: dict[str, Any] | None = None if ran.returncode else json.loads(ran.stdout)
    return told


def table(planned: dict[str, Any] | None, rows: Sequence[Taken]) -> str:
    """Every stage that was planned and measured, with both; empty without a plan."""
    if planned is None:
        return ""
    stages = {stage["name"]: stage for stage in planned["stages"]}
    cells = [
        (
            row.stage,
            f"{stages[row.stage]['seconds'] / 60:.2f}",
            f"{row.seconds / 60:.2f}",
            tables.size(stages[row.stage]["memory"]),
            tables.size(row.resident),
            tables.size(stages[row.stage]["disk"]),
            tables.size(row.disk),
        )
        for row in rows
        if row.stage in stages
    ]
    heads = ("planned, then measured", "minutes ", "minutes ", "memory ", "memory ", "disk ", "disk ")
    return tables.table("", heads, cells)
