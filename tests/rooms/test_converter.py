"""Each target, platform and format is named in its own room alone: who adds one touches no other file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import REPOSITORY

CONVERT = REPOSITORY / "convert"
NAMES = {"litert", "coreml", "android", "ios", "mobile", "q4_0"}
WORD = re.compile(r"[A-Za-z0-9_]+")

ROOMS = (
    "targets/litert",
    "targets/coreml",
    "bundle/android.py",
    "bundle/ios.py",
    "checkpoint/formats",
    "apk",  # all of it is Android's
    "chat",  # talks through the engine of one target
    "demo/train",  # trains in each format
    "demo/writing",  # writes each format
)
# Elsewhere: which names, and why.
EXCEPTIONS = {
    "bundle/platform.py": ({"android", "ios"}, "lists the platforms"),
    "bundle/project.py": ({"android"}, "the sample project of Android, which its platform packs"),
    "bundle/manifest.py": ({"android"}, "a field of the schema that one platform fills says which"),
    "checkpoint/format.py": ({"mobile", "q4_0"}, "advice: which checkpoints to take"),
    "checkpoint/other_kinds.py": ({"mobile", "q4_0"}, "names published models to take instead of what was given"),
    "cli.py": ({"android", "mobile"}, "examples, and the default of commands that take a finished bundle"),
    "plan.py": ({"mobile", "q4_0"}, "advice: which checkpoints to take"),
    "verify.py": ({"android"}, "advice: how to build what is not there"),
}


def named(path: Path) -> Iterator[str]:
    """Names in a source's code: identifiers, imports and strings; comments and docstrings may tell of anything."""
    tree = ast.parse(path.read_text("utf-8"))
    told = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body
        if isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        words = ""
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            words = node.value
        elif isinstance(node, ast.Name | ast.alias):
            words = node.id if isinstance(node, ast.Name) else node.name
        elif isinstance(node, ast.Attribute):
            words = node.attr
        elif isinstance(node, ast.ImportFrom):
            words = node.module or ""
        yield from NAMES.intersection(WORD.findall(words))


def sources() -> list[str]:
    found = (path.relative_to(CONVERT).as_posix() for path in CONVERT.rglob("*.py"))
    return sorted(name for name in found if not name.startswith(ROOMS))


@pytest.mark.parametrize("name", sources())
def test_a_file_outside_names_no_target_platform_or_format(name: str) -> None:
    allowed, _ = EXCEPTIONS.get(name, (set(), ""))
    assert set(named(CONVERT / name)) == allowed


def test_every_exception_is_a_file() -> None:
    assert EXCEPTIONS.keys() <= set(sources())


@pytest.mark.parametrize("line", ['if target == "coreml":\n    pass', "from convert.targets import litert", "x.q4_0"])
def test_a_name_in_the_code_is_seen_and_one_in_a_docstring_is_not(tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.py"
    path.write_text(f'"""Of android and ios."""\n{line}\n')
    assert len(set(named(path))) == 1
