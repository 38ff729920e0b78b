"""A module of a model is one file: the rest of the converter finds it, in every format."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from convert import demo
from convert.checkpoint import open_checkpoint
from convert.progress import Silent
from convert.targets.litert import LitertOptions, convert
from tests.support.changed.rewritten import Tensors, rewrite
from tests.support.commands import REPOSITORY

# A module that the project does not know: one quantized linear and one vector.
TOY = """
from dataclasses import dataclass

from convert.checkpoint.module import Kind
from convert.checkpoint.outline import Outline, Part


@dataclass(frozen=True)
class Config:
    width: int


def outline(given):
    if not given.whole.has("toy_config"):
        return None
    width = given.whole.object("toy_config").values["width"]
    parts = (Part("toy.proj", "linear", (4, width), rounded="always"), Part("toy.norm.weight", "plain", (width,)))
    return Outline(Config(width), lambda key: f"model.{key}", parts)


MODULE = Kind(title="toy", roots=("toy",), config="toy_config", outline=outline)
"""
READ = """
import sys
from convert.checkpoint import open_checkpoint
found = open_checkpoint(sys.argv[1])
toy = found.modules["toy"]
matrix = toy.quants["toy.proj"]
print(sorted(found.modules), toy.config.width, matrix.codes(0, 4).tolist(), matrix.scales(0, 4).reshape(-1).tolist())
print(toy.floats["toy.norm.weight"].float32().tolist() == [1.0] * 32, sorted(toy.activations))
print([name for name in found.left_out if "toy" in name], len(found.text.quants))
"""
CONVERT = """
import sys
from pathlib import Path
from convert.checkpoint import open_checkpoint
from convert.inspection.weights import histogram
from convert.progress import Silent
from convert.targets.litert import LitertOptions, convert
checkpoint = open_checkpoint(sys.argv[1])
convert(checkpoint, LitertOptions(96, (16,)), Path(sys.argv[2]), Silent())
for share in sorted(histogram(checkpoint), key=lambda share: share.bits):
    if share.component == "toy":
        print(share.bits, share.parameters)
"""
CODES = np.arange(128).reshape(4, 32) % 16 - 8
SCALES = np.array([0.5, 0.25, 2, 1], np.float32)


def integers(tensors: Tensors) -> None:
    codes = (CODES + 8).astype(np.uint8)
    tensors["model.toy.proj.weight"] = ("U8", [4, 16], (codes[:, ::2] | codes[:, 1::2] << 4).tobytes())
    tensors["model.toy.proj.weight_scale"] = ("F32", [4, 1], SCALES.tobytes())
    for side in ("input", "output"):
        tensors[f"model.toy.proj.{side}_activation_scale"] = ("F32", [], np.float32(0.5).tobytes())
    tensors["model.toy.norm.weight"] = ("F32", [32], np.ones(32, np.float32).tobytes())


def floats(tensors: Tensors) -> None:
    weights = (CODES * SCALES[:, None]).astype(np.float32)
    tensors["model.toy.proj.weight"] = ("F32", [4, 32], weights.tobytes())
    tensors["model.toy.norm.weight"] = ("F32", [32], np.ones(32, np.float32).tobytes())


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A folder for ``sys.path`` that has the module's file, where the converter looks for one."""
    folder = tmp_path / "elsewhere" / "convert" / "checkpoint" / "modules"
    folder.mkdir(parents=True)
    (folder / "toy.py").write_text(TOY, "utf-8")
    return tmp_path / "elsewhere"


def with_toy(source: Path, folder: Path, change: Callable[[Tensors], None]) -> Path:
    shutil.copytree(source, folder)
    rewrite(folder / "model.safetensors", change)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"toy_config": {"width": 32}}), "utf-8")
    return folder


def run(*arguments: object, paths: tuple[Path, ...]) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (*paths, REPOSITORY)))}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("change", [integers, floats])
def test_a_module_of_one_file_elsewhere_is_read_in_every_format(
    tmp_path: Path, q4_0_e2b: Path, room: Path, change: Callable[[Tensors], None]
) -> None:
    folder = with_toy(demo.folder() if change is integers else q4_0_e2b, tmp_path / "model", change)
    ran = run("-c", READ, folder, paths=(room,))
    first, second, third = ran.stdout.splitlines() or [ran.stderr] * 3
    assert first == f"['text', 'toy'] 32 {CODES.tolist()} {SCALES.tolist()}"
    assert second == f"True {['toy.proj'] if change is integers else []}"
    assert third.startswith("[] ")
    assert "unexpected tensor 'model.toy.norm.weight'" in run("-c", READ, folder, paths=()).stderr


def test_what_no_target_converts_is_told_and_the_file_is_the_same_without_it(tmp_path: Path, room: Path) -> None:
    folder = with_toy(demo.folder(), tmp_path / "model", integers)
    planned = run("-m", "convert", "plan", "android", folder, "--out", tmp_path / "out", paths=(room,))
    lines = [line.split() for line in planned.stdout.splitlines() if "left out" in line]
    assert lines == [["left", "out", "toy"]], planned.stderr
    ran = run("-c", CONVERT, folder, tmp_path / "toy.litertlm", paths=(room,))
    assert ran.stdout.split() == ["4", "128", "32", "32"], ran.stderr
    plain = tmp_path / "plain.litertlm"
    convert(open_checkpoint("demo"), LitertOptions(96, (16,)), plain, Silent())
    assert (tmp_path / "toy.litertlm").read_bytes() == plain.read_bytes()
