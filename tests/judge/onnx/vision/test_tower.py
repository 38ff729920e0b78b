"""The tower's rungs against models with one fault each: every fault is caught, by the rung that should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from convert.model.vision import Vision
from convert.targets.onnx.vision import TowerOps
from runtime_tests.onnx.vision.blocks import compare_blocks
from runtime_tests.onnx.vision.rows import compare_rows
from runtime_tests.onnx.vision.weights import compare_vision
from tests.judge.onnx.vision.bed import NAME, Bed, Seeing, faults

LAYER = "vision_tower.encoder.layers.0"
UP = f"{LAYER}.mlp.up_proj.linear"
PIXELS = "vision_tower.patch_embedder.input_proj.weight"
TABLE = "vision_tower.patch_embedder.position_embedding_table"
HIDDEN = 96  # of the small tower


@pytest.mark.parametrize("name", ["bed", "float_bed", "lattice_bed", "clipped_bed"])
def test_an_untouched_tower_passes(name: str, request: pytest.FixtureRequest) -> None:
    case = request.getfixturevalue(name).case
    for compare in (compare_vision, compare_blocks, compare_rows):
        found = compare(case)
        assert faults(found) == ""
        assert len(found) >= 4


def test_a_model_without_images_is_judged_as_before(bed: Bed) -> None:
    case = bed.edited(lambda seeing: None)
    (case.decoder.path.parent / NAME).unlink()
    from runtime_tests.onnx.case import open_pair

    case = bed.case.like(open_pair(case.decoder.path))
    assert [*compare_vision(case), *compare_blocks(case), *compare_rows(case)] == []


def flip(seeing: Seeing) -> None:
    seeing.weight(f"{UP}.codes", "u1")[17] ^= 1


def stretch(seeing: Seeing) -> None:
    seeing.weight(f"{UP}.scales", "u4")[3] += 1


def coarser(seeing: Seeing) -> None:
    node = seeing.node(f"{UP}/codes")
    (scale,) = [one for one in seeing.proto.graph.initializer if one.name == node.input[1]]
    seeing.own(node, 1, numpy_helper.to_array(scale) * np.float32(2))


def input_coarser(seeing: Seeing) -> None:
    (product,) = seeing.users(f"{UP}.codes")
    node = seeing.node(product.input[0])
    seeing.own(node, 1, np.float32(0.5))


def zero_point(seeing: Seeing) -> None:
    (product,) = seeing.users(f"{UP}.codes")
    seeing.own(product, 3, np.uint8(127))


def other_norm(seeing: Seeing) -> None:
    seeing.weight(f"{LAYER}.self_attn.q_norm.weight", "f4")[1] += np.float32(0.01)


def blue_first(seeing: Seeing) -> None:
    weights = seeing.weight(PIXELS, "f4").reshape(-1, 3)
    weights[:] = weights[:, ::-1].copy()


def tables_exchanged(seeing: Seeing) -> None:
    x, y = (seeing.weight(f"{TABLE}.{axis}", "u2") for axis in "xy")
    x[:], y[:] = y.copy(), x.copy()


def table_moved(seeing: Seeing) -> None:
    table = seeing.weight(f"{TABLE}.y", "u2")
    table[:] = np.roll(table, HIDDEN)


def other_projection(seeing: Seeing) -> None:
    seeing.weight("embed_vision.embedding_projection.weight", "f4")[5] = 0.5


def other_name(seeing: Seeing) -> None:
    seeing.proto.graph.output[0].name = "rows"
    seeing.node("image_features").output[0] = "rows"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (flip, f"images: integers and constants equal: {UP}: 1 codes differ"),
        (stretch, f"images: weight scales equal: {UP}: 1 scales differ"),
        (coarser, f"images: activation scales equal: {UP}: output scale"),
        (input_coarser, f"images: activation scales equal: {UP}: input scale"),
        (zero_point, f"{UP}: zero point 127"),
        (other_norm, f"{LAYER}.self_attn.q_norm.weight: 1 values differ"),
        (blue_first, f"{PIXELS}: "),
        (tables_exchanged, f"{TABLE}.x: "),
        (table_moved, f"{TABLE}.y: "),
        (other_projection, "embed_vision.embedding_projection.weight: 1 values differ"),
        (other_name, "images: inputs and outputs: image_features is None"),
    ],
)
def test_a_changed_number_is_caught_by_the_weights_rung(change: Callable[[Seeing], None], words: str, bed: Bed) -> None:
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
        ("float_bed", Unclipped, "q_proj.linear: input_min is not there"),
        ("float_bed", OneClip, "k_proj.linear: input_min is"),
        ("lattice_bed", Unclipped, "q_proj.linear: input_max is not there"),
        ("clipped_bed", Unclipped, "q_proj.linear: output_min is not there"),
        ("clipped_bed", OneClip, "k_proj.linear: output_min is"),
    ],
)
def test_a_bound_that_does_not_clip_is_caught_by_the_weights_rung(
    name: str, fault: type, words: str, request: pytest.FixtureRequest
) -> None:
    case = request.getfixturevalue(name).lowered_with("Vision", fault)
    assert f"{LAYER}.self_attn.{words}" in faults(compare_vision(case))


class OneNorm(Vision[Any]):
    """Takes the norm of the queries for the keys' too."""

    def _norm(self, x: Any, key: str) -> Any:
        return super()._norm(x, key.replace("k_norm", "q_norm"))


def test_a_tensor_that_is_not_used_is_missed(bed: Bed) -> None:
    assert f"{LAYER}.self_attn.k_norm.weight: not in the model" in faults(
        compare_vision(bed.lowered_with("Vision", OneNorm))
    )


class TurnedOtherwise(Vision[Any]):
    """Turns by y first."""

    def _attention(self, normed: Any, at: str, turn: Any, hidden: Any) -> Any:
        return super()._attention(normed, at, (turn[1], turn[0]), hidden)


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


class Exchanged(TowerOps):
    """Looks x up in the table of y, and the other way round."""

    def rows(self, key: str, axis: int, ids: Any) -> Any:
        return super().rows(key, 1 - axis, ids)


class Half(Vision[Any]):
    """Leaves the patches between 0 and 1."""

    def __call__(self, patches: Any, positions: Any) -> Any:
        return super().__call__((patches + 1.0) * 0.5, positions)


@pytest.mark.parametrize(
    ("name", "fault", "words"),
    [
        ("Vision", TurnedOtherwise, "images: attention"),
        ("Vision", PooledAcross, "images: features"),
        ("Vision", EverySeen, "images: attention"),
        ("TowerOps", OneOff, "images: attention"),
        ("TowerOps", Exchanged, "images: attention"),
        ("Vision", Half, "images: attention"),
    ],
)
def test_a_fault_of_the_graph_is_caught_block_by_block(name: str, fault: type, words: str, bed: Bed) -> None:
    assert words in faults(compare_blocks(bed.lowered_with(name, fault)))


def test_rows_of_another_place_are_caught(bed: Bed) -> None:
    assert "images: rows" in faults(compare_rows(bed.lowered_with("Vision", PooledAcross)))


def test_what_stands_in_the_padding_may_not_matter(float_bed: Bed) -> None:
    assert "images: padding changes rows: " in faults(compare_rows(float_bed.lowered_with("Vision", EverySeen)))


def test_rows_that_the_tower_itself_does_not_keep_are_stated_and_not_judged(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bed.case.tower, "floor_db", lambda *_: (2.0, 2.0))
    (rows,) = (check for check in compare_rows(bed.case) if check.name.startswith("images: rows"))
    assert rows.sense == "stated"
    assert "disturbed in the last bits, gives rows of its own below 6 dB" in rows.note
