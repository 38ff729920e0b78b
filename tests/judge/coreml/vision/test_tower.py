"""The tower's rungs against packages with one fault each: every fault is caught, by the rung that should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from convert.model.vision import Vision
from convert.targets.coreml.vision import TowerOps
from runtime_tests.coreml.vision.blocks import compare_blocks
from runtime_tests.coreml.vision.rows import compare_rows
from runtime_tests.coreml.vision.weights import compare_vision
from runtime_tests.results import rung
from tests.judge.coreml.vision.bed import ROWS, Bed, faults, numbers
from tests.support.coreml.patient import Patient

LAYER, FUNCTION = "vision_tower.encoder.layers.0", f"vision_{ROWS}"
UP, UP_NAME = f"{LAYER}.mlp.up_proj.linear", "vision_tower_encoder_layers_0_mlp_up_proj_linear"
TABLE = "vision_tower_patch_embedder_position_embedding_table"


@pytest.mark.parametrize("name", ["bed", "float_bed", "lattice_bed", "clipped_bed"])
def test_an_untouched_tower_passes(name: str, request: pytest.FixtureRequest) -> None:
    case = request.getfixturevalue(name).case
    for found in (compare_vision(case), compare_blocks(case), compare_rows(case)):
        result = rung("vision", "", found)
        assert result.status == "pass", [f"{check.name}: {check.note}" for check in found if not check.passed]


def test_a_package_without_images_is_judged_as_before(bed: Bed) -> None:
    case = bed.like(None)
    assert [*compare_vision(case), *compare_blocks(case), *compare_rows(case)] == []


def flip(patient: Patient) -> None:
    patient.bytes(f"{UP_NAME}_weight", "data", FUNCTION)[17] ^= 1


def stretch(patient: Patient) -> None:
    patient.bytes(f"{UP_NAME}_weight", "scale", FUNCTION).view(np.float32)[3] *= np.float32(1.001)


def other_norm(patient: Patient) -> None:
    numbers(patient, "vision_tower_encoder_layers_0_self_attn_q_norm_weight")[1] += np.float32(0.01)


def blue_first(patient: Patient) -> None:
    weights = numbers(patient, "vision_tower_patch_embedder_input_proj_weight").reshape(-1, 3)
    weights[:] = weights[:, ::-1].copy()


def tables_exchanged(patient: Patient) -> None:
    x, y = (numbers(patient, f"{TABLE}_{axis}") for axis in "xy")
    x[:], y[:] = y.copy(), x.copy()


def other_projection(patient: Patient) -> None:
    numbers(patient, "embed_vision_embedding_projection_weight")[5] = 0.5


def coarser(patient: Patient) -> None:
    """The scale of a linear's output doubled where it is rounded, and not behind it."""
    op = patient.operation(f"{UP_NAME}_codes", FUNCTION)
    tensor = patient.constant(op.inputs["scale"].arguments[0].name, FUNCTION)
    tensor.floats.values[0] *= 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (flip, f"images: integers equal: {UP}: 1 codes differ"),
        (stretch, f"images: weight scales equal: {UP}: 1 scales differ"),
        (coarser, f"images: activation scales equal: {FUNCTION} {UP}: output scale"),
        (other_norm, f"{LAYER}.self_attn.q_norm.weight: 1 values differ"),
        (blue_first, "images: float constants equal: vision_tower.patch_embedder.input_proj.weight: "),
        (tables_exchanged, "images: tables of positions equal: vision_70: "),
        (other_projection, "embed_vision.embedding_projection.weight: 1 values differ"),
    ],
)
def test_a_changed_number_is_caught_by_the_weights_rung(
    change: Callable[[Patient], None], words: str, bed: Bed
) -> None:
    assert words in faults(compare_vision(bed.edited(change)))


class Unclipped(Vision[Any]):
    """Clips nothing."""

    def _linear(self, x: Any, at: str) -> Any:
        return self._ops.linear(x, f"{at}.linear")


class OneClip(Vision[Any]):
    """Takes the bounds of the queries for the keys' too."""

    def _linear(self, x: Any, at: str) -> Any:
        bounds = at.replace("k_proj", "q_proj")
        made = self._ops.linear(self._ops.clip(x, f"{bounds}.input_min", f"{bounds}.input_max"), f"{at}.linear")
        return self._ops.clip(made, f"{bounds}.output_min", f"{bounds}.output_max")


@pytest.mark.parametrize(
    ("name", "fault", "words"),
    [
        ("float_bed", Unclipped, "k_proj.linear: input_min is not there"),
        ("float_bed", OneClip, "k_proj.linear: input_min is"),
        ("clipped_bed", Unclipped, "k_proj.linear: input_min is not there"),
        ("clipped_bed", OneClip, "k_proj.linear: output_m"),
    ],
)
def test_a_bound_that_does_not_clip_is_caught_by_the_weights_rung(
    name: str, fault: type, words: str, request: pytest.FixtureRequest
) -> None:
    case = request.getfixturevalue(name).lowered_with("Vision", fault)
    assert f"{FUNCTION} {LAYER}.self_attn.{words}" in faults(compare_vision(case))


class TurnedOtherwise(Vision[Any]):
    """Turns by y first."""

    def _attention(self, normed: Any, at: str, turn: Any, hidden: Any) -> Any:
        return super()._attention(normed, at, (turn[1], turn[0]), hidden)


class Swapped(Vision[Any]):
    """Takes x for y everywhere."""

    def __call__(self, patches: Any, positions: Any) -> Any:
        x, y = (positions[:, :, axis].reshape(1, -1, 1) for axis in (0, 1))
        return super().__call__(patches, _beside(y, x))


class PooledAcross(Vision[Any]):
    """Takes columns for rows where it pools."""

    def _pool(self, x: Any, column: Any, row: Any, real: Any) -> Any:
        return super()._pool(x, row, column, real)


class EverySeen(Vision[Any]):
    """Lets patches see the padding."""

    def _layer(self, x: Any, index: int, turn: Any, hidden: Any) -> Any:
        return super()._layer(x, index, turn, hidden * 0.0)


class OneOff(TowerOps):
    """Takes the row of the position behind."""

    def rows(self, key: str, axis: int, ids: Any) -> Any:
        return super().rows(key, axis, ids + 1 if axis else ids)


class BlueFirst(Vision[Any]):
    """Takes the colours of each pixel the other way round."""

    def __call__(self, patches: Any, positions: Any) -> Any:
        pixels = patches.reshape(patches.shape[1], -1, 3)
        colours = [pixels.narrow(2, each, 1) for each in (2, 1, 0)]
        return super().__call__(_beside(*colours).reshape(*patches.shape), positions)


def _beside(*parts: Any) -> Any:
    from convert.model.symbol import concatenate

    return concatenate(parts, dim=2)


@pytest.mark.parametrize(
    ("name", "fault", "words"),
    [
        ("Vision", Swapped, "vision_70: attention"),
        ("Vision", TurnedOtherwise, "vision_70: attention"),
        ("Vision", PooledAcross, "vision_70: features"),
        ("Vision", EverySeen, "vision_70: attention"),
        ("Vision", BlueFirst, "vision_70: attention"),
        ("TowerOps", OneOff, "vision_70: attention"),
    ],
)
def test_a_fault_of_the_graph_is_caught_block_by_block(name: str, fault: type, words: str, bed: Bed) -> None:
    assert words in faults(compare_blocks(bed.lowered_with(name, fault)))


def test_rows_of_another_place_and_what_stands_in_the_padding_are_caught(bed: Bed) -> None:
    assert "vision_70: rows" in faults(compare_rows(bed.lowered_with("Vision", PooledAcross)))
    assert "vision_70: padding changes rows: " in faults(compare_rows(bed.lowered_with("Vision", EverySeen)))
