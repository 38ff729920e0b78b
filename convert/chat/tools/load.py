"""The functions of a Python file that the user names. It is the user's own program, run as ``python FILE.py`` would."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from convert.chat.tools.declare import Tool
from convert.errors import PlanError


def from_file(path: Path) -> tuple[Tool, ...]:
    """Every function that the file defines and whose name does not begin with ``_``, in the file's order.

    Raises:
        PlanError: no such file, it fails, or it defines nothing to call.
    """
    module = _run(path)
    functions = [
        value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    ]
    if not functions:
        _refuse(path, "it defines no function", "Define functions with type hints and docstrings")
    return tuple(Tool.of(function) for function in functions)


def _run(path: Path) -> ModuleType:
    if path.suffix != ".py" or not path.is_file():
        found = "there is no such Python file" if path.suffix == ".py" else "it is no .py file"
        _refuse(path, found, "Give a .py file with functions, or builtin for a clock and a calculator")
    spec = importlib.util.spec_from_file_location("chat_tools", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))  # as for a program: it may import what lies beside it
    sys.dont_write_bytecode = True
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for answers
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        where = next(
            (
                f" in line {f.lineno}"
                for f in reversed(traceback.extract_tb(error.__traceback__))
                if f.filename == str(path)
            ),
            "",
        )
        if isinstance(error, SyntaxError):
            where = f" in line {error.lineno}"
        said = " ".join(str(error).split())
        _refuse(path, f"it ends with {type(error).__name__}{where}" + (f" ({said})" if said else ""), "Mend it")
    return module


def _refuse(path: Path, found: str, advice: str) -> NoReturn:
    raise PlanError(f"chat --tools {path}", found, advice)
