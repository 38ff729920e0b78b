"""How the Android sample cuts a picture where its engine does not: the pixels are Pillow's, to the byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convert import demo
from convert.checkpoint import open_folder, resolve
from convert.images import ImageCall, ImageInput, ImageLength, ImageOutput, images
from tests.support.android import kotlin_tools
from tests.support.android.kotlin_tools import Outcome

FOLDER, SUITE = "core/src/test/kotlin", "CutSuite"
TOKENS = 70
# Of pictures and of what they become: smaller, larger, both, one side alone, to and from single rows, and on both sides
# of the bound from which on columns come first.
SIZES = (
    ((397, 263), (480, 288)),
    ((1500, 1100), (432, 336)),
    ((90, 331), (192, 768)),
    ((3, 2), (480, 288)),
    ((140, 1), (3360, 48)),
    ((1, 140), (48, 3360)),
    ((2611, 97), (480, 97)),
    ((97, 1799), (97, 288)),
    ((48, 2001), (96, 1)),
    ((31, 40), (30, 37)),
    ((31, 40), (30, 38)),
    ((30, 30), (60, 29)),
    ((30, 30), (90, 40)),
    ((385, 383), (384, 384)),
    ((1, 1), (1, 1)),
    ((1, 1), (48, 48)),
)


def written(folder: Path) -> None:
    """Pictures of noise, where every weight counts and sums leave 0 to 255, and Pillow's own."""
    draw = np.random.default_rng(3)
    for at, ((wide, high), size) in enumerate(SIZES):
        noise = draw.integers(0, 256, (high, wide, 3), np.uint8)
        for name, pixels in ((f"{at}", noise), (f"{at}-black-and-white", (noise >> 7) * np.uint8(255))):
            picture = Image.fromarray(pixels)
            picture.save(folder / f"{name}.given.ppm")
            picture.resize(size, Image.Resampling.BICUBIC).save(folder / f"{name}.made.ppm")


def told() -> str:
    """The part ``feeding.images`` of a manifest that leaves the cutting to an app."""
    call = ImageCall(
        model="vision.onnx",
        section="vision",
        function="run",
        inputs=[
            ImageInput(name="pixels", source="patches", output=None),
            ImageInput(name="places", source="positions", output=None),
        ],
        outputs=[ImageOutput(name="rows", meaning="rows")],
    )
    checkpoint = open_folder(resolve(demo.folder()), ("image",))
    return images(checkpoint, [ImageLength(tokens=TOKENS, patches=None, calls=[call])], padded=False).model_dump_json()


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    def run() -> Outcome:
        work = tmp_path_factory.mktemp("cutting")
        (work / "pictures").mkdir()
        written(work / "pictures")
        (work / "images.json").write_text(told(), "utf-8")
        return kotlin_tools.suite(kotlin_tools.compiled(), SUITE, work / "images.json", work / "pictures", work)

    return kotlin_tools.once(tmp_path_factory, SUITE, run)


@pytest.mark.parametrize("case", kotlin_tools.cases(FOLDER, SUITE))
def test_cutting(outcome: Outcome, case: str) -> None:
    assert kotlin_tools.failure(outcome, case) == ""
