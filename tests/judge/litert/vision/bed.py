"""Small files that take images, and damaged ones: whole sections are made anew, the rest of the file stays."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convert.checkpoint import open_folder, resolve
from convert.checkpoint.types import Checkpoint
from convert.progress import Silent
from convert.targets.litert import LitertOptions, convert, vision
from convert.targets.litert.modules import lowered
from runtime_tests.litert.case import ADAPTER, ENCODER, IMAGE_END, LitertCase
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.results import Check, rung
from tests.mutants.patient import Patient
from tests.support.checkpoints.published.tower_shapes import SMALL_TOWERS
from tests.support.checkpoints.shapes import PUBLISHED
from tests.support.checkpoints.small import SEED
from tests.support.checkpoints.write import write_checkpoint
from tests.support.litert.patient import failing
from tests.support.litert.tools import packed

ROWS = 70
OPTIONS = LitertOptions(context=320, prefill=(128,), image_tokens=str(ROWS))
# Few layers of text: a decoder is read anew for every damaged file. Two of the tower, for one follows on the other.
SHAPE = replace(
    PUBLISHED["e2b"],
    layers=4,
    sliding_run=1,
    kv_shared=2,
    towers=replace(SMALL_TOWERS, vision=replace(SMALL_TOWERS.vision, layers=2)),
)


def written(folder: Path, format: str) -> Path:
    """A checkpoint with a tower."""
    write_checkpoint(folder, SHAPE, format, SEED)
    return folder


def read(folder: Path) -> Checkpoint:
    return open_folder(resolve(folder), ("image",))


def built(folder: Path, out: Path) -> Path:
    convert(read(folder), OPTIONS, out, Silent())
    return out


def opened(model: Path, folder: Path) -> LitertCase:
    return LitertCase(open_litertlm(model), open_checkpoint(folder))


class Bed:
    """A file with its checkpoint, and what is judged of it.

    Attributes:
        case: of the undamaged file, which holds what the reference has made.
    """

    def __init__(self, model: Path, folder: Path, scratch: Path) -> None:
        self.model, self.case, self._checkpoint, self._out = model, opened(model, folder), read(folder), scratch

    def edited(self, change: Callable[[Patient], None]) -> LitertCase:
        """A copy of the file, changed."""
        patient = Patient(self.model)
        change(patient)
        made = self._out / "damaged.litertlm"
        made.write_bytes(patient.bytes)
        return self.case.like(open_litertlm(made))

    def lowered_with(self, name: str, what: type) -> LitertCase:
        """The image sections by a converter in which a class has another meaning."""
        with replaced(vision, name, what):
            return self.edited(lambda patient: patient.rebuild(self.sections()))

    def sections(self, rows: int = ROWS) -> dict[str, bytes | None]:
        """The image sections as the converter makes them, up to a budget."""
        made = lowered()["vision"].sections(self._checkpoint, replace(OPTIONS, image_tokens=str(rows)))
        return {name: packed(made[name]) for name in (ENCODER, ADAPTER, IMAGE_END)}


@contextlib.contextmanager
def replaced(where: Any, name: str, what: Any) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, name, what)
        yield


def faults(found: list[Check]) -> str:
    """Names and notes of the checks that failed."""
    return failing(rung("vision", "", found))
