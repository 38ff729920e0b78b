"""One file of each kind of tower. The text sections of all are the first's: nobody here asks for the others'."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.judge.litert.vision.bed import Bed, built, written
from tests.mutants.patient import Patient
from tests.support.changed.rewritten import rewrite
from tests.support.vision import towered


@pytest.fixture(scope="package")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """Static int8 activations in every linear of the tower, no bounds."""
    folder = tmp_path_factory.mktemp("images")
    checkpoint = written(folder / "mobile", "mobile")
    return Bed(built(checkpoint, folder / "model.litertlm"), checkpoint, folder)


@pytest.fixture(scope="package")
def float_bed(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """Float linears that clip what goes in and what comes out."""
    folder = tmp_path_factory.mktemp("float")
    return with_tower(bed, written(folder / "q4_0", "q4_0"), folder)


@pytest.fixture(scope="package")
def lattice_bed(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """Linears of 4 bits that clip."""
    folder = tmp_path_factory.mktemp("lattice")
    checkpoint = towered.write(folder / "q4_0", "q4_0")
    rewrite(checkpoint / "model.safetensors", towered.onto_lattice)
    return with_tower(bed, checkpoint, folder)


@pytest.fixture(scope="package")
def clipped_bed(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """As the first, and every linear clips."""
    folder = tmp_path_factory.mktemp("clipped")
    checkpoint = towered.write(folder / "mobile", "mobile")
    towered.clipped(checkpoint)
    return with_tower(bed, checkpoint, folder)


def with_tower(bed: Bed, checkpoint: Path, folder: Path) -> Bed:
    """A file with another checkpoint's image sections."""
    patient = Patient(bed.model)
    patient.rebuild(Bed(bed.model, checkpoint, folder).sections())
    (folder / "model.litertlm").write_bytes(patient.bytes)
    return Bed(folder / "model.litertlm", checkpoint, folder)
