"""The tower's rungs against files with one fault each: every fault is caught, by the rung that should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from convert.model.vision import Vision
from convert.targets.litert.vision import TowerOps
from runtime_tests.litert.case import ADAPTER, ENCODER, IMAGE_END
from runtime_tests.litert.vision.blocks import compare_blocks
from runtime_tests.litert.vision.rows import compare_rows
from runtime_tests.litert.vision.weights import compare_vision
from runtime_tests.results import rung
from tests.judge.litert.vision.bed import ROWS, Bed, faults
from tests.mutants.patient import Patient

LAYER = "vision_tower.encoder.layers.0"
UP = f"{LAYER}.mlp.up_proj.linear"
PIXELS = "vision_tower.patch_embedder.input_proj.weight"
TABLE = "vision_tower.patch_embedder.position_embedding_table"


@pytest.mark.parametrize("name", ["bed", "float_bed", "lattice_bed", "clipped_bed"])
def test_an_untouched_tower_passes(name: str, request: pytest.FixtureRequest) -> None:
    case = request.getfixturevalue(name).case
    for found in (compare_vision(case), compare_blocks(case), compare_rows(case)):
        result = rung("vision", "", found)
        assert result.status == "pass", [f"{check.name}: {check.note}" for check in found if not check.passed]


@pytest.mark.parametrize("name", ["bed", "float_bed", "lattice_bed", "clipped_bed"])
def test_a_tower_whose_rows_go_by_pieces_passes(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    bed = request.getfixturevalue(name)
    monkeypatch.setattr("convert.model.vision._WIDE", 4 * bed.case.tower.config.intermediate_size * 210)
    case = bed.edited(lambda patient: patient.rebuild(bed.sections()))
    assert sum(op.code == "GELU" for op in case.model(ENCODER).subgraph("vision_70").operators) == 3 * 2
    for found in (compare_vision(case), compare_blocks(case)):
        result = rung("vision", "", found)
        assert result.status == "pass", [f"{check.name}: {check.note}" for check in found if not check.passed]


class OnePieceUnclipped(Vision[Any]):
    """Forgets the bounds of one piece of many."""

    def _mlp(self, normed: Any, at: str) -> Any:
        self.pieces = 0
        return super()._mlp(normed, at)

    def _clip(self, x: Any, bounds: str) -> Any:
        if bounds.endswith("up_proj.output"):
            self.pieces += 1
            if self.pieces == 2:
                return x
        return super()._clip(x, bounds)


def test_a_piece_that_is_not_clipped_is_caught_by_the_weights_rung(
    clipped_bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.model.vision._WIDE", 4 * clipped_bed.case.tower.config.intermediate_size * 210)
    found = faults(compare_vision(clipped_bed.lowered_with("Vision", OnePieceUnclipped)))
    assert f"{LAYER}.mlp.up_proj.linear: output_min is not there" in found


class OneScale(TowerOps):
    """Cuts codes into pieces that are read by another scale."""

    def _cut(self, codes: Any, start: int, rows: int, scale: float) -> Any:
        return super()._cut(codes, start, rows, scale * (2.0 if start else 1.0))


def test_a_piece_with_another_scale_is_caught_by_the_weights_rung(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.model.vision._WIDE", 4 * bed.case.tower.config.intermediate_size * 210)
    found = faults(compare_vision(bed.lowered_with("TowerOps", OneScale)))
    assert "mlp.gate_proj.linear: of a piece: output scale " in found


def test_a_file_without_images_is_judged_as_before(bed: Bed) -> None:
    case = bed.edited(lambda patient: patient.rebuild(dict.fromkeys((ENCODER, ADAPTER, IMAGE_END))))
    assert [*compare_vision(case), *compare_blocks(case), *compare_rows(case)] == []


def test_every_budget_is_judged_and_short_images_in_the_longer_ones_too(float_bed: Bed) -> None:
    """Images of the smallest budget go through the others too, with more padding behind them."""
    found = compare_rows(float_bed.edited(lambda patient: patient.rebuild(float_bed.sections(2 * ROWS))))
    assert rung("2b", "", found).status == "pass", [check.note for check in found if not check.passed]
    counts = {check.name: check.note for check in found if check.name.endswith("another number of rows")}
    assert counts == {
        "vision_70: another number of rows": "8 compared",
        "vision_140: another number of rows": "5 compared",
    }


def flip(patient: Patient) -> None:
    patient.array(f"{UP}.weight", ENCODER)[17] ^= 1


def stretch(patient: Patient) -> None:
    patient.scales(f"{UP}.weight", ENCODER)[0][3] *= np.float32(1.001)


def coarser(patient: Patient) -> None:
    for scales in patient.scales(f"{UP}/codes", ENCODER):
        scales[0] *= np.float32(2)


def other_norm(patient: Patient) -> None:
    patient.array(f"{LAYER}.self_attn.q_norm.weight", ENCODER).view(np.float32)[1] += np.float32(0.01)


def blue_first(patient: Patient) -> None:
    weights = patient.array(PIXELS, ENCODER).view(np.float32).reshape(-1, 3)
    weights[:] = weights[:, ::-1].copy()


def tables_exchanged(patient: Patient) -> None:
    x, y = (patient.array(f"{TABLE}.{axis}", ENCODER) for axis in "xy")
    x[:], y[:] = y.copy(), x.copy()


def table_moved(patient: Patient) -> None:
    table = patient.array(f"{TABLE}.y", ENCODER)
    table[:] = np.roll(table, len(table) // 64)


def other_projection(patient: Patient) -> None:
    patient.array("embed_vision.embedding_projection.weight", ADAPTER).view(np.float32)[5] = 0.5


def no_end(patient: Patient) -> None:
    patient.rebuild({IMAGE_END: None})


def told(change: Callable[[Any], None]) -> Callable[[Patient], None]:
    def edit(patient: Patient) -> None:
        from litert_lm_builder.runtime.proto import llm_metadata_pb2

        message = llm_metadata_pb2.LlmMetadata.FromString(patient.content("LlmMetadataProto"))
        change(message.llm_model_type.gemma4)
        patient.rebuild({"LlmMetadataProto": message.SerializeToString(deterministic=True)})

    return edit


def fewer_patches(gemma: Any) -> None:
    gemma.max_num_patches = 9


def other_start(gemma: Any) -> None:
    gemma.start_of_image_token.token_str = "<|audio>"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (flip, f"images: integers and constants equal: {UP}: 1 codes differ"),
        (stretch, f"images: weight scales equal: {UP}: 1 scales differ"),
        (coarser, f"images: activation scales equal: vision_70 {UP}: output scale"),
        (other_norm, f"{LAYER}.self_attn.q_norm.weight: 1 values differ"),
        (blue_first, f"{PIXELS}: "),
        (tables_exchanged, f"{TABLE}.x: "),
        (table_moved, f"{TABLE}.y: "),
        (other_projection, "embed_vision.embedding_projection.weight: 1 values differ"),
        (no_end, "images: sections: no section tf_lite_end_of_vision"),
        (told(fewer_patches), "max_num_patches 9, expected 630"),
        (told(other_start), "start_of_image_token '<|audio>', expected '<|image>'"),
    ],
)
def test_a_changed_number_is_caught_by_the_weights_rung(
    change: Callable[[Patient], None], words: str, bed: Bed
) -> None:
    assert words in faults(compare_vision(bed.edited(change)))


class OneNorm(Vision[Any]):
    """Takes the norm of the queries for the keys' too."""

    def _norm(self, x: Any, key: str) -> Any:
        return super()._norm(x, key.replace("k_norm", "q_norm"))


def test_a_tensor_that_a_signature_does_not_use_is_missed_there(bed: Bed) -> None:
    found = faults(compare_vision(bed.lowered_with("Vision", OneNorm)))
    assert f"vision_70: {LAYER}.self_attn.k_norm.weight" in found


class Unclipped(Vision[Any]):
    """Clips nothing."""

    def _clip(self, x: Any, bounds: str) -> Any:
        return x


class OneClip(Vision[Any]):
    """Takes the bounds of the queries for the keys' too."""

    def _clip(self, x: Any, bounds: str) -> Any:
        return super()._clip(x, bounds.replace("k_proj", "q_proj"))


@pytest.mark.parametrize(
    ("name", "fault", "words"),
    [
        ("float_bed", Unclipped, "q_proj.linear: input_min is not there"),
        ("float_bed", OneClip, "k_proj.linear: input_min is"),
        ("lattice_bed", Unclipped, "q_proj.linear: input_min is not there"),
        ("lattice_bed", OneClip, "k_proj.linear: input_min is"),
        ("clipped_bed", Unclipped, "q_proj.linear: input_min is not there"),
    ],
)
def test_a_bound_that_does_not_clip_is_caught_by_the_weights_rung(
    name: str, fault: type, words: str, request: pytest.FixtureRequest
) -> None:
    case = request.getfixturevalue(name).lowered_with("Vision", fault)
    assert f"vision_70 {LAYER}.self_attn.{words}" in faults(compare_vision(case))


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


class Half(Vision[Any]):
    """Leaves the patches between 0 and 1."""

    def __call__(self, patches: Any, positions: Any) -> Any:
        return super().__call__((patches + 1.0) * 0.5, positions)


@pytest.mark.parametrize(
    ("name", "fault", "words"),
    [
        ("Vision", TurnedOtherwise, "vision_70: attention"),
        ("Vision", PooledAcross, "vision_70: features"),
        ("Vision", EverySeen, "vision_70: attention"),
        ("TowerOps", OneOff, "vision_70: attention"),
        ("Vision", Half, "vision_70: attention"),
    ],
)
def test_a_fault_of_the_graph_is_caught_block_by_block(name: str, fault: type, words: str, bed: Bed) -> None:
    assert words in faults(compare_blocks(bed.lowered_with(name, fault)))


def test_rows_of_another_place_are_caught(bed: Bed) -> None:
    assert "vision_70: rows" in faults(compare_rows(bed.lowered_with("Vision", PooledAcross)))


def test_rows_that_the_tower_itself_does_not_keep_are_stated_and_not_judged(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bed.case.tower, "floor_db", lambda *_: (2.0, 2.0))
    (rows,) = (check for check in compare_rows(bed.case) if check.name.startswith("vision_70: rows"))
    assert rows.sense == "stated"
    assert "disturbed in the last bits, gives rows of its own below 6 dB" in rows.note


def test_what_stands_in_the_padding_may_not_matter(bed: Bed) -> None:
    assert "vision_70: padding changes rows: " in faults(compare_rows(bed.lowered_with("Vision", EverySeen)))


def test_another_row_behind_an_image_is_caught_block_by_block(bed: Bed) -> None:
    def change(patient: Patient) -> None:
        patient.array("embed_tokens.row", IMAGE_END).view(np.float32)[0, ...] += np.float32(0.5)

    assert "images: row behind an image" in faults(compare_blocks(bed.edited(change)))
