"""The mobile format: packed 2, 4 and 8-bit integers with static activation scales, ``quant_method: "gemma"``.

Layout: transformers 5.22.2, ``integrations/gemma_quant.py``. ``<module>.weight`` is uint8 (packed, offset binary, low
bits first) or int8, with ``weight_scale`` float32 [out, 1] and the scalars ``input_activation_scale`` and
``output_activation_scale``; ``<embedding>.embedding_quantized`` has ``embedding_scale`` float32 [rows, groups];
``self_attn.k_cache_scale`` and ``v_cache_scale`` are scalars.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.checkpoint.fields import Fields
from convert.checkpoint.format import Contents
from convert.checkpoint.ledger import Ledger
from convert.checkpoint.outline import Outline, Part
from convert.checkpoint.patterns import read_rules
from convert.checkpoint.safetensors import Tensor
from convert.checkpoint.types import ActivationScales, CacheScales, FloatTensor
from convert.errors import CheckpointError
from convert.lattice import QuantTensor, flip_offset, packed_width, unpack

METHOD = "gemma"  # ``quant_method`` in config.json
_DAMAGED = "Do not use this checkpoint: download it again"


@dataclass(frozen=True)
class PackedMatrix:
    """A ``QuantTensor`` over the packed bytes and the scales that a checkpoint stores, both by rows."""

    weight: Tensor
    scale: Tensor
    columns: int
    bits: int
    groups: int
    stack: int | None = None

    @property
    def name(self) -> str:
        return self.weight.name

    @property
    def rows(self) -> int:
        return self.weight.rows

    def packed(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Rows as two's complement bytes ``uint8 [stop-start, ceil(columns*bits/8)]``; unused bits are 0."""
        flipped = flip_offset(self.weight.read(start, stop), self.bits)
        used = self.columns * self.bits % 8
        if used:
            flipped[:, -1] &= np.uint8((1 << used) - 1)
        return flipped

    def codes(self, start: int, stop: int) -> NDArray[np.int8]:
        """Rows as codes ``int8 [stop-start, columns]``."""
        return unpack(self.packed(start, stop), self.bits, self.columns)

    def scales(self, start: int, stop: int) -> NDArray[np.float32]:
        """Scales of rows ``float32 [stop-start, groups]``."""
        return self.scale.read(start, stop).view("<f4").astype(np.float32, copy=False)


def read(ledger: Ledger, outline: Outline[Any], settings: Fields | None) -> Contents:
    """Takes a module's tensors; every scale is read and checked, no weight is.

    Raises:
        CheckpointError: settings are refused (``read_rules``), or a tensor is missing, has the wrong shape or dtype, or
            holds a scale that is not finite and positive (activation scales may be 0).
    """
    assert settings is not None, "a mobile checkpoint is chosen by its quantization_config"
    rules = read_rules(settings, bool(outline.ties))
    quants: dict[str, QuantTensor] = {}
    floats: dict[str, FloatTensor] = {}
    activations: dict[str, ActivationScales] = {}
    for part in outline.parts:
        at, bits = outline.name(part.key), None
        if part.kind in ("linear", "embedding"):  # the format's modules; experts are a parameter
            bits = rules.bits(at, part.kind == "embedding")
        if bits is None:
            floats[part.float_key] = ledger.floats(outline, part)
            continue
        quants[part.key] = _matrix(ledger, at, part, bits)
        if part.kind == "linear":
            scales = (_scalar(ledger, f"{at}.{side}_activation_scale") for side in ("input", "output"))
            activations[part.key] = ActivationScales(*scales)
    if not quants:
        raise CheckpointError(ledger.asked, f"{settings.path} quantizes no module", "Use a QAT checkpoint")
    return Contents("integers", quants, floats, activations, _caches(ledger, outline))


def _matrix(ledger: Ledger, at: str, part: Part, bits: int) -> PackedMatrix:
    rows, columns = part.shape
    embedding = part.kind == "embedding"
    weight = ledger.take(
        f"{at}.{'embedding_quantized' if embedding else 'weight'}",
        [(rows, packed_width(columns, bits))],
        ("I8",) if bits == 8 else ("U8",),
        f" for {bits} bits",
    )
    name = f"{at}.{'embedding_scale' if embedding else 'weight_scale'}"
    scale = ledger.take(name, [(rows, part.groups)], ("F32",))
    for first, chunk in scale.chunks():
        values = chunk.view("<f4")
        good = np.isfinite(values) & (values > 0)
        if not good.all():
            row, group = (int(i) for i in np.argwhere(~good)[0])
            found = f"tensor {name} is {values[row, group]} at [{first + row}, {group}]; scales are finite and above 0"
            raise CheckpointError(ledger.asked, found, _DAMAGED)
    return PackedMatrix(weight, scale, columns, bits, part.groups)


def _scalar(ledger: Ledger, name: str, zero: bool = True) -> np.float32:
    value = np.float32(ledger.take(name, [(), (1,)], ("F32",)).read().view("<f4").reshape(-1)[0])
    if not np.isfinite(value) or value < 0 or (value == 0 and not zero):
        bound = "not negative" if zero else "above 0"
        found = f"tensor {name} is {value}; it must be finite and {bound}"
        raise CheckpointError(ledger.asked, found, _DAMAGED)
    return value


def _caches(ledger: Ledger, outline: Outline[Any]) -> dict[int, CacheScales]:
    """Cache scales by layer index."""
    caches = {}
    for layer, part in outline.caches.items():
        names = [outline.name(f"{part.key}.{side}_cache_scale") for side in ("k", "v")]
        if part.needed or any(ledger.has(name) for name in names):
            key, value = (_scalar(ledger, name, zero=False) for name in names)
            caches[layer] = CacheScales(key, value)
    return caches
