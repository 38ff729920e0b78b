"""Runs a `.toy` with numpy, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.readers.toy import Toy
from runtime_tests.reference.model import Ids

Array = NDArray[Any]
HIDDEN = np.float32(-1e9)
Step = dict[str, Any]


def rounded(x: Array, scale: float) -> Array:
    """Static int8 quantization; scale 0: x itself."""
    step = np.float32(scale)
    return x if not scale else (np.clip(np.rint(x / step), -128, 127) * step).astype(np.float32)


def _gelu(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(np.float32((2 / pi) ** 0.5) * (x + np.float32(0.044715) * x * x * x)))


def _softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _slice(step: Step, x: Array) -> Array:
    return x[tuple(slice(a, a + n) for a, n in zip(step["begin"], step["shape"], strict=True))]


def _write(step: Step, cache: Array, rows: Array, position: Array) -> Array:
    out, start = np.moveaxis(cache.copy(), step["axis"], 0), int(position)
    new = np.moveaxis(rows, step["axis"], 0)[: len(out) - start]
    out[start : start + len(new)] = new
    return np.moveaxis(out, 0, step["axis"])


STEPS: Mapping[str, Callable[..., Array]] = {
    "add": lambda step, a, b: a + b,
    "cast": lambda step, x: x,
    "concatenate": lambda step, *parts: np.concatenate(parts, axis=step["axis"]),
    "constant": lambda step: np.array(step["values"]),
    "cos": lambda step, x: np.cos(x),
    "divide": lambda step, a, b: a / b,
    "gelu": lambda step, x: _gelu(x),
    "less": lambda step, a, b: a < b,
    "mean": lambda step, x: x.mean(axis=step["axis"], keepdims=step["keepdim"]),
    "multiply": lambda step, a, b: a * b,
    "product": lambda step, a, b: a @ b.swapaxes(-1, -2),
    "reshape": lambda step, x: x.reshape(step["shape"]),
    "rsqrt": lambda step, x: 1 / np.sqrt(x),
    "sin": lambda step, x: np.sin(x),
    "slice": _slice,
    "softmax": lambda step, x: _softmax(x),
    "subtract": lambda step, a, b: a - b,
    "tanh": lambda step, x: np.tanh(x),
    "transpose": lambda step, x: x.transpose(step["order"]),
    "write": _write,
}


class Runtime:
    """The functions of one file."""

    def __init__(self, toy: Toy) -> None:
        self.toy = toy

    def run(
        self, name: str, inputs: Mapping[str, Array], given: Mapping[str, Array] | None = None
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Outputs of a function, and what it made of every value that is given to the steps behind it instead.

        Args:
            given: values by their marks.
        """
        function, values, made = self.toy.functions[name], dict(inputs), dict[str, Array]()
        marks = {function["marks"][mark]: mark for mark in given or () if mark in function["marks"]}
        for step in function["steps"]:
            operands = [values[operand] for operand in step["in"]]
            found = self._run(step, operands).astype(step["dtype"], copy=False)
            if given is not None and step["out"] in marks:
                mark = marks[step["out"]]
                made[mark], found = found, given[mark]
            values[step["out"]] = found
        return {output["name"]: values[output["value"]] for output in function["outputs"]}, made

    def _run(self, step: Step, operands: list[Array]) -> Array:
        if step["op"] == "linear":
            before, after = self.toy.activations.get(step["key"], (0, 0))
            return rounded(rounded(operands[0], before) @ self.toy.matrix(step["key"]).T, after)
        if step["op"] == "scale":
            return operands[0] * self.toy.floats(step["key"])
        return STEPS[step["op"]](step, *operands)


class Session:
    """A conversation: caches and a position."""

    def __init__(self, runtime: Runtime, hidden: int, per_layer: int) -> None:
        self.runtime, self.position = runtime, 0
        self._widths = (
            ("embeddings", "embed_tokens", hidden),
            ("per_layer_embeddings", "embed_tokens_per_layer", per_layer),
        )
        inputs = runtime.toy.functions["decode"]["inputs"]
        self._caches = {t["name"]: np.zeros(t["shape"], np.float32) for t in inputs if t["name"].startswith("kv_")}
        self._longest = max((one["length"], name) for name, one in runtime.toy.functions.items() if name != "decode")

    def prefill(self, ids: Ids) -> None:
        """The whole of a prompt but its last token: the longest function as often as it is filled, then single ones."""
        length, name = self._longest
        while len(ids) >= length:
            self.call(name, ids[:length])
            ids = ids[length:]
        for token in ids:
            self.decode(int(token))

    def decode(self, token: int) -> Array:
        """Logits ``[V]`` after one token."""
        return self.call("decode", np.array([token]))[0]["logits"].reshape(-1)

    def call(
        self, name: str, ids: Ids, given: Mapping[str, Array] | None = None
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Runs a function at the position; see :meth:`Runtime.run`."""
        positions = np.arange(self.position, self.position + len(ids), dtype=np.int32)
        columns = np.arange(self.runtime.toy.context)
        inputs = {
            "position": positions,
            "mask": np.where(columns > positions[:, None], HIDDEN, np.float32(0))[None, None],
        }
        for tensor in self.runtime.toy.functions[name]["inputs"]:
            for wanted, table, width in self._widths:
                if tensor["name"] == wanted:
                    rows = self.runtime.toy.matrix(table)[ids] * np.float32(width**0.5)
                    inputs[wanted] = rows.reshape(tensor["shape"])
        outputs, made = self.runtime.run(name, {**inputs, **self._caches}, given)
        self._caches |= {key: value for key, value in outputs.items() if key in self._caches}
        self.position += len(ids)
        return outputs, made
