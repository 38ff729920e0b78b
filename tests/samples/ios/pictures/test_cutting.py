"""A picture becomes patches in Swift as it does in Python, where pillow makes it smaller."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runtime_tests.readers.manifest.images import Images
from runtime_tests.reference.vision.pictures import drawn, pictures
from runtime_tests.rungs.images.cutting import cut
from tests.samples.ios.pictures.rules import rules, write
from tests.support.ios import swift_tools

pytestmark = pytest.mark.slow
SIZES = [
    *((640, 480, 320, 240), (640, 480, 333, 77), (97, 61, 480, 48), (3, 2, 912, 672), (1, 1, 48, 48), (50, 50, 50, 50)),
    # On both sides of where pillow goes along the other direction first.
    *((100, 150, 48, 45), (100, 150, 48, 46), (117, 253, 96, 192), (150, 100, 140, 80), (150, 100, 140, 79)),
    *((50, 99, 50, 33), (99, 50, 33, 50), (4001, 3, 48, 48), (2, 2999, 48, 13), (7, 5, 8, 6)),
]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_picture_in_another_size_is_pillows_to_the_bit(size: tuple[int, int, int, int], tmp_path: Path) -> None:
    wide, high, to_wide, to_high = size
    # Noise of the two ends alone makes sums beyond a byte at both.
    noise = np.random.default_rng(wide).integers(0, 2, (high, wide, 3), np.uint8) * 255
    smooth = np.asarray(drawn(wide, wide, high))
    for pixels in (noise, smooth):
        file, out = write(tmp_path / "picture", pixels), tmp_path / "out"
        swift_tools.driver().ask("resize", file=str(file), width=to_wide, height=to_high, out=str(out))
        expected = Image.fromarray(pixels).resize((to_wide, to_high), Image.Resampling.BICUBIC)
        assert out.read_bytes() == expected.tobytes()


def in_swift(said: dict[str, Any], picture: Any, folder: Path) -> tuple[dict[str, Any], Any, Any]:
    file = write(folder / "picture", np.asarray(picture.convert("RGB")))
    numbers, positions = folder / "numbers", folder / "positions"
    files = {"file": str(file), "numbers": str(numbers), "positions": str(positions)}
    answer = swift_tools.driver().ask("cut", images=said, **files)
    return answer, np.fromfile(numbers, np.float32), np.fromfile(positions, np.int32)


@pytest.mark.parametrize("name", [name for name in pictures(9) if name not in ("huge", "alpha")])
def test_a_picture_is_cut_as_the_judge_cuts_it(name: str, tmp_path: Path) -> None:
    said, picture = rules(), pictures(9)[name]()
    answer, numbers, positions = in_swift(said, picture, tmp_path)
    told = Images.model_validate(said)
    expected = cut(picture, told)
    assert answer["tokens"] == expected.tokens
    length = next(each for each in told.lengths if each.tokens >= expected.tokens)
    assert answer["function"] == f"vision_{length.tokens}"
    pixels, places = expected.padded(told, length.patches)
    assert np.array_equal(numbers.view(np.uint32), pixels.reshape(-1).view(np.uint32))
    assert np.array_equal(positions, places.reshape(-1))


Change = Callable[[dict[str, Any]], object]
UNKNOWN: dict[str, Change] = {
    "rule": lambda m: m["resize"].update(rule="crop"),
    "filter": lambda m: m["resize"].update(filter="bilinear"),
    "orientation": lambda m: m["pixels"].update(orientation="as_stored"),
    "alpha": lambda m: m["pixels"].update(alpha="over_black"),
    "channels": lambda m: m["pixels"].update(channels="bgr"),
    "order": lambda m: m["pixels"].update(order="planes"),
    "scale": lambda m: m["pixels"].update(scale="1/255"),
    "new": lambda m: m["pixels"].update(new=1),
    "patches.order": lambda m: m["patches"].update(order="column_by_column"),
    "patches.positions": lambda m: m["patches"].update(positions="y_x"),
    "padding": lambda m: m["patches"].update(padding=None),
    "padding.patches": lambda m: m["patches"]["padding"].update(patches="ones"),
    "padding.position": lambda m: m["patches"]["padding"].update(position=1 << 31),
    "side": lambda m: m["patches"].update(side=15),
    "pool": lambda m: m["patches"].update(pool=0),
    "lengths": lambda m: m["lengths"].reverse(),
    "tokens": lambda m: m.update(tokens=65536),
    "calls": lambda m: m["lengths"][0]["calls"].append(m["lengths"][0]["calls"][0]),
    "source": lambda m: m["lengths"][0]["calls"][0]["inputs"][0].update(source="earlier_call"),
    "inputs": lambda m: m["lengths"][0]["calls"][0]["inputs"].pop(),
    "meaning": lambda m: m["lengths"][0]["calls"][0]["outputs"][0].update(meaning="mask"),
    "model": lambda m: m["lengths"][0]["calls"][0].update(model="../Vision.mlpackage"),
    "[0].patches": lambda m: m["lengths"][0].update(patches=629),
    "begin": lambda m: m["around"].pop("begin"),
    "per_layer": lambda m: m.update(per_layer=0),
}


@pytest.mark.parametrize("member", UNKNOWN)
def test_a_rule_that_the_app_does_not_know_is_refused(member: str, tmp_path: Path) -> None:
    said = rules()
    UNKNOWN[member](said)
    file = write(tmp_path / "picture", np.zeros((48, 48, 3), np.uint8))
    files = {"file": str(file), "numbers": str(tmp_path / "numbers"), "positions": str(tmp_path / "positions")}
    told = swift_tools.driver().tell("cut", images=said, **files)
    assert told["type"] == "Refused"
    assert f"{member} " in told["error"]
    assert not (tmp_path / "numbers").exists()
