"""The training of the demo's drafter, on conversations made up for the test."""

from __future__ import annotations

from pathlib import Path

import torch

from convert import demo
from convert.checkpoint import open_checkpoint, resolve
from convert.checkpoint.drafter import open_drafter
from convert.demo.train.curriculum import IGNORED
from convert.demo.train.drafter import export
from convert.demo.train.drafter.fit import Heard, beginnings, drafts, masks, network


def heard(rows: int = 2, tokens: int = 12) -> Heard:
    random = torch.Generator().manual_seed(3)
    best = torch.full((rows, tokens), IGNORED)
    best[:, 5:10] = torch.randint(0, 1280, (rows, 5), generator=random)
    caches = {
        kind: tuple(torch.randn(rows, 1, tokens, width, generator=random) for _ in "kv")
        for kind, width in (("sliding_attention", 32), ("full_attention", 64))
    }
    ids = torch.randint(0, 1280, (rows, tokens), generator=random)
    return Heard(ids, torch.randn(rows, tokens, 160, generator=random), best, caches)  # type: ignore[arg-type]


def test_a_chain_begins_behind_a_token_that_the_model_has_said() -> None:
    assert beginnings(heard().best).tolist() == [[9, 8, 7, 6]] * 2  # its answer is tokens 6 to 10


def test_a_draft_sees_what_the_cache_holds_and_no_more_than_the_window() -> None:
    seen = masks(torch.tensor([[5]]), 8, window=3)
    assert (seen["full_attention"][0, 0, 0] == 0).tolist() == [True] * 5 + [False] * 3
    assert (seen["sliding_attention"][0, 0, 0] == 0).tolist() == [False] * 3 + [True] * 2 + [False] * 3


def test_each_draft_is_held_to_the_model_s_token_so_many_places_on() -> None:
    found, given = network(export.config(demo.folder()), 1), heard()
    made = drafts(found, lambda ids: torch.zeros(*ids.shape, 160), given, 64)
    assert [wanted[: len(wanted) // 2].tolist() for _, wanted in made] == [
        [int(given.best[0, place + step]) for place in (9, 8, 7, 6) if place + step < 10] for step in range(4)
    ]
    assert all(logits.shape == (len(wanted), 1280) for logits, wanted in made)


def test_what_is_written_lies_on_the_lattice_and_fits_the_demo(tmp_path: Path) -> None:
    folder = tmp_path / "drafter"
    export.write(folder, network(export.config(demo.folder()), 1), demo.folder())
    module = open_drafter(resolve(folder), open_checkpoint(demo.folder())).modules["drafter"]
    assert len(module.quants) == 23
    for matrix in module.quants.values():
        matrix.codes(0, matrix.rows)


def test_the_embedded_drafter_is_small() -> None:
    assert sum(path.stat().st_size for path in demo.drafter().iterdir()) < 600_000
