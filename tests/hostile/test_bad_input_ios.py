"""The same as for android, where an iOS bundle is asked for: one clear line, exit code 2, and nothing in dist."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.hostile.test_bad_input import QUERY
from tests.support.changed.rewritten import rewrite
from tests.support.commands import QUICK, Outcome, refused


def bundle(model: str | Path, out: Path, *flags: str) -> Outcome:
    return refused("ios", model, out, *flags)


def test_a_folder_that_does_not_exist_is_named(out: Path, tmp_path: Path) -> None:
    assert "no such folder" in bundle(tmp_path / "nowhere", out).err


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "chat_template.jinja", "generation_config.json"])
def test_a_missing_file_is_named(out: Path, folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert name in bundle(folder, out).err


def test_a_truncated_file_is_refused(out: Path, folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    assert "model.safetensors" in bundle(folder, out).err


def test_a_missing_tensor_is_named(out: Path, folder: Path) -> None:
    rewrite(folder / "model.safetensors", lambda tensors: tensors.pop(f"{QUERY}.weight_scale"))
    assert "q_proj" in bundle(folder, out).err


def test_a_damaged_config_is_refused(out: Path, folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    assert "config.json" in bundle(folder, out).err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--context", "0"), "a context of 0 tokens"),
        (("--context", "96", "--prefill", "128"), "Give --prefill lengths from 1 to 96"),
        (("--cache", "int8"), "Leave --cache out"),
        (("--profile", "npu"), "Use --profile gpu or ane"),
        (("--precision", "bfloat16"), "Use --precision float16 or float32"),
    ],
)
def test_choices_that_cannot_be_are_refused(out: Path, flags: tuple[str, ...], words: str) -> None:
    assert words in bundle("demo", out, *flags).err


def test_block_scales_on_the_neural_engine_are_refused(out: Path, q4_0_e2b: Path) -> None:
    ran = bundle(q4_0_e2b, out, *QUICK, "--profile", "ane")
    assert "has a scale for every 32 columns, which the Neural Engine does not take" in ran.err
    assert "Use --profile gpu" in ran.err


def test_a_float32_program_is_none_for_the_neural_engine(out: Path) -> None:
    ran = bundle("demo", out, *QUICK, "--profile", "ane", "--precision", "float32")
    assert "the Neural Engine has no float32. Leave --precision out" in ran.err
