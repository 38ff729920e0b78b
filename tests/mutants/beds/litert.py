"""A ``.litertlm`` to put faults into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from convert.targets.litert import TARGET, LitertOptions
from tests.mutants.beds.bed import CONTEXT, PREFILL, Bed
from tests.mutants.patient import Patient

BEDS = {"mobile": "float32", "int8 cache": "int8", "q4_0": "float32"}
MAKES_ROWS = True


@dataclass(frozen=True)
class TargetBed(Bed):
    """``int8 cache`` is the demo with a quantized KV cache."""

    target: ClassVar[str] = "litert"

    @property
    def options(self) -> LitertOptions:
        return LitertOptions(context=CONTEXT, prefill=PREFILL, cache=BEDS[self.name])

    def edit(self, change: Callable[[Patient], None], folder: Path) -> Path:
        patient = Patient(self.artifact)
        change(patient)
        made = folder / TARGET.model
        made.write_bytes(patient.bytes)
        return made
