"""What a checkpoint's files say of how an image becomes patches: Gemma 4's way, or a refusal by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from convert.checkpoint import check_small_files, open_checkpoint, open_folder, resolve, with_digests
from convert.checkpoint.image_processor import IMAGE_PROCESSOR, PROCESSOR, check
from convert.errors import CheckpointError

# As transformers writes one.
USUAL: dict[str, Any] = {
    "do_convert_rgb": True,
    "do_normalize": False,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.0, 0.0, 0.0],
    "image_std": [1.0, 1.0, 1.0],
    "max_soft_tokens": 280,
    "patch_size": 16,
    "pooling_kernel_size": 3,
    "resample": 3,
    "rescale_factor": 1 / 255,
}


def said(folder: Path, **files: Any) -> str:
    """The refusal of a folder with such files; empty: there is none."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    try:
        check(folder, "read it")
    except CheckpointError as error:
        return str(error)
    return ""


def test_transformers_own_settings_are_taken(tmp_path: Path) -> None:
    from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

    Gemma4ImageProcessorPil().save_pretrained(tmp_path)
    assert (tmp_path / IMAGE_PROCESSOR).is_file()
    check(tmp_path, "read it")
    assert said(tmp_path / "a", preprocessor_config=USUAL | {"do_normalize": True}) == ""
    assert said(tmp_path / "b", processor_config={"image_processor": USUAL}) == ""
    assert said(tmp_path / "c") == ""


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("do_rescale", False, "true"),
        ("do_resize", False, "true"),
        ("rescale_factor", 1.0, "1/255"),
        ("resample", 2, "3, bicubic"),
        ("patch_size", 14, "16"),
        ("pooling_kernel_size", 4, "3"),
        ("do_normalize", "no", "true or false"),
    ],
)
def test_other_settings_are_refused_by_field(field: str, value: Any, wanted: str, tmp_path: Path) -> None:
    for name in (PROCESSOR, IMAGE_PROCESSOR):
        content = USUAL | {field: value}
        stem = name.removesuffix(".json")
        found = said(tmp_path / stem, **{stem: content if name == IMAGE_PROCESSOR else {"image_processor": content}})
        assert name in found
        assert f"{field} is {value!r}. It must be {wanted}" in found


def test_pixels_that_are_shifted_are_refused(tmp_path: Path) -> None:
    assert "image_mean is [0.5" in said(
        tmp_path / "a", preprocessor_config=USUAL | {"do_normalize": True, "image_mean": [0.5, 0.5, 0.5]}
    )
    assert said(tmp_path / "b", preprocessor_config=USUAL | {"image_mean": [0.5, 0.5, 0.5]}) == ""  # not used


def test_a_processor_s_settings_come_before_those_of_an_image_processor_alone(tmp_path: Path) -> None:
    wrong = USUAL | {"patch_size": 14}
    assert said(tmp_path / "a", processor_config={"image_processor": USUAL}, preprocessor_config=wrong) == ""
    assert "patch_size is 14" in said(tmp_path / "b", processor_config={}, preprocessor_config=wrong)


def test_the_files_count_where_images_are_asked_for_and_there_alone(mobile_tower: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(mobile_tower, tmp_path / "model")
    (folder / IMAGE_PROCESSOR).write_text(json.dumps(USUAL), "utf-8")
    assert IMAGE_PROCESSOR in with_digests(open_folder(resolve(folder), ("image",))).source.files
    assert IMAGE_PROCESSOR not in with_digests(open_checkpoint(folder)).source.files
    (folder / IMAGE_PROCESSOR).write_text("[]", "utf-8")
    for look in (lambda: check_small_files(folder, ("image",)), lambda: open_folder(resolve(folder), ("image",))):
        with pytest.raises(CheckpointError, match=r"preprocessor_config\.json holds a list, not an object"):
            look()
    check_small_files(folder)
    open_checkpoint(folder)
