"""What the engine writes at its first start, against the plan's figure: every kind of weight, and a drafter's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from convert import demo
from convert.checkpoint import open_checkpoint, open_folder, resolve
from convert.checkpoint.drafter import open_drafter
from convert.checkpoint.types import Checkpoint
from convert.progress import Silent
from convert.targets.litert import LitertOptions, convert
from tests.support.drafter.assistant import write_assistant
from tests.support.litert.packing import packings
from tests.support.vision.png import write_png


def planned(checkpoint: Checkpoint, written: list[int]) -> bool:
    """Whether so many bytes are what a plan says, but for columns that kernels of another processor do not pad."""
    return sum(written) in [pytest.approx(each, rel=0.002) for each in packings(checkpoint)]


def started(file: Path, cache: Path) -> list[int]:
    """Lengths of the files that a start leaves in a folder, largest first."""
    import litert_lm

    cache.mkdir(exist_ok=True)
    cpu = litert_lm.Backend.CPU(thread_count=1)
    with litert_lm.Engine(str(file), backend=cpu, cache_dir=str(cache), enable_speculative_decoding=True):
        pass
    return sorted((path.stat().st_size for path in cache.iterdir()), reverse=True)


def demo_with_a_float_drafter(folder: Path, request: pytest.FixtureRequest) -> Checkpoint:
    """Static int8 products of 2, 4 and 8 bits, a head of 2 bits; the drafter's head is looked up by groups."""
    drafter = write_assistant(folder, demo.folder(), lattice=False, ordered=True)
    return open_drafter(resolve(drafter), open_checkpoint("demo"))


def q4_0_with_its_like(folder: Path, request: pytest.FixtureRequest) -> Checkpoint:
    """Blocks with offsets, a tied float head of 1,003 rows; the drafter's head in blocks too."""
    model = request.getfixturevalue("q4_0_e2b")
    return open_drafter(resolve(write_assistant(folder, model)), open_checkpoint(model))


@pytest.mark.parametrize("make", [demo_with_a_float_drafter, q4_0_with_its_like])
def test_the_first_start_writes_what_the_plan_says(
    make: Callable[[Path, pytest.FixtureRequest], Checkpoint], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    checkpoint, file, cache = make(tmp_path / "drafter", request), tmp_path / "model.litertlm", tmp_path / "cache"
    convert(checkpoint, LitertOptions(context=128, prefill=(8,)), file, Silent())
    written = started(file, cache)
    assert len(written) == 2  # the decoder's and the drafter's
    assert planned(checkpoint, written)
    assert started(file, cache) == written  # later starts map them


def test_the_first_image_writes_what_the_plan_says_beside(mobile_tower: Path, tmp_path: Path) -> None:
    import litert_lm

    checkpoint, file, cache = (
        open_folder(resolve(mobile_tower), ("image",)),
        tmp_path / "m.litertlm",
        tmp_path / "cache",
    )
    convert(checkpoint, LitertOptions(512, (8,), image_tokens="70"), file, Silent())
    picture = write_png(tmp_path / "image.png", np.zeros((96, 96, 3), np.uint8))
    parts = [{"type": "image", "path": str(picture)}, {"type": "text", "text": "?"}]
    cpu = litert_lm.Backend.CPU(thread_count=1)
    cache.mkdir()
    with (
        litert_lm.Engine(str(file), backend=cpu, vision_backend=cpu, max_num_images=1, cache_dir=str(cache)) as engine,
        engine.create_conversation(max_output_tokens=1) as conversation,
    ):
        conversation.send_message({"role": "user", "content": parts})
    written = [path.stat().st_size for path in cache.iterdir()]
    assert len(written) == 3  # the decoder's, the encoder's and the adapter's
    assert planned(checkpoint, written)
