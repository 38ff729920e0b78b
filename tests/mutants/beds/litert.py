"""A ``.litertlm`` to put faults into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from convert import demo
from convert.targets.litert import TARGET, LitertOptions
from tests.mutants.beds.bed import CONTEXT, PREFILL, Bed
from tests.mutants.patient import Patient
from tests.support.drafter.assistant import write_assistant

# By bed the element type of the KV cache.
BEDS = {
    "mobile": "float32",
    "int8 cache": "int8",
    "q4_0": "float32",
    "drafter": "float32",
    "drafter with groups": "int8",
    "images": "float32",
}
MAKES_ROWS = True


@dataclass(frozen=True)
class TargetBed(Bed):
    """``int8 cache`` is the demo with a quantized KV cache; ``drafter`` is the demo with its own, and
    ``drafter with groups`` with a bfloat16 one that scores the likeliest groups alone, beside a quantized cache."""

    target: ClassVar[str] = "litert"

    @property
    def options(self) -> LitertOptions:
        if self.name == "images":
            return LitertOptions(context=2 * CONTEXT, prefill=(128,), image_tokens="70")
        return LitertOptions(context=CONTEXT, prefill=PREFILL, cache=BEDS[self.name])

    @cached_property
    def drafter(self) -> Path | None:
        if self.name == "drafter":
            return demo.drafter()
        if self.name == "drafter with groups":
            return write_assistant(self.work / "drafter", demo.folder(), lattice=False, ordered=True)
        return None

    def edit(self, change: Callable[[Patient], None], folder: Path) -> Path:
        patient = Patient(self.artifact)
        change(patient)
        made = folder / TARGET.model
        made.write_bytes(patient.bytes)
        return made
