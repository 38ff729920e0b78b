"""What a bundle says of images and their calls is held to the package, and the package is among what is judged."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from convert.feeding import feeding, to_json
from convert.targets.coreml import TARGET
from runtime_tests.coreml.vision.told import compare_told
from runtime_tests.readers.feeding import read_feeding
from tests.judge.coreml.vision.bed import ROWS, Bed, faults


@pytest.fixture(scope="module")
def said(bed: Bed) -> dict[str, Any]:
    folder = bed.model.parent
    made = feeding(bed.opened, TARGET.calls(bed.opened, folder), TARGET.images(bed.opened, folder))
    found: dict[str, Any] = json.loads(to_json(made))
    return found


def told(bed: Bed, folder: Path, said: dict[str, Any]) -> str:
    (folder / "feeding.json").write_text(json.dumps(said))
    case = bed.like(bed.model.with_name("Vision.mlpackage"))
    case.feeding = read_feeding(folder / "feeding.json")
    found = compare_told(case)
    return "" if all(check.passed for check in found) else faults(found)


def test_what_a_bundle_says_of_images_is_right(bed: Bed, said: dict[str, Any], tmp_path: Path) -> None:
    assert told(bed, tmp_path, said) == ""
    assert said["images"]["lengths"][0]["calls"][0]["function"] == f"vision_{ROWS}"
    described = TARGET.describe(bed.model.parent)
    assert described.mapped_images > 0
    assert {s.name for s in described.report.signatures if s.section == "vision"} == {f"vision_{ROWS}"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda images: images.update(tokens=140), "tokens 140, expected 70"),
        (lambda images: images["lengths"][0].update(patches=70), "lengths [(70, 70)], expected [(70, 630)]"),
        (lambda images: images["lengths"][0]["calls"][0].update(function="vision_9"), "function vision_9, expected"),
        (lambda images: images["lengths"][0]["calls"][0]["inputs"][0].update(name="positions_xy"), "vision_70: inputs"),
        (lambda images: images.update(cut_by={"formats": ["png"]}), "none cuts images for Core ML"),
    ],
)
def test_a_wrong_word_is_named(bed: Bed, said: dict[str, Any], tmp_path: Path, change: Any, words: str) -> None:
    other = copy.deepcopy(said)
    change(other["images"])
    assert words in told(bed, tmp_path, other)


def test_the_judged_digest_is_of_the_package_for_images_too(bed: Bed) -> None:
    whole = TARGET.digest(bed.model)
    assert bed.case.artifact.sha256() == whole
    assert bed.like(None).artifact.sha256() != whole
    assert "../Vision.mlpackage/Data/com.apple.CoreML/weights/weight.bin" in bed.case.artifact.files
