"""What a bundle says of giving its model an image: the sound manifest passes, and every wrong word of it is seen."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from convert import feeding
from convert.targets import all_targets
from convert.targets.litert.inspect import inspect
from convert.targets.litert.seen import images
from runtime_tests.errors import InputError
from runtime_tests.litert.case import ADAPTER, ENCODER, IMAGE_END, LitertCase
from runtime_tests.litert.vision.told import compare_calls, compare_told
from runtime_tests.readers.feeding import read_feeding
from runtime_tests.rungs.images.told import compare_images
from tests.judge.litert.vision.bed import Bed, faults, opened, read

Fields = dict[str, Any]


@pytest.fixture(scope="module")
def said(bed: Bed) -> Fields:
    """``feeding`` of a manifest, as the converter writes it."""
    checkpoint = read(bed.case.folder.path)
    part = images(checkpoint, bed.model.name, inspect(bed.model))
    return feeding.feeding(checkpoint, None, part).model_dump(mode="json")


def fed(bed: Bed, said: Fields, tmp_path: Path) -> LitertCase:
    path = tmp_path / "feeding.json"
    path.write_text(json.dumps(said), "utf-8")
    case = copy.copy(bed.case)
    case.feeding = read_feeding(path)
    return case


def changed(said: Fields, path: str, value: object) -> Fields:
    """A copy in which one member of ``images`` has another value."""
    *way, last = path.split(".")
    made = copy.deepcopy(said)
    place: Any = made["images"]
    for key in way:
        place = place[int(key)] if isinstance(place, list) else place[key]
    assert place[last] != value
    place[last] = value
    return made


def test_a_sound_manifest_passes(bed: Bed, said: Fields, tmp_path: Path) -> None:
    found = compare_told(fed(bed, said, tmp_path))
    assert [f"{check.name}: {check.note}" for check in found if not check.passed] == []
    assert len([check for check in found if check.limit is not None]) == 4


OTHER = {"id": 2, "text": "<bos>"}
WRONG = {
    "tokens": (140, "tokens 140, expected 70"),
    "resize.multiple": (16, "images cut otherwise than by transformers"),
    "pixels.scale": (1 / 256, "a number of a patch, largest difference"),
    "patches.side": (24, "tokens, expected"),
    "patches.pool": (2, "tokens, expected"),
    "patches.padding.position": (0, "other padding"),
    "around.begin": (OTHER, "begin: 2 '<bos>', expected"),
    "around.each": (OTHER, "each: 2 '<bos>', expected"),
    "around.end": (OTHER, "end: 2 '<bos>', expected"),
    "per_layer": (None, "per_layer: None, expected 0"),
    "cut_by": (None, "cut_by is null, and the engine cuts"),
    "lengths.0.tokens": (140, "lengths [(140, 630)], expected [(70, 630)]"),
    "lengths.0.patches": (631, "lengths [(70, 631)], expected [(70, 630)]"),
    "lengths.0.calls.0.model": ("other.litertlm", "other.litertlm, expected model.litertlm"),
    "lengths.0.calls.0.section": ("tf_lite_vision", "the file has no section tf_lite_vision"),
    "lengths.0.calls.0.function": ("vision_71", "signature vision_71"),
    "lengths.0.calls.0.inputs.0.name": ("patches", "expected ['patches', 'positions_xy']"),
    "lengths.0.calls.1.inputs.0.output": ("mask_out", "no call before gives mask_out"),
    "lengths.0.calls.1.outputs.0.meaning": ("later_call", "other rows by these calls than by the engine's"),
}


@pytest.mark.parametrize("path", WRONG)
def test_a_wrong_word_is_seen(path: str, bed: Bed, said: Fields, tmp_path: Path) -> None:
    value, words = WRONG[path]
    case = fed(bed, changed(said, path, value), tmp_path)
    of_calls = path.startswith(("tokens", "cut_by", "lengths"))
    assert words in faults(compare_calls(case) if of_calls else compare_images(case, case.holds_images))


def test_a_manifest_that_leaves_images_out_or_makes_them_up_is_seen(bed: Bed, said: Fields, tmp_path: Path) -> None:
    words = "feeding: images: the model takes them, images is null"
    assert words in faults(compare_told(fed(bed, said | {"images": None}, tmp_path)))
    text = bed.edited(lambda patient: patient.rebuild(dict.fromkeys((ENCODER, ADAPTER, IMAGE_END))))
    text.feeding = fed(bed, said, tmp_path).feeding
    assert "feeding: images: the model takes none" in faults(compare_told(text))
    text.feeding = None
    assert compare_told(text) == compare_told(opened(bed.model, bed.case.folder.path)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [("resize.filter", "nearest"), ("pixels.channels", "bgr"), ("patches.positions", "y_x"), ("lengths", [])],
)
def test_a_rule_that_is_not_known_is_refused_by_its_field(
    path: str, value: object, bed: Bed, said: Fields, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"images.{path}: "):
        fed(bed, changed(said, path, value), tmp_path)


def test_of_a_text_model_nothing_is_said_and_nothing_is_read(tmp_path: Path) -> None:
    from convert.checkpoint import open_checkpoint

    target = all_targets()["litert"]
    assert target.images(open_checkpoint("demo"), tmp_path) is None
