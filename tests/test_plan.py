"""Plans: what is refused before any work, and with which words."""

from __future__ import annotations

import shutil
from collections import namedtuple
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from convert import plan
from convert.checkpoint import open_checkpoint
from convert.checkpoint.types import Checkpoint
from convert.errors import PlanError
from convert.plan import Request

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return open_checkpoint("demo")


@dataclass(frozen=True)
class Matrix:
    """A quantized matrix with nothing in it."""

    name: str
    rows: int
    columns: int
    bits: int
    groups: int

    def packed(self, start: int, stop: int) -> np.ndarray:
        raise AssertionError("a plan reads no weights")

    codes = scales = packed


def request(out: Path, **choices: object) -> Request:
    return replace(Request("android", "demo", out), **choices)  # type: ignore[arg-type]


def test_defaults_are_capped_by_the_model(checkpoint: Checkpoint, tmp_path: Path) -> None:
    made = plan.make(request(tmp_path), checkpoint, "demo")
    assert (made.context, made.prefill) == (2048, (8, 32, 128, 1024))
    assert made.bundle == tmp_path / "android" / "demo"


def test_a_context_above_the_models_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(
        PlanError, match=r"2049 tokens was asked for and the model was trained for 2048\. Give --context"
    ):
        plan.make(request(tmp_path, context=2049), checkpoint, "demo")


def test_a_disk_too_small_is_refused_with_what_is_needed_and_found(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12, 1_234_000))
    with pytest.raises(PlanError, match=r"needs 0\.01 GB of disk and 0\.00 GB are free"):
        plan.make(request(tmp_path / "not" / "yet"), checkpoint, "demo")
    assert list(tmp_path.iterdir()) == []


def test_the_disk_that_is_asked_is_that_of_the_output(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> Usage:
        asked.append(path)
        return Usage(10**12, 0, 10**12)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    plan.make(request(tmp_path / "not" / "yet"), checkpoint, "demo")
    assert asked == [tmp_path]


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a b", "a/b", "ünlaut", "x" * 101, "-flag", "a.work", "a."])
def test_a_name_that_makes_no_good_folder_is_refused(checkpoint: Checkpoint, tmp_path: Path, name: str) -> None:
    with pytest.raises(PlanError, match="Rename the folder"):
        plan.make(request(tmp_path), checkpoint, name)


def test_an_unknown_platform_is_refused_with_the_known_ones(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"no platform 'symbian'\. Use one of: android, ios"):
        plan.make(request(tmp_path, platform="symbian"), checkpoint, "demo")


@pytest.mark.parametrize(
    ("bits", "columns", "groups", "words"),
    [
        (2, 64, 2, "2 bits with a scale per 32 columns, which litert has no kernel for"),
        (8, 64, 2, "8 bits with a scale per 32 columns, which litert has no kernel for"),
        (4, 64, 4, "4 bits with a scale per 16 columns, which litert has no kernel for"),
        (4, 63, 1, "63 columns of 4 bits to a scale, which do not fill whole bytes. Use a multiple of 2"),
        (2, 66, 1, "66 columns of 2 bits to a scale, which do not fill whole bytes. Use a multiple of 4"),
    ],
)
def test_what_the_target_cannot_hold_is_refused_by_name(
    checkpoint: Checkpoint, tmp_path: Path, bits: int, columns: int, groups: int, words: str
) -> None:
    key = "layers.0.mlp.up_proj"
    odd = replace(checkpoint, quants={**checkpoint.quants, key: Matrix(key, 8, columns, bits, groups)})
    with pytest.raises(PlanError, match=f"{key} has {words}"):
        plan.make(request(tmp_path), odd, "demo")


@pytest.mark.parametrize(("bits", "groups"), [(2, 1), (4, 1), (8, 1), (4, 3)])
def test_what_the_target_has_kernels_for_is_accepted(
    checkpoint: Checkpoint, tmp_path: Path, bits: int, groups: int
) -> None:
    key = "layers.0.mlp.up_proj"
    fine = replace(checkpoint, quants={**checkpoint.quants, key: Matrix(key, 8, 96, bits, groups)})
    assert plan.make(request(tmp_path), fine, "demo").target == "litert"


def test_an_int8_cache_without_scales_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"no cache scales for layer 0\. Use --cache float32"):
        plan.make(request(tmp_path, cache="int8"), replace(checkpoint, caches={}), "demo")


def test_the_cache_is_counted_over_owning_layers_alone(checkpoint: Checkpoint) -> None:
    # Four sliding owners of one 32-wide head and a full one of 64, keys and values, four bytes, 100 positions.
    assert plan.cache_bytes(checkpoint.config, 100, "float32") == 2 * 100 * 4 * (4 * 32 + 64)
    assert plan.cache_bytes(checkpoint.config, 100, "int8") == 2 * 100 * (4 * 32 + 64)
