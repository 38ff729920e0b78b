"""Which targets, platforms, formats and kinds of model file the code of a source names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from convert.bundle.platform import all_platforms
from convert.checkpoint.format import readers
from convert.targets import all_targets

FILES = frozenset(Path(target.model).suffix.removeprefix(".") for target in all_targets().values())
NAMES = frozenset({*all_targets(), *all_platforms(), *readers().values(), *FILES})
_WORD, _PART = re.compile(r"[A-Za-z0-9_]+"), re.compile(r"[a-z0-9]+|[A-Z][a-z0-9]*")


def named(path: Path) -> set[str]:
    """Names in a source's identifiers, imports and strings; comments and docstrings may tell of anything."""
    found = {word for text in _texts(ast.parse(path.read_text("utf-8"))) for word in _WORD.findall(text)}
    return set(NAMES.intersection({part.lower() for word in found for part in (word, *_PART.findall(word))}))


def strangers(root: Path, rooms: tuple[str, ...]) -> dict[str, set[str]]:
    """What each source below ``root`` and outside of its ``rooms`` names; those that name nothing are left out."""
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.py"))
    found = {name: named(root / name) for name in names if not name.startswith(rooms)}
    return {name: words for name, words in found.items() if words}


def _texts(tree: ast.Module) -> Iterator[str]:
    told = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body
        if isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.alias | ast.ClassDef | ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.arg | ast.keyword):
            yield node.arg or ""
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
