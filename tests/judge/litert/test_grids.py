"""How much of an int8 cache's grid is used: a scale that is a factor off shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convert import demo
from convert.checkpoint import open_checkpoint as read
from convert.progress import Silent
from convert.targets.litert import LitertOptions, convert
from runtime_tests.litert.cache import Cache
from runtime_tests.litert.case import DECODER, LitertCase
from runtime_tests.litert.compare.grids import cache_grids
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from tests.mutants.patient import Patient


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> LitertCase:
    out = tmp_path_factory.mktemp("grids") / "model.litertlm"
    convert(read(demo.folder()), LitertOptions(context=128, prefill=(16,), cache="int8"), out, Silent())
    return LitertCase(open_litertlm(out), open_checkpoint(demo.folder()))


def scaled(case: LitertCase, name: str, factor: float, folder: Path) -> LitertCase:
    patient, model = Patient(case.artifact.path), case.model(DECODER)
    tensor = model.subgraph("decode").tensors[model.signatures["decode"].inputs[name]]
    for scales in patient.scales(tensor.name):
        scales *= np.float32(factor)
    made = folder / "model.litertlm"
    made.write_bytes(patient.bytes)
    return case.like(open_litertlm(made))


def figures(case: LitertCase) -> list[tuple[float, str]]:
    return [(check.found, check.note) for check in cache_grids(case, Cache(case))]


def test_rows_of_the_demo_fill_its_grid(case: LitertCase) -> None:
    (fewest, _), (beyond, _) = figures(case)
    assert 40 < fewest <= 127.5
    assert beyond < 1


def test_a_scale_that_is_16_times_too_large_leaves_a_few_steps(case: LitertCase, tmp_path: Path) -> None:
    (sound, _), _ = figures(case)
    (fewest, told), _ = figures(scaled(case, "kv_cache_k_2", 16, tmp_path))
    assert fewest < sound / 8
    assert "layers.2/key; " in told


def test_a_scale_that_is_16_times_too_small_puts_values_beyond_the_grid(case: LitertCase, tmp_path: Path) -> None:
    (_, told), (beyond, where) = figures(scaled(case, "kv_cache_v_1", 1 / 16, tmp_path))
    assert beyond > 20
    assert where == "layers.1/value"
    assert told.endswith("layers.1/value")


def test_a_cache_of_floats_has_no_grid(case: LitertCase, tmp_path: Path) -> None:
    out = tmp_path / "model.litertlm"
    convert(read(demo.folder()), LitertOptions(context=128, prefill=(16,)), out, Silent())
    assert figures(case.like(open_litertlm(out))) == []
