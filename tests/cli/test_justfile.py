"""Recipes and the folder they are called in, with a Python that only says how it was called."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import REPOSITORY

# A script of the shell, because a line of "#!" takes no path with a space.
STUB = """#!/bin/sh
exec "{python}" "$0.py" "$@"
"""
SAYS = """import json, os, sys
keys = ("PYTHONPATH", "PYTHONSAFEPATH", "GEMMA_BRIDGE_OUT")
print(json.dumps({"cwd": os.getcwd(), "words": sys.argv[1:], **{key: os.environ.get(key) for key in keys}}))
"""
just = pytest.mark.skipif(shutil.which("just") is None, reason="just is not on PATH")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with spaces that has the Justfile, and a virtual environment that is up to date."""
    made = tmp_path / "a clone"
    (made / ".venv" / "bin").mkdir(parents=True)
    (made / "below it").mkdir()
    for name in ("Justfile", "pyproject.toml", "constraints.txt"):
        shutil.copyfile(REPOSITORY / name, made / name)
    stub = made / ".venv" / "bin" / "python"
    stub.write_text(STUB.format(python=sys.executable))
    stub.with_name("python.py").write_text(SAYS)
    stub.chmod(0o755)
    stamp = f"{made}\n{(made / 'pyproject.toml').read_text()}{(made / 'constraints.txt').read_text()}"
    (made / ".venv" / "stamp").write_text(stamp)
    return made


def called(folder: Path, *words: str) -> dict[str, object]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "GEMMA_BRIDGE"))}
    ran = subprocess.run(["just", *words], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout.splitlines()[-1]))


@just
@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "my checkpoint"),
        ("plan", "android", "./x", "--out", "here"),
        ("bundle", "ios", "../x"),
        ("list",),
        ("verify", "dist/x", "--json", "report.json"),
        ("chat", "x"),
        ("device-test", "x"),
        ("bench", "x"),
    ],
    ids=lambda words: words[0],
)
def test_a_relative_path_is_the_users_and_the_default_output_the_projects(home: Path, words: tuple[str, ...]) -> None:
    there = called(home / "below it", *words)
    assert (there["cwd"], there["GEMMA_BRIDGE_OUT"]) == (str(home / "below it"), str(home / "dist"))
    assert there["words"][-len(words) + 1 :] == list(words[1:]) or len(words) == 1  # type: ignore[index]
    assert (there["PYTHONPATH"], there["PYTHONSAFEPATH"]) == (str(home), "1")
    here = called(home, *words)
    assert (here["cwd"], here["GEMMA_BRIDGE_OUT"]) == (str(home), "dist")


@just
@pytest.mark.parametrize("recipe", ["verify", "chat", "device-test"])
def test_the_default_bundle_is_the_projects(home: Path, recipe: str) -> None:
    assert called(home / "below it", recipe)["words"][-1] == str(home / "dist/android/demo")  # type: ignore[index]
    assert called(home, recipe)["words"][-1] == "dist/android/demo"  # type: ignore[index]


@just
def test_a_phone_of_another_platform_is_asked_about_that_demo(home: Path) -> None:
    found = called(home / "below it", "device-test", "--platform", "ios")
    assert found["words"][-2:] == ["--platform", "ios"]  # type: ignore[index]
    assert found["GEMMA_BRIDGE_OUT"] == str(home / "dist")


@just
def test_runtime_test_finds_its_file_and_the_users_bundle(home: Path) -> None:
    found = called(home / "below it", "runtime-test", "my bundle")
    assert found["cwd"] == str(home / "below it")
    words = found["words"]
    assert str(home / "runtime_tests/test_bundle.py") in words  # type: ignore[operator]
    assert words[-2:] == ["--bundle", "my bundle"]  # type: ignore[index]
