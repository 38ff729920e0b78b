"""``--modalities text,image``: what is planned, and what is refused before any work."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convert import plan
from convert.checkpoint import open_folder, resolve
from convert.errors import ConvertError
from convert.plan import Plan, Request
from convert.tables import plan as table
from convert.tables import size
from convert.targets import all_targets
from tests.support.commands import convert, refused


def request(out: Path, **choices: Any) -> Request:
    return Request("android", "model", out, verb="convert", **({"modalities": ("image",)} | choices))


def made(folder: Path, asked: Request) -> Plan:
    plan.choose(asked)  # before anything is opened
    return plan.make(asked, open_folder(resolve(folder), asked.modalities), "model")


def changed(source: Path, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    change(config)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


def test_one_prefill_call_takes_the_largest_image_and_its_prompt(mobile_tower: Path, tmp_path: Path) -> None:
    found = made(mobile_tower, request(tmp_path))
    assert found.prefill == (8, 32, 128, 512)
    assert made(mobile_tower, request(tmp_path, flags={"image_tokens": "140"})).prefill == (8, 32, 128, 256)
    assert made(mobile_tower, request(tmp_path, prefill=(64,))).prefill == (8, 32, 64)
    assert made(mobile_tower, request(tmp_path, modalities=())).prefill == (8, 32, 128)


@pytest.mark.parametrize(("says", "becomes"), [(140, 140), (100, 70), (20, 70), (5000, 1120), (None, 280)])
def test_an_image_becomes_as_many_tokens_as_the_checkpoint_says(
    says: int | None, becomes: int, mobile_tower: Path, tmp_path: Path
) -> None:
    """Down to the next number that images can be cut by; a flag says otherwise."""

    def say(config: dict[str, Any]) -> None:
        config["text_config"]["max_position_embeddings"] = 2048
        config["vision_config"].pop("default_output_length")
        config["vision_config"].update({} if says is None else {"default_output_length": says})

    folder = changed(mobile_tower, tmp_path / "model", say)
    asked = request(tmp_path, context=2048)
    assert made(folder, asked).flags["image_tokens"] == str(becomes)
    assert made(folder, replace(asked, flags={"image_tokens": "560"})).flags["image_tokens"] == "560"
    assert "image_tokens" not in made(folder, replace(asked, modalities=())).flags


def test_a_plan_tells_what_images_take(mobile_tower: Path, tmp_path: Path) -> None:
    with_images, text = made(mobile_tower, request(tmp_path)), made(mobile_tower, request(tmp_path, modalities=()))
    assert with_images.modalities.keys() == {"image"}
    assert with_images.flags["image_tokens"] == "280"
    assert "image_tokens" not in text.flags
    assert 0 < with_images.weight_bytes - text.weight_bytes <= 1.02 * with_images.modalities["image"]
    lines = [line.split() for line in table(with_images).splitlines()]
    assert [line[2:3] for line in lines if line[:1] == ["image"]] == [["about"], ["280"]]
    assert with_images.working == {"image": 4 * 2520 * 12 * 96 + (26 << 20)}
    assert f"and {size(with_images.working['image'])} of memory while one is read" in " ".join(
        table(with_images).split()
    )
    assert not [line for line in table(text).splitlines() if line.startswith("image")]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no such": ({"modalities": ("smell",)}, "there is no --modalities 'smell'. Use some of text, image"),
    "audio": ({"modalities": ("audio",)}, "there is no --modalities 'audio'"),
    "its flag alone": (
        {"modalities": (), "flags": {"image_tokens": "70"}},
        "--image-tokens was given, and image input is not converted. Give --modalities text,image too",
    ),
    "no such number": (
        {"flags": {"image_tokens": "71"}},
        "there is no --image-tokens '71'. Use --image-tokens 70, 140",
    ),
    "short": (
        {"context": 128},
        "an image of 280 tokens with a prompt does not fit a context of 128. Give --context 344",
    ),
    "large": ({"flags": {"image_tokens": "560"}}, "an image of 560 tokens with a prompt does not fit a context of 512"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_together_is_refused(name: str, mobile_tower: Path, tmp_path: Path) -> None:
    choices, said = REFUSED[name]
    with pytest.raises(ConvertError) as refused:
        made(mobile_tower, replace(request(tmp_path), **choices))
    assert said in str(refused.value)


def test_a_target_without_a_tower_refuses_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = replace(all_targets()["litert"], modules=frozenset({"text"}))
    monkeypatch.setattr(plan, "find_target", lambda *asked: text)
    with pytest.raises(ConvertError) as refused:
        plan.choose(request(tmp_path))
    said = "--modalities image was given, and litert models have no place for it. Leave image out"
    assert said in str(refused.value)


FILES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "looks ahead": (
        lambda config: config["text_config"].update(use_bidirectional_attention="vision"),
        "use_bidirectional_attention is 'vision'",
    ),
    "no token": (lambda config: config.pop("image_token_id"), "name no token for an image"),
    "no end": (lambda config: config.pop("eoi_token_id"), "name no token for image end"),
    "another token": (
        lambda config: config.update(image_token_id=config["audio_token_id"]),
        "the chat template prints '<|image|>' for an image and not '<|audio|>'",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_checkpoint_that_says_too_little_of_images_is_refused(name: str, mobile_tower: Path, tmp_path: Path) -> None:
    change, said = FILES[name]
    folder = changed(mobile_tower, tmp_path / "model", change)
    with pytest.raises(ConvertError) as refused:
        made(folder, request(tmp_path))
    assert said in str(refused.value)


def test_a_template_that_prints_nothing_for_an_image_is_refused(mobile_tower: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(mobile_tower, tmp_path / "model")
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text("utf-8").replace("<|image|>", ""), "utf-8")
    with pytest.raises(ConvertError) as refused:
        made(folder, request(tmp_path))
    assert "the chat template prints '' for an image and not '<|image|>'" in str(refused.value)


NO_TOWER = "image input was asked for and the checkpoint has no vision encoder"


@pytest.mark.parametrize(
    ("modalities", "said"),
    [
        ("image", "--modalities 'image' leaves text out, which every model takes"),
        ("text,image", NO_TOWER),
    ],
)
def test_a_refusal_is_one_line_and_leaves_nothing(modalities: str, said: str, mobile_e2b: Path, tmp_path: Path) -> None:
    ran = convert("convert", mobile_e2b, tmp_path / "model.litertlm", "--modalities", modalities)
    assert ran.code == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("platform", "flags", "said"),
    [
        ("android", ("--modalities", "text,image"), NO_TOWER),
        ("android", ("--image-tokens", "70"), "--image-tokens was given, and image input is not converted. Leave"),
    ],
)
def test_a_bundle_with_what_does_not_go_together_is_refused_before_any_work(
    platform: str, flags: tuple[str, ...], said: str, mobile_e2b: Path, tmp_path: Path
) -> None:
    assert said in refused(platform, mobile_e2b, tmp_path / "dist", *flags).err
