"""Small packages that take images, and damaged ones: the package for images is made anew, the decoder's stays."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convert.checkpoint import open_folder, resolve
from convert.checkpoint.types import Checkpoint
from convert.progress import Silent
from convert.targets.coreml import CoremlOptions, convert, package, vision, write_tables
from runtime_tests.coreml.case import CoremlCase
from runtime_tests.kinds import open_case
from runtime_tests.readers.coreml.mlpackage import open_mlpackage
from runtime_tests.readers.coreml.parts import IMAGES
from runtime_tests.results import Check, rung
from tests.support.coreml.patient import Patient
from tests.support.litert.patient import failing

ROWS = 70
OPTIONS = CoremlOptions(context=320, prefill=(128,), precision="float32", image_tokens=str(ROWS))


class Bed:
    """A package with its checkpoint, and what is judged of it.

    Attributes:
        case: of the undamaged package, which holds what the reference has made.
    """

    def __init__(self, checkpoint: Path, folder: Path, options: CoremlOptions = OPTIONS) -> None:
        self._folder, self._checkpoint, self._options = folder, checkpoint, options
        self.opened: Checkpoint = open_folder(resolve(checkpoint), ("image",))
        model = folder / "package" / "Model.mlpackage"
        model.parent.mkdir()
        convert(self.opened, options, model, Silent())
        write_tables(self.opened, model.parent, Silent())
        case = open_case(model, checkpoint)
        assert isinstance(case, CoremlCase)
        self.case, self.model = case, model

    def edited(self, change: Callable[[Patient], None]) -> CoremlCase:
        """A copy of the package for images, changed."""
        patient = Patient(self.model.with_name(IMAGES), self._new())
        change(patient)
        return self.like(patient.close())

    def lowered_with(self, name: str, what: type) -> CoremlCase:
        """The package for images by a converter in which a class has another meaning."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(vision, name, what)
            program, entries = vision.vision(self.opened.modules["vision"], self._options)
        out, about = self._new() / IMAGES, {"version": "", "license": ""}
        package.write(out, program, entries, "", about, lambda n: None)
        return self.like(out)

    def like(self, images: Path | None) -> CoremlCase:
        """The same decoder with another package for images, or none; the tower is the checkpoint's alone."""
        beside = () if images is None else (open_mlpackage(images),)
        other = CoremlCase(replace(self.case.package, beside=beside), self.case.folder)
        other.__dict__ |= {"vision": self.case.vision, "tower": self.case.tower}
        return other

    def _new(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self._folder)) / "copy"


def numbers(patient: Patient, name: str) -> np.ndarray:
    """A float32 constant of the stored weights, writable."""
    return np.asarray(patient.stored(name, f"vision_{ROWS}")).view(np.float32)


def faults(found: list[Check]) -> str:
    """Names and notes of the checks that failed."""
    return failing(rung("vision", "", found))
