"""What a model is made of: each module's names and settings stand in its file and nowhere else."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert import plan
from convert.checkpoint import check_small_files, open_checkpoint
from convert.checkpoint.module import kinds
from convert.checkpoint.names import published
from convert.errors import CheckpointError, PlanError
from convert.plan import Request
from convert.targets import all_targets
from runtime_tests.readers.module import known
from tests.support.checkpoints.modules import with_text
from tests.support.commands import REPOSITORY
from tests.support.tiny_checkpoint import config_json, mobile

ENCODERS = {"vision": ("vision_tower", "embed_vision"), "audio": ("audio_tower", "embed_audio")}
OWN = {name: {*roots, f"{name}_config"} for name, roots in ENCODERS.items()} | {"drafter": {"gemma4_assistant"}}


def test_text_vision_audio_and_drafter_are_the_modules_that_are_known() -> None:
    assert set(kinds()) == {"text", "vision", "audio", "drafter"}
    assert {name: kind.roots for name, kind in kinds().items() if name in ENCODERS} == ENCODERS
    assert {name: module.roots for name, module in known().items() if name in ENCODERS} == ENCODERS
    assert kinds().keys() == known().keys()


@pytest.mark.parametrize("name", ["convert", "runtime_tests"])
def test_no_other_file_names_what_belongs_to_a_module(name: str) -> None:
    """Nor outside the judge's rooms of that module. What writes checkpoints names what it writes."""
    found = {}
    for path in sorted((REPOSITORY / name).rglob("*.py")):
        at = path.relative_to(REPOSITORY / name).as_posix()
        if at.startswith(("checkpoint/modules/", "readers/modules/", "demo/")):
            continue
        words = [
            node.value if isinstance(node, ast.Constant) else node.attr if isinstance(node, ast.Attribute) else ""
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
        ]
        rooms = set(at.split("/")[:-1]) if name == "runtime_tests" else set()
        others = {each for module, names in OWN.items() if module not in rooms for each in names}
        if own := {each for each in others for word in words if isinstance(word, str) and each in word}:
            found[at] = own
    assert found == {}


@pytest.mark.parametrize("module", ENCODERS)
@pytest.mark.parametrize("front", ["", "model.", "model.model."])
def test_tensors_of_an_encoder_are_left_out_under_every_name_that_transformers_reads(
    tmp_path: Path, module: str, front: str
) -> None:
    names = [f"{front}{root}.anything.weight" for root in ENCODERS[module]]

    def change(tensors: dict[str, Any]) -> None:
        tensors.update(dict.fromkeys(names, np.zeros(2, np.float32)))

    left_out = open_checkpoint(mobile(tmp_path / "tiny", change)).left_out
    assert {published(name, True)[0] for name in names} == set(left_out)
    assert set(left_out.values()) == {f"{module} encoder; only the text decoder is converted"}


@pytest.mark.parametrize("name", ["vision_towers.x", "vision_tower", "model.audio.x", "my_vision_tower.x"])
def test_a_tensor_of_a_name_beside_a_module_s_is_unexpected(tmp_path: Path, name: str) -> None:
    folder = mobile(tmp_path / "tiny", lambda tensors: tensors.update({name: np.zeros(2, np.float32)}))
    with pytest.raises(CheckpointError, match="unexpected tensor"):
        open_checkpoint(folder)


@pytest.mark.parametrize("field", ["vision_config", "audio_config"])
@pytest.mark.parametrize("value", [3, [], "small", True])
def test_settings_of_a_module_that_are_no_object_are_refused_as_transformers_does(
    tmp_path: Path, field: str, value: Any
) -> None:
    from transformers import Gemma4Config

    folder = mobile(tmp_path / "tiny", **{field: value})
    for opening in (open_checkpoint, check_small_files):
        with pytest.raises(CheckpointError) as caught:
            opening(folder)
        assert f"config.json: {field} is " in str(caught.value)
        assert str(caught.value).endswith("It must be an object")
    with pytest.raises(Exception, match=r".+"):
        Gemma4Config.from_pretrained(folder)


@pytest.mark.parametrize("value", [None, {}])
def test_settings_of_a_module_may_be_null_or_an_object(tmp_path: Path, value: Any) -> None:
    assert open_checkpoint(mobile(tmp_path / "tiny", vision_config=value, audio_config=value)).modules.keys() == {
        "text"
    }


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {"model_type": "gemma4_assistant"},
            "it is a drafter that goes with a Gemma 4, not the model itself "
            "(model_type 'gemma4_assistant' in config.json); it is given with --drafter, beside its model. Use google/",
        ),
        (
            config_json() | {"text_config": {"enable_moe_block": True}},
            "it is a mixture of experts, as Gemma 4 26B-A4B is (enable_moe_block is true in config.json). Use google/",
        ),
        (
            {"model_type": "gemma4_text", "enable_moe_block": True},
            "it is a mixture of experts, as Gemma 4 26B-A4B is (enable_moe_block is true in config.json). Use google/",
        ),
    ],
)
def test_a_model_that_is_refused_for_a_module_s_sake_is_called_by_its_name(
    tmp_path: Path, config: dict[str, Any], words: str
) -> None:
    folder = mobile(tmp_path / "tiny")
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)
    assert words in str(caught.value)


@pytest.mark.parametrize(("platform", "target"), [("android", "litert"), ("ios", "coreml")])
def test_a_target_that_has_no_kernel_for_experts_refuses_a_stack_in_one_line(
    tmp_path: Path, platform: str, target: str
) -> None:
    checkpoint, key = open_checkpoint("demo"), "layers.0.experts.down_proj"

    class Stack:
        name, stack, rows, columns, bits, groups = key, 4, 32, 64, 4, 1

    both = with_text(checkpoint, quants={**checkpoint.text.quants, key: Stack()})
    assert not all_targets()[target].experts
    with pytest.raises(PlanError) as caught:
        plan.make(Request(platform, "demo", tmp_path), both, "demo")
    found = f"{key} is a stack of 4 matrices, experts of which a token takes some, which {target} has no kernel for"
    assert str(caught.value).endswith(f"{found}. Use an E2B or E4B")
    assert "\n" not in str(caught.value)
