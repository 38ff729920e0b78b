"""One file of each format. The text sections of the second are the first's: nobody here asks for them."""

from __future__ import annotations

import pytest

from tests.judge.litert.vision.bed import Bed, built, written
from tests.mutants.patient import Patient


@pytest.fixture(scope="package")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """Static int8 activations in every linear of the tower, no bounds."""
    folder = tmp_path_factory.mktemp("images")
    checkpoint = written(folder / "mobile", "mobile")
    return Bed(built(checkpoint, folder / "model.litertlm"), checkpoint, folder)


@pytest.fixture(scope="package")
def float_bed(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """Float linears that clip what goes in and what comes out."""
    folder = tmp_path_factory.mktemp("float_images")
    checkpoint = written(folder / "q4_0", "q4_0")
    patient = Patient(bed.model)
    patient.rebuild(Bed(bed.model, checkpoint, folder).sections())
    (folder / "model.litertlm").write_bytes(patient.bytes)
    return Bed(folder / "model.litertlm", checkpoint, folder)
