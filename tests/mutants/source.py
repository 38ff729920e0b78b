"""Faults in the converter's code: a line of a module reads otherwise, for as long as a context lasts."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from unittest import mock

# Whoever holds a function or class of a changed module must be there before, to be given the changed one.
_HOLDERS = ("convert.model.eager", "convert.targets.litert.decoder", "convert.targets.litert.embedder")
_HOLDERS += ("convert.targets.litert.build", "convert.targets.coreml.build")


def reads(*changes: tuple[str, str, str]) -> Callable[[], AbstractContextManager[None]]:
    """A fault: in these modules (below ``convert``), this text, which stands there once, reads like that."""

    @contextmanager
    def fault() -> Iterator[None]:
        with ExitStack() as stack:
            for module, old, new in changes:
                stack.enter_context(_changed(f"convert.{module}", old, new))
            yield

    return fault


@contextmanager
def _changed(name: str, old: str, new: str) -> Iterator[None]:
    for holder in (name, *_HOLDERS):
        importlib.import_module(holder)
    module = sys.modules[name]
    path = Path(str(module.__file__))
    text = path.read_text("utf-8")
    if text.count(old) != 1:
        raise AssertionError(f"{path.name} has {old!r} {text.count(old)} times, the mutant expects it once")
    changed = ModuleType(name)
    changed.__dict__.update(__file__=str(path), __package__=module.__package__)
    exec(compile(text.replace(old, new), str(path), "exec"), changed.__dict__)
    with ExitStack() as stack:
        for key, was in list(vars(module).items()):
            if getattr(was, "__module__", None) == name and key in vars(changed):
                for holder in [m for n, m in sys.modules.items() if n.startswith("convert.")]:
                    if vars(holder).get(key) is was:
                        stack.enter_context(mock.patch.object(holder, key, vars(changed)[key]))
        yield
