"""A checkpoint format is one file, and one more for the judge, which shares nothing; all the rest finds it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from convert import demo
from tests.support.commands import REPOSITORY, Outcome, convert

SUPPORT = REPOSITORY / "tests" / "support"
FORMAT, TARGET = SUPPORT / "toy_format", SUPPORT / "toy_target"


def known(*arguments: str | Path) -> Outcome:
    """The command line, with the format's folder on Python's path, and a target that is soon judged."""
    return convert(*arguments, PYTHONPATH=os.pathsep.join(map(str, (FORMAT, TARGET, REPOSITORY))))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo in the toy format."""
    folder = Path(shutil.copytree(demo.folder(), tmp_path_factory.mktemp("toy") / "doll"))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    told = config["quantization_config"]
    config["quantization_config"] = {
        "quant_method": "toy",
        "usual": told["num_bits"],
        # Attention has the usual bits.
        "widths": [[p, one["num_bits"]] for p, one in told["module_quant_configs"].items() if "self_attn" not in p],
        "plain": told["modules_to_not_convert"],
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    ran = known("bundle", "toybox", checkpoint, "--out", out, "--questions", "2", "--context", "128", "--prefill", "16")
    assert ran.code == 0, ran.err
    return out / "toybox" / "doll"


def test_without_its_folder_on_the_path_it_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    ran = convert("plan", "android", checkpoint, "--out", tmp_path)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "quant_method is 'toy'. Read are 'gemma' (mobile) and checkpoints without one (q4_0)" in ran.err


def test_it_is_planned_and_inspected_under_its_name(checkpoint: Path, tmp_path: Path) -> None:
    planned = known("plan", "android", checkpoint, "--out", tmp_path)
    assert "doll (toy)" in planned.out, planned.err
    found, plain = (json.loads(known("inspect", what, "--json").out) for what in (checkpoint, "demo"))
    assert (found["format"], plain["format"]) == ("toy", "mobile")
    assert found["weights"] == plain["weights"]


def test_a_target_of_the_project_makes_of_it_what_it_makes_of_the_same_numbers_in_a_known_format(
    checkpoint: Path, tmp_path: Path
) -> None:
    made = [tmp_path / "toy.litertlm", tmp_path / "plain.litertlm"]
    for path, model in zip(made, (checkpoint, "demo"), strict=True):
        ran = known("convert", model, path, "--context", "160", "--prefill", "16")
        assert ran.code == 0, ran.err
    toy, plain = (path.read_bytes() for path in made)
    assert len(toy) == len(plain)
    assert sum(a != b for a, b in zip(toy, plain, strict=True)) <= 36  # the file's id, which is made of the input's


def test_it_is_bundled_and_judged_against_its_own_files(bundle: Path) -> None:
    manifest, parity = (json.loads((bundle / name).read_text("utf-8")) for name in ("manifest.json", "parity.json"))
    assert (manifest["source"]["format"], parity["checkpoint"]["format"]) == ("toy", "toy")
    assert parity["publication"]["allowed"]
    assert [rung["name"] for rung in parity["rungs"] if rung["status"] == "pass"] == ["0", "1", "2a", "2b", "4"]


def test_verify_reads_it_and_tells_it_from_another(bundle: Path, checkpoint: Path, tmp_path: Path) -> None:
    ran = known("verify", bundle, "--checkpoint", checkpoint, "--rungs", "0")
    assert ran.code == 0, ran.err
    other = Path(shutil.copytree(checkpoint, tmp_path / "other"))
    config = json.loads((other / "config.json").read_text("utf-8"))
    config["quantization_config"]["widths"].pop()
    (other / "config.json").write_text(json.dumps(config), "utf-8")
    ran = known("verify", bundle, "--checkpoint", other, "--rungs", "0")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "it was made from another config.json" in ran.err
