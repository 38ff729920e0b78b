"""Measures static activation scales: the model runs with float activations and the largest magnitudes are kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.checkpoints import corpus, values
from tests.support.checkpoints.shapes import Shape

# Linears that are fed by one quantized tensor have one input scale.
SHARED_INPUT = {"k_proj": "q_proj", "v_proj": "q_proj", "up_proj": "gate_proj"}
_BATCH, _LENGTH = 6, 96
_MANTISSA_STEPS = 16


@dataclass(frozen=True)
class Scales:
    """Scales by module path: of linears' inputs and outputs, and of the cached keys and values (a pair).

    Attributes:
        margin: smallest relative distance of a measured magnitude from where its rounding changes. Another machine's
            sums differ by a few parts in a million; far below the margin, its scales are the same to the last bit.
    """

    inputs: Mapping[str, np.float32]
    outputs: Mapping[str, np.float32]
    caches: Mapping[str, tuple[np.float32, np.float32]]
    margin: float

    def of(self, part: str, key: str) -> np.float32:
        """The scale of a tensor's part; 0, which means "not quantized", where none was measured."""
        if part in ("key_cache", "value_cache"):
            return self.caches.get(key, (np.float32(0), np.float32(0)))[part == "value_cache"]
        return (self.inputs if part == "input" else self.outputs).get(key, np.float32(0))


def to_scale(largest: float, name: str, seed: int) -> np.float32:
    """Step of an int8 grid that holds ``largest``.

    The magnitude is first rounded up to 4 significant bits, so that another machine's last float bit seldom changes
    the file (see ``Scales.margin``). A seeded factor of at most 5 % then restores an arbitrary mantissa: real scales
    are no short numbers, and a division by one would be exact where it must not be.
    """
    mantissa, exponent = math.frexp(largest)
    rounded = math.ldexp(math.ceil(mantissa * _MANTISSA_STEPS) / _MANTISSA_STEPS, exponent)
    return np.float32(rounded * (1 + 0.05 * values.stream(seed, name).random()) / 127)


def rounding_margin(largest: float) -> float:
    """Relative distance of a magnitude from the nearest one at which ``to_scale`` changes its mind."""
    mantissa = math.frexp(largest)[0] * _MANTISSA_STEPS
    return abs(mantissa - round(mantissa)) / mantissa


def measure(folder: Path, shape: Shape, seed: int) -> Scales:
    """Runs transformers over random tokens and text on a checkpoint whose activation scales are zero."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.integrations.gemma_quant import QuantizedLinear

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        largest: dict[tuple[str, str], float] = {}
        for name, module in model.named_modules():
            if isinstance(module, QuantizedLinear) and name != "lm_head":
                module.register_forward_hook(_Recorder(name.split("language_model.")[-1], largest))
        caches: dict[str, tuple[float, float]] = {}
        with torch.inference_mode():
            for batch in _batches(folder, shape, seed):
                # The head has no scales, and all logits of a real vocabulary are more than half a gigabyte.
                cache = model(input_ids=torch.from_numpy(batch), use_cache=True, logits_to_keep=1).past_key_values
                _record_caches(cache, shape, caches)
    finally:
        torch.set_num_threads(threads)
    pairs = {
        key: (to_scale(k, key + ".k_cache_scale", seed), to_scale(v, key + ".v_cache_scale", seed))
        for key, (k, v) in caches.items()
    }
    for i in range(shape.layers):
        pairs[f"layers.{i}.self_attn"] = pairs[f"layers.{shape.owner(i)}.self_attn"]
    keys = sorted({key for key, _ in largest})
    magnitudes = [*largest.values(), *(value for pair in caches.values() for value in pair)]
    return Scales(
        {key: to_scale(largest[_input_of(key), "input"], _input_of(key) + ".input", seed) for key in keys},
        {key: to_scale(largest[key, "output"], key + ".output", seed) for key in keys},
        pairs,
        min(map(rounding_margin, magnitudes)),
    )


def _input_of(key: str) -> str:
    parent, _, leaf = key.rpartition(".")
    return f"{parent}.{SHARED_INPUT.get(leaf, leaf)}"


def _batches(folder: Path, shape: Shape, seed: int) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    from tokenizers import Tokenizer

    length = min(_LENGTH, shape.max_context)
    random = values.stream(seed, "calibration").integers(0, shape.vocab, (_BATCH, length))
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(" ".join(corpus.sentences())).ids
    text = np.resize(np.array(ids, np.int64), (_BATCH, length))
    random[:, 0] = text[:, 0] = 2
    return [random.astype(np.int64), text]


class _Recorder:
    """Forward hook that keeps the largest magnitude seen at a linear's input and output."""

    def __init__(self, key: str, largest: dict[tuple[str, str], float]) -> None:
        self.key, self.largest = key, largest

    def __call__(self, module: Any, arguments: Any, output: Any) -> None:
        for part, tensor in (("input", arguments[0]), ("output", output)):
            self.largest[self.key, part] = max(self.largest.get((self.key, part), 0.0), tensor.abs().max().item())


def _record_caches(cache: Any, shape: Shape, caches: dict[str, tuple[float, float]]) -> None:
    """Keeps the largest key (after rotation) and value of each owner; sliding layers show their last window."""
    for i in range(shape.layers):
        if shape.owns_kv(i):
            key, old = f"layers.{i}.self_attn", caches.get(f"layers.{i}.self_attn", (0.0, 0.0))
            layer = cache.layers[i]
            caches[key] = (max(old[0], layer.keys.abs().max().item()), max(old[1], layer.values.abs().max().item()))
