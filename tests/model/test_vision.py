"""The vision tower's mathematics against transformers' own, on images of every shape."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from convert.checkpoint import open_folder, resolve
from convert.checkpoint.modules.vision import VisionConfig
from convert.checkpoint.types import Module
from convert.model import vision
from convert.model.eager import EagerOps
from convert.model.vision import Vision
from tests.support.changed.rewritten import rewrite
from tests.support.litert.tools import decibels
from tests.support.vision.towered import clipped, image, onto_lattice

# Rows at most, width and height in rows: full, wide, tall, odd, all but empty.
SHAPES = [(20, 4, 5), (20, 20, 1), (20, 1, 20), (20, 7, 2), (20, 2, 7), (4, 1, 1)]


def opened(folder: Path) -> Module[VisionConfig]:
    return open_folder(resolve(folder), ("image",)).modules["vision"]


def run(module: Module[VisionConfig], patches: torch.Tensor, positions: torch.Tensor) -> tuple[Any, Any]:
    """Rows of the decoder, and which of them are there."""
    return tower(module, patches, positions)[1:]


def tower(module: Module[VisionConfig], patches: torch.Tensor, positions: torch.Tensor) -> tuple[Any, Any, Any]:
    """Soft tokens, rows of the decoder, and which of them are there."""
    with torch.no_grad():
        made: Vision[torch.Tensor] = Vision(module.config, EagerOps(module))
        features, there = made(patches, positions)
        return features[0].numpy(), made.project(features)[0].numpy(), there[0].numpy()


@pytest.fixture(params=["mobile_tower", "mobile_tower clipped", "q4_0_tower", "q4_0_tower on the lattice"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name, _, change = request.param.partition(" ")
    found: Path = shutil.copytree(request.getfixturevalue(name), tmp_path / "model")
    if change == "clipped":
        clipped(found)
    elif change:
        rewrite(found / "model.safetensors", onto_lattice)
    return found


def test_rows_of_an_image_are_transformers_to_100_db(folder: Path) -> None:
    from transformers import Gemma4ForConditionalGeneration

    module = opened(folder)
    # Its own products, in its order: a rounding to another code would be multiplied by what follows.
    theirs = Gemma4ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    whole = theirs.eval().model
    for rows, width, height in SHAPES:
        patches, positions = image(rows, width, height, module.config, width)
        with torch.no_grad():
            found = whole.get_image_features(patches, positions.long())
        features, mine, there = tower(module, patches, positions)
        assert there.tolist() == [row < width * height for row in range(rows)]
        assert decibels(found.last_hidden_state.numpy(), features[there]) >= 100, (rows, width, height)
        assert decibels(found.pooler_output[0].numpy(), mine[there]) >= 100, (rows, width, height)


WRONG: dict[str, tuple[str, Callable[..., Any]]] = {
    "nothing is clipped": ("clip", lambda self, x, low, high: x),
    "x for y": ("rows", lambda self, key, axis, ids: _ROWS(self, key, 1 - axis, ids)),
    "norms without weights": ("scale", lambda self, x, key: x),
}
_ROWS = EagerOps.rows


@pytest.mark.parametrize("fault", WRONG)
def test_a_fault_in_an_operation_is_seen(fault: str, q4_0_tower: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = opened(q4_0_tower)
    given = image(20, 7, 2, module.config)
    whole, there = run(module, *given)
    monkeypatch.setattr(EagerOps, *WRONG[fault])
    assert decibels(whole[there], run(module, *given)[0][there]) < 60


def test_padding_and_what_lies_in_it_changes_no_row(q4_0_tower: Path) -> None:
    module = opened(q4_0_tower)
    patches, positions = image(20, 3, 2, module.config)
    rows, there = run(module, patches, positions)
    patches[0, 9 * 6 :] = 0.75
    assert np.array_equal(rows[there], run(module, patches, positions)[0][there])
    fewer = run(module, patches[:, : 9 * 7], positions[:, : 9 * 7])
    assert decibels(fewer[0][fewer[1]], rows[there]) >= 100
    assert fewer[1].sum() == there.sum() == 6


def test_queries_by_pieces_give_the_rows_of_all_at_once(q4_0_tower: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = opened(q4_0_tower)
    given = image(20, 4, 5, module.config)
    whole, _ = run(module, *given)
    monkeypatch.setattr(vision, "_SCORES", 4 * 6 * 180 * 50)  # of 180 patches, 45 fit
    seen = []
    scores = EagerOps.attention_scores

    def watched(self: EagerOps, query: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        seen.append(query.shape[2])
        return scores(self, query, keys)

    monkeypatch.setattr(EagerOps, "attention_scores", watched)
    assert decibels(whole, run(module, *given)[0]) >= 100
    assert seen == [45] * 8


@pytest.mark.parametrize("rows", [70, 140, 280, 560, 1120])
def test_pieces_of_a_real_tower_fit_their_bytes_and_are_no_crumbs(rows: int) -> None:
    count = 9 * rows
    for row, most, fewest in ((4 * 12 * count, 8 << 20, 16), (4 * 3072, 8 << 20, 300)):
        step = vision._fitting(count, row, most)
        assert count % step == 0
        assert fewest <= step <= most // row


def test_an_mlp_by_pieces_gives_the_rows_of_all_at_once(q4_0_tower: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = opened(q4_0_tower)
    given = image(20, 4, 5, module.config)
    whole, _ = run(module, *given)
    monkeypatch.setattr(vision, "_WIDE", 4 * 160 * 50)  # of 180 patches, 45 fit
    seen = []
    spread = EagerOps.spread

    def watched(self: EagerOps, x: torch.Tensor, key: str, rows: int) -> Iterator[torch.Tensor]:
        seen.append((x.shape[1], rows))
        return spread(self, x, key, rows)

    monkeypatch.setattr(EagerOps, "spread", watched)
    assert decibels(whole, run(module, *given)[0]) >= 100
    assert seen == [(180, 45)] * 4
