"""The command line: quick, explained by example, and clear when it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import QUICK, REPOSITORY, convert, start, stop, wait_for

from convert import demo

VERBS = ("list", "plan", "inspect", "convert", "verify", "bundle", "chat")
HEAVY = ("torch", "transformers", "tensorflow", "litert_torch", "numpy", "pydantic", "safetensors", "ai_edge_litert")


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


def test_help_loads_nothing_heavy() -> None:
    code = f"""
import sys
from convert.cli import app
try:
    app(["--help"])
except SystemExit:
    pass
heavy = [name for name in {HEAVY!r} if name in sys.modules]
sys.exit(f"loaded: {{heavy}}" if heavy else 0)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_plan_and_inspect_load_no_framework() -> None:
    code = """
import sys
from convert.cli import app
for command in (["plan", "android", "demo"], ["inspect", "demo"], ["list"]):
    app(command, standalone_mode=False)
heavy = [name for name in ("torch", "transformers", "tensorflow", "litert_torch") if name in sys.modules]
sys.exit(f"loaded: {heavy}" if heavy else 0)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("command", [("--help",), ("plan", "android", "demo"), ("inspect", "demo"), ("list",)])
def test_looking_answers_in_under_half_a_second(command: tuple[str, ...]) -> None:
    seconds = []
    for _ in range(3):
        process = start([sys.executable, "-m", "convert", *command])
        # Processor time: it is the program's own, whatever else runs on these cores, and it does not wait for anything.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        seconds.append(usage.ru_utime + usage.ru_stime)
    assert min(seconds) < 0.5


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
    assert (found["context"], found["prefill"], found["format"], found["name"]) == (300, [8, 32, 64], "mobile", "demo")
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
    assert "4 kept, 0 broken" in ran.stdout
