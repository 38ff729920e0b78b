"""Feeds a package the way an app does: rotary rows and masks by position, prefill in chunks, decode token by token."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import CannotRunError
from runtime_tests.readers.coreml import rings
from runtime_tests.readers.coreml.mlpackage import MlPackage
from runtime_tests.readers.coreml.program import Function
from runtime_tests.readers.dimensions import FULL, SLIDING

Floats = NDArray[np.float32]
MASKED = np.float32(-1e4)  # finite, and within float16
KINDS = {SLIDING: "sliding", FULL: "full"}
DECODE = "decode"
Source = tuple[str, str]  # where an input comes from, and of which table or type of layer
_ROWS = {"cos": "cosines", "sin": "sines", "mask": "mask"}
# Of a bare package.
NAMES: Mapping[str, Source] = {
    "embeddings": ("table", "embed_tokens"),
    "per_layer_embeddings": ("table", "embed_tokens_per_layer"),
    "position": ("position", ""),
    "ring_rows": ("ring_rows", SLIDING),
    **{f"{word}_{suffix}": (source, kind) for kind, suffix in KINDS.items() for word, source in _ROWS.items()},
}


class Runner(Protocol):
    """What runs a function: the evaluator, or Core ML itself."""

    def function(self, name: str) -> Function: ...

    def new_state(self, function: str) -> Any: ...

    def run(self, function: str, inputs: dict[str, Any], state: Any) -> dict[str, Any]: ...


def prefill_lengths(functions: dict[str, Function]) -> dict[int, str]:
    """Function names of the prefill lengths, ascending."""
    found = {int(match[1]): name for name in functions if (match := re.fullmatch(r"prefill_(\d{1,7})", name))}
    return dict(sorted(found.items()))


def ring_of(function: Function) -> int | None:
    """Rows of the states of a function's sliding layers; None where these have one for each position."""
    type = function.inputs.get("ring_rows")
    return None if type is None or not type.shape else type.shape[0]


class Feed:
    """Makes the inputs of a call.

    Args:
        window: positions that a sliding layer looks back.
        rotary: cosines and sines ``[C, head_dim]`` by type of layer, of positions 0 to C - 1.
        mask: what it holds where a token may look, and elsewhere.
        names: where each input comes from.
        ring: rows of the states of a function's sliding layers; None where these have one for each position.
    """

    def __init__(
        self,
        window: int,
        rotary: dict[str, tuple[Floats, Floats]],
        mask: tuple[np.float32, np.float32] = (np.float32(0), MASKED),
        names: Mapping[str, Source] = NAMES,
        ring: Callable[[Function], int | None] = ring_of,
    ) -> None:
        self._window, self.rotary, self._mask, self._names, self._ring = window, rotary, mask, names, ring

    def inputs(self, function: Function, start: int, embeddings: Floats, per_layer: Floats | None) -> dict[str, Any]:
        """Inputs for tokens at ``start...``, padded to the function's length.

        Args:
            embeddings: ``[m, H]``.
            per_layer: ``[m, L, P]``, or None.

        Raises:
            CannotRunError: the function takes something that is not known, or the tokens do not fit it.
        """
        length, context = function.inputs["embeddings"].shape[1], self.context(function)
        if not 0 < len(embeddings) <= length or start + length > context:
            raise CannotRunError(f"{len(embeddings)} tokens at {start} do not fit {function.name}: {length}, {context}")
        positions = np.arange(start, start + length)
        made: dict[Source, Any] = {("position", ""): np.array([start], np.int32)}
        for table, rows in (("embed_tokens", embeddings), ("embed_tokens_per_layer", per_layer)):
            if rows is not None:
                padded = made["table", table] = np.zeros((1, length, *rows.shape[1:]), np.float32)
                padded[0, : len(rows)] = rows
        for kind, (cos, sin) in self.rotary.items():
            made["cosines", kind], made["sines", kind] = cos[positions], sin[positions]
        ring = self._ring(function)
        seen = {FULL: np.arange(context), SLIDING: np.arange(context)}
        if ring is not None:
            seen[SLIDING] = rings.columns(ring, start, length)
            made["ring_rows", SLIDING] = rings.becomes(ring, start, len(embeddings))
        visible, masked = self._mask
        for kind, columns in seen.items():
            hidden = (columns < 0) | (columns > positions[:, None])
            if kind == SLIDING:
                hidden |= columns <= positions[:, None] - self._window
            made["mask", kind] = np.where(hidden, masked, visible)[None, None]
        wanted = {name: self._names.get(name) for name, type in function.inputs.items() if not type.state}
        if unknown := [name for name, source in wanted.items() if source not in made]:
            raise CannotRunError(f"{function.name} takes {unknown[0]!r}, which the judge does not know")
        out = {name: made[source] for name, source in wanted.items() if source is not None}
        for name, array in out.items():
            if array.shape != (shape := function.inputs[name].shape):
                raise CannotRunError(f"{function.name} takes {name} {list(shape)}, it would be fed {list(array.shape)}")
        return out

    @staticmethod
    def context(function: Function) -> int:
        """Positions of the cache, from the masks; that of a layer with a ring does not say it."""
        of = "mask_" if ring_of(function) is None else f"mask_{KINDS[FULL]}"
        found = {type.shape[-1] for name, type in function.inputs.items() if name.startswith(of) and type.shape}
        if len(found) != 1:
            raise CannotRunError(f"{function.name} has masks over {sorted(found)} positions, expected one number")
        return int(found.pop())


class Fed(Protocol):
    """A package with what it takes to feed it: a case, for those that a case is built on."""

    @property
    def package(self) -> MlPackage: ...

    @property
    def decode(self) -> Function: ...

    @property
    def context(self) -> int: ...

    @property
    def large(self) -> bool: ...

    @property
    def feed(self) -> Feed: ...

    @property
    def lengths(self) -> dict[int, str]: ...

    def lookup(self, ids: NDArray[np.int32]) -> tuple[Floats, Floats | None]:
        """Rows of the tables for tokens: ``[T, H]`` and ``[T, L, P]``."""


class Session:
    """A conversation: states, a position, and the calls."""

    def __init__(self, runner: Runner, lengths: dict[int, str], feed: Feed) -> None:
        self.runner, self.feed, self.lengths = runner, feed, lengths
        self.state, self.position = runner.new_state(DECODE), 0

    def prefill(self, embeddings: Floats, per_layer: Floats | None) -> None:
        """One chunk, at most the longest prefill length."""
        name = next((name for length, name in self.lengths.items() if length >= len(embeddings)), None)
        if name is None:
            raise CannotRunError(f"no prefill function takes {len(embeddings)} tokens")
        self._call(name, embeddings, per_layer)

    def decode(self, embeddings: Floats, per_layer: Floats | None) -> NDArray[np.float64]:
        """One token; its logits ``[V]``."""
        return np.asarray(self._call(DECODE, embeddings, per_layer)["logits"], np.float64).reshape(-1)

    def _call(self, name: str, embeddings: Floats, per_layer: Floats | None) -> dict[str, Any]:
        inputs = self.feed.inputs(self.runner.function(name), self.position, embeddings, per_layer)
        out = self.runner.run(name, inputs, self.state)
        self.position += len(embeddings)
        return out
