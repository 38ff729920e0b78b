"""One model of each kind of tower."""

from __future__ import annotations

import pytest

from tests.judge.onnx.vision.bed import Bed
from tests.support.changed.rewritten import rewrite
from tests.support.vision import towered


@pytest.fixture(scope="package")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """Static int8 activations in every linear of the tower, no bounds."""
    folder = tmp_path_factory.mktemp("images")
    return Bed(towered.write(folder / "mobile", "mobile"), folder)


@pytest.fixture(scope="package")
def float_bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """Floats that clip."""
    folder = tmp_path_factory.mktemp("floats")
    return Bed(towered.write(folder / "q4_0", "q4_0"), folder)


@pytest.fixture(scope="package")
def lattice_bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """Linears of 4 bits that clip."""
    folder = tmp_path_factory.mktemp("lattice")
    checkpoint = towered.write(folder / "q4_0", "q4_0")
    rewrite(checkpoint / "model.safetensors", towered.onto_lattice)
    return Bed(checkpoint, folder)


@pytest.fixture(scope="package")
def clipped_bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """As the first, and every linear clips."""
    folder = tmp_path_factory.mktemp("clipped")
    checkpoint = towered.write(folder / "mobile", "mobile")
    towered.clipped(checkpoint)
    return Bed(checkpoint, folder)
