"""A package to put faults into, with its row tables, its companions and what a bundle's manifest says of feeding it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from convert.feeding import feeding, to_json
from convert.targets.coreml import TARGET, CoremlOptions
from runtime_tests.case import Case
from runtime_tests.kinds import open_case
from tests.mutants.beds.bed import CONTEXT, PREFILL, Bed
from tests.support.coreml.patient import Patient

# float32 to prove the program: what is at fault there is the program, and nothing hides in a rounding.
BEDS = {"mobile": "float32", "float16": "float16", "q4_0": "float32", "images": "float32"}
MAKES_ROWS = False
FEEDING = "feeding.json"


@dataclass(frozen=True)
class TargetBed(Bed):
    """``float16`` is the demo as a device gets it."""

    target: ClassVar[str] = "coreml"

    @property
    def options(self) -> CoremlOptions:
        precision = BEDS[self.name]
        if self.name == "images":
            return CoremlOptions(context=2 * CONTEXT, prefill=(128,), precision=precision, image_tokens="70")
        return CoremlOptions(context=CONTEXT, prefill=PREFILL, precision=precision)

    def edit(self, change: Callable[[Patient], None], folder: Path) -> Path:
        folder.rmdir()  # the copy makes it
        patient = Patient(self.artifact, folder)
        change(patient)
        return patient.close()

    def extras(self, folder: Path) -> list[Path]:
        return [folder / FEEDING]

    def convert(self, checkpoint: Path, folder: Path) -> Path:
        """As of any bed; the judge feeds the model by the file that is written beside it, as an app will."""
        made, opened = super().convert(checkpoint, folder), self._opened(checkpoint)
        said = feeding(opened, TARGET.calls(opened, folder), TARGET.images(opened, folder))
        (folder / FEEDING).write_text(to_json(said), "utf-8")
        return made

    def case(self, made: Path) -> Case:
        beside = made.parent / FEEDING
        return open_case(made, self.checkpoint, feeding=beside if made.name == TARGET.model else None)
