"""Faults in the converter's code: an operation of the decoder, or of a target, does something else for a while.

A fault wraps an operation and never looks at how it is written: it is called in the operation's place and gets the
sound one. The operations that the decoder calls (``convert.model.ops.Ops``) are the same for every target and for
eager execution, so one fault serves all of them.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any
from unittest import mock

from convert.checkpoint.config import TextConfig
from convert.model.ops import Ops

Inject = Callable[[], AbstractContextManager[None]]
_DECODER = "convert.model.decoder.Decoder"
OPERATIONS = frozenset(name for name, held in vars(Ops).items() if inspect.isfunction(held) and name[0] != "_")
# Beside those of Ops: what else the decoder is made of.
PLACES = {
    "angles": "convert.model.rope.angles",
    "inverse_frequencies": "convert.model.rope.inverse_frequencies",
    "rotate": "convert.model.rope.rotate",
    "gelu": "torch.nn.functional.gelu",
    "by_layer": f"{_DECODER}.by_layer",
    "layer": f"{_DECODER}.layer",
    "per_layer_inputs": f"{_DECODER}.per_layer_inputs",
}


@dataclass
class At:
    """How far the decoder has come.

    Attributes:
        config: its dimensions.
        linear: key of the last ``linear`` of this layer, or of what is around the layers.
        layer: arguments of the layer that runs, by name.
    """

    config: Any = None
    linear: str = ""
    layer: dict[str, Any] = field(default_factory=dict)

    def behind(self, linear: str) -> bool:
        """Whether the last ``linear`` was this one, of whatever layer."""
        return self.linear.endswith(f".{linear}") or self.linear == linear


def wraps(config: Callable[[TextConfig], TextConfig] | None = None, **faults: Callable[..., Any]) -> Inject:
    """A fault in the decoder, whoever runs it.

    Args:
        config: gives the decoder other dimensions than the checkpoint's.
        faults: by operation, of ``OPERATIONS`` or ``PLACES``: called with the sound one, an :class:`At`, and the
            operation's arguments; ``layer`` with its arguments by name.

    Raises:
        AssertionError: on entering, where there is no such operation.
    """
    for name in faults:
        assert name in OPERATIONS | PLACES.keys(), f"the decoder has no operation {name}"

    @contextmanager
    def inject() -> Iterator[None]:
        at = At()

        def start(sound: Callable[..., None], decoder: Any, given: TextConfig, ops: Any) -> None:
            at.config = config(given) if config else given
            sound(decoder, at.config, _Wrapped(ops, at, faults))

        def layer(sound: Callable[..., Any], *args: Any, **named: Any) -> Any:
            at.layer, at.linear = dict(inspect.signature(sound).bind(*args, **named).arguments), ""
            bare = functools.partial(sound, at.layer.pop("self"))
            return faults["layer"](bare, at, **at.layer) if "layer" in faults else bare(**at.layer)

        with ExitStack() as stack:
            stack.enter_context(wrapped(f"{_DECODER}.__init__", start)())
            stack.enter_context(wrapped(PLACES["layer"], layer)())
            for name in faults.keys() & PLACES.keys() - {"layer"}:
                stack.enter_context(wrapped(PLACES[name], _told(faults[name], at, PLACES[name]))())
            yield

    return inject


def wrapped(place: str, fault: Callable[..., Any]) -> Inject:
    """A fault in a function of a module, or in a method of a class.

    Args:
        place: with dots, such as ``convert.targets.litert.dynamic.split``.
        fault: called with the sound one and its arguments.

    Raises:
        AssertionError: on entering, where there is nothing of that name.
    """

    @contextmanager
    def inject() -> Iterator[None]:
        owner, name = _resolve(place)
        sound = getattr(owner, name)

        @functools.wraps(sound)
        def call(*args: Any, **named: Any) -> Any:
            return fault(sound, *args, **named)

        with ExitStack() as stack:
            for holder in _holders(owner, name, sound):
                stack.enter_context(mock.patch.object(holder, name, call))
            yield

    return inject


def together(*faults: Inject) -> Inject:
    """Several at a time."""

    @contextmanager
    def inject() -> Iterator[None]:
        with ExitStack() as stack:
            for fault in faults:
                stack.enter_context(fault())
            yield

    return inject


class _Wrapped:
    """Operations, some of which are faulty."""

    def __init__(self, sound: Any, at: At, faults: dict[str, Callable[..., Any]]) -> None:
        self._sound, self._at, self._faults = sound, at, faults

    def __getattr__(self, name: str) -> Callable[..., Any]:
        sound, fault = getattr(self._sound, name), self._faults.get(name)

        def call(*args: Any, **named: Any) -> Any:
            if name == "linear":
                self._at.linear = args[1]
            return sound(*args, **named) if fault is None else fault(sound, self._at, *args, **named)

        return call


def _told(fault: Callable[..., Any], at: At, place: str) -> Callable[..., Any]:
    """The fault, with how far the decoder has come; a method's sound form knows its object."""

    def method(sound: Callable[..., Any], itself: Any, *args: Any, **named: Any) -> Any:
        return fault(functools.partial(sound, itself), at, *args, **named)

    def function(sound: Callable[..., Any], *args: Any, **named: Any) -> Any:
        return fault(sound, at, *args, **named)

    return method if place.startswith(_DECODER) else function


def _resolve(place: str) -> tuple[Any, str]:
    """The module or class that holds a place, and the name there."""
    parts = place.split(".")
    owner: Any = import_module(parts[0])
    for number, part in enumerate(parts[1:-1], 2):
        if not hasattr(owner, part):
            import_module(".".join(parts[:number]))
        owner = getattr(owner, part)
    assert hasattr(owner, parts[-1]), f"there is no {place}"
    return owner, parts[-1]


def _holders(owner: Any, name: str, sound: Any) -> list[Any]:
    """Who has the function under its name: modules that import it must be there before, to be given the other one."""
    if not isinstance(owner, ModuleType) or not owner.__name__.startswith("convert."):
        return [owner]
    package = import_module(owner.__name__.rpartition(".")[0])
    for item in iter_modules(package.__path__, f"{package.__name__}."):
        import_module(item.name)
    return [m for key, m in list(sys.modules.items()) if key.startswith("convert.") and vars(m).get(name) is sound]
