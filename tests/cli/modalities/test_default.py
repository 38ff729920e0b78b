"""Without ``--modalities``: all that a checkpoint has, and what is said where that cannot be."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convert import modalities, plan
from convert.bundle.platform import all_platforms
from convert.errors import ConvertError, HubError
from convert.plan import Plan, Request
from convert.progress import Silent
from convert.targets import all_targets

OUT = ", or give --modalities text, which leaves image input out"


def planned(model: Path | str, out: Path, **choices: Any) -> Plan:
    return plan.prepare(replace(Request("android", str(model), out, verb="plan"), **choices), Silent())[0]


def refusal(model: Path | str, out: Path, **choices: Any) -> str:
    with pytest.raises(ConvertError) as refused:
        planned(model, out, **choices)
    return str(refused.value)


def test_images_are_taken_where_the_checkpoint_has_a_tower(
    mobile_tower: Path, mobile_e2b: Path, tmp_path: Path
) -> None:
    assert planned(mobile_tower, tmp_path).modalities.keys() == {"image"}
    assert planned(mobile_tower, tmp_path, modalities=()).modalities == {}
    assert planned(mobile_e2b, tmp_path).modalities == {}


@pytest.mark.parametrize("name", all_platforms())
def test_the_demo_sees_on_every_platform(name: str, tmp_path: Path) -> None:
    assert planned("demo", tmp_path, platform=name).modalities.keys() == {"image"}


def test_a_flag_of_images_goes_without_asking_for_them(mobile_tower: Path, mobile_e2b: Path, tmp_path: Path) -> None:
    flags = {"image_tokens": "70"}
    assert planned(mobile_tower, tmp_path, flags=flags).flags["image_tokens"] == "70"
    said = "--image-tokens was given, and image input is not converted. "
    assert refusal(mobile_e2b, tmp_path, flags=flags).endswith(f"{said}Leave --image-tokens out")
    assert f"{said}Give --modalities text,image too" in refusal(mobile_tower, tmp_path, flags=flags, modalities=())


def test_what_is_refused_for_images_says_how_to_do_without(mobile_tower: Path, tmp_path: Path) -> None:
    short = refusal(mobile_tower, tmp_path, context=128)
    assert short.endswith(f"Give --context 344 or more, or a smaller --image-tokens{OUT}")
    assert planned(mobile_tower, tmp_path, context=128, modalities=()).context == 128
    assert OUT not in refusal(mobile_tower, tmp_path, context=128, modalities=("image",))
    assert OUT not in refusal(mobile_tower, tmp_path, context=8)  # too short for text as well


def test_a_hub_that_fails_is_asked_once() -> None:
    asked: list[tuple[str, ...]] = []

    def run(beside: tuple[str, ...]) -> None:
        asked.append(beside)
        raise HubError("open org/name", "the hub cannot be reached", "Try again")

    with pytest.raises(HubError, match=r"Try again$"):
        modalities.telling(None, ("image",), run)
    assert asked == [("image",)]


def test_a_tower_that_is_not_computed_is_refused_and_the_text_is_not(mobile_tower: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(mobile_tower, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["vision_config"]["patch_size"] = 14
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    said = refusal(folder, tmp_path)
    assert "patch_size is 14. It must be 16" in said
    assert said.endswith(OUT)
    assert planned(folder, tmp_path, modalities=()).modalities == {}


def test_a_target_without_a_tower_takes_text_alone(
    mobile_tower: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = replace(all_targets()["litert"], modules=frozenset({"text"}))
    monkeypatch.setattr(plan, "find_target", lambda *asked: text)
    assert planned(mobile_tower, tmp_path).modalities == {}
