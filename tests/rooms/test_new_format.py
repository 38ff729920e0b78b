"""A checkpoint format is one file: the rest of the project finds it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from convert import demo
from tests.support.commands import REPOSITORY

TOY = """
from convert.checkpoint.formats import mobile

METHOD = "toy"


def read(ledger, config, settings):
    settings.values["quant_method"] = mobile.METHOD
    return mobile.read(ledger, config, settings)
"""


def run(*arguments: object, paths: tuple[Path, ...]) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (*paths, REPOSITORY)))}
    command = [sys.executable, "-m", "convert", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)


def test_a_format_of_one_file_elsewhere_is_read_planned_and_converted(tmp_path: Path) -> None:
    folder, room = tmp_path / "model", tmp_path / "elsewhere" / "convert" / "checkpoint" / "formats"
    shutil.copytree(demo.folder(), folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    holder = config if "quantization_config" in config else config["text_config"]
    holder["quantization_config"]["quant_method"] = "toy"
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    room.mkdir(parents=True)
    (room / "toy.py").write_text(TOY, "utf-8")
    refused = run("plan", "android", folder, "--out", tmp_path / "out", paths=())
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "quant_method is 'toy'" in refused.stderr
    planned = run("plan", "android", folder, "--out", tmp_path / "out", paths=(tmp_path / "elsewhere",))
    assert "model (toy)" in planned.stdout, planned.stderr
    made = [tmp_path / "toy.litertlm", tmp_path / "plain.litertlm"]
    short = ("--context", "96", "--prefill", "16")
    assert run("convert", folder, made[0], *short, paths=(tmp_path / "elsewhere",)).returncode == 0
    assert run("convert", "demo", made[1], *short, paths=()).returncode == 0
    toy, plain = (path.read_bytes() for path in made)
    assert len(toy) == len(plain)
    assert sum(a != b for a, b in zip(toy, plain, strict=True)) <= 36  # the file's id, which is made of the input's
