"""One package of each kind of tower."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.judge.coreml.vision.bed import Bed
from tests.support.changed.rewritten import rewrite
from tests.support.vision import towered


def made(factory: pytest.TempPathFactory, format: str) -> tuple[Path, Path]:
    folder = factory.mktemp("images")
    return towered.write(folder / format, format), folder


@pytest.fixture(scope="package")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """Static int8 activations in every linear of the tower, no bounds."""
    return Bed(*made(tmp_path_factory, "mobile"))


@pytest.fixture(scope="package")
def float_bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """Float linears that clip what goes in and what comes out."""
    return Bed(*made(tmp_path_factory, "q4_0"))


@pytest.fixture(scope="package")
def lattice_bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """Linears of 4 bits that clip."""
    checkpoint, folder = made(tmp_path_factory, "q4_0")
    rewrite(checkpoint / "model.safetensors", towered.onto_lattice)
    return Bed(checkpoint, folder)


@pytest.fixture(scope="package")
def clipped_bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """As the first, and every linear clips."""
    checkpoint, folder = made(tmp_path_factory, "mobile")
    towered.clipped(checkpoint)
    return Bed(checkpoint, folder)
