"""The command line: quick, explained by example, and clear when it refuses."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from convert import demo
from convert.checkpoint.known import known
from tests.support.commands import QUICK, REPOSITORY, convert, start, stop, wait_for

VERBS = ("list", "plan", "inspect", "convert", "verify", "bundle", "questions", "chat")
# Frameworks, runtimes, and what talks to the network: a second or more each.
HEAVY = ("torch", "transformers", "tensorflow", "jax", "litert_torch", "ai_edge_litert", "litert_lm", "coremltools")
HEAVY += ("onnx", "onnxruntime", "scipy", "pandas", "sklearn", "safetensors", "huggingface_hub", "httpx2")


def test_help_names_every_verb() -> None:
    ran = convert("--help")
    assert ran.code == 0
    assert re.findall(r"^  (\w+) ", ran.out.partition("Commands:")[2], re.MULTILINE) == list(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_ends_with_an_example_of_it(verb: str) -> None:
    ran = convert(verb, "--help")
    assert ran.code == 0
    example = ran.out.rstrip().rpartition("\n\n")[2]
    assert example.split()[:3] == ["Example:", "gemma-bridge", verb]


@pytest.mark.parametrize(
    ("command", "forbidden"),
    [
        (["--help"], (*HEAVY, "numpy", "pydantic", "rich")),
        (["bundle", "--help"], (*HEAVY, "numpy")),
        (["list"], HEAVY),
        (["plan", "android", "demo"], HEAVY),
        (["plan", "ios", "demo"], HEAVY),
        (["inspect", "demo"], HEAVY),
        (["bundle", "android", "demo", "--dry-run"], HEAVY),
    ],
    ids=lambda words: " ".join(words[:3]),
)
def test_looking_loads_nothing_that_takes_long(command: list[str], forbidden: tuple[str, ...], tmp_path: Path) -> None:
    """That is what makes it fast; how fast it is here and now, ``just bench start`` says."""
    code = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
from convert import cli
sys.argv = ["gemma-bridge", *{command!r}]
try:
    cli.main()
except SystemExit as left:
    assert not left.code, left.code
heavy = sorted({{name.partition(".")[0] for name in sys.modules}} & {{*{forbidden!r}}})
sys.exit(f"loaded: {{heavy}}" if heavy else 0)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_an_unknown_verb_is_one_line_and_exit_code_2() -> None:
    ran = convert("bundel")
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert "bundel" in ran.err


def test_an_unknown_flag_is_one_line_and_exit_code_2() -> None:
    ran = convert("bundle", "android", "demo", "--no-verify")
    assert (ran.code, ran.err) == (2, "error: No such option: --no-verify (see --help)\n")


def test_a_plan_as_json_holds_what_the_table_shows() -> None:
    ran = convert("plan", "android", "demo", "--context", "300", "--prefill", "64,32,64", "--json")
    found = json.loads(ran.out)
    assert ran.code == 0
    assert (*(found["options"][name] for name in ("context", "prefill")), found["format"], found["name"]) == (
        300,
        [8, 32, 64],
        "mobile",
        "demo",
    )
    assert "300 tokens" in convert("plan", "android", "demo", "--context", "300").out


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "dist"
    ran = convert("bundle", "android", "demo", "--dry-run", "--out", out)
    assert ran.code == 0
    assert "KV cache" in ran.out
    assert not out.exists()


def test_ctrl_c_ends_with_130_and_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "convert", "bundle", "android", "demo", "--out", str(tmp_path / "dist"), *QUICK]
    process = start(command)
    wait_for(tmp_path / "dist" / "android" / ".demo.work" / "new")
    assert stop(process, 0.5, signal.SIGINT) == 130
    assert not (tmp_path / "dist").exists()


def test_a_termination_leaves_nothing_either(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "convert", "bundle", "android", "demo", "--out", str(tmp_path / "dist"), *QUICK]
    process = start(command)
    wait_for(tmp_path / "dist" / "android" / ".demo.work" / "new")
    assert stop(process, 0.5, signal.SIGTERM) == 128 + signal.SIGTERM
    assert not (tmp_path / "dist").exists()


def test_a_failed_conversion_leaves_the_old_file(tmp_path: Path) -> None:
    old = tmp_path / "model.litertlm"
    old.write_bytes(b"old")
    ran = convert("convert", demo.folder(), old, "--context", "999999")
    assert ran.code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["model.litertlm"]
    assert old.read_bytes() == b"old"


def test_the_import_contracts_are_kept() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([lint, "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    assert f"Contracts: {len(contracts)} kept, 0 broken." in ran.stdout


def test_list_says_of_every_model_what_of_it_was_run() -> None:
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in convert("list").out.splitlines() if line.strip()}
    assert lines["demo"] == "this model, whole"
    said = {lines[model] for model in known().usable}
    assert said == {"synthetic weights, never these"}
