"""Functions that the model may call: ``builtin``, or the functions of a Python file that the user names."""

from __future__ import annotations

from pathlib import Path

from convert.chat.tools.declare import Tool
from convert.chat.tools.load import from_file

__all__ = ["Tool", "tools_of"]


def tools_of(which: str | None) -> tuple[Tool, ...]:
    """The tools that ``--tools`` asks for.

    Raises:
        PlanError: no such file, one that cannot be run, or a function that cannot be declared.
    """
    if which is None:
        return ()
    if which == "builtin":
        from convert.chat.tools import builtin

        return tuple(Tool.of(function) for function in (builtin.clock, builtin.calculator))
    return from_file(Path(which))
