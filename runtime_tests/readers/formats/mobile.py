"""The mobile format: packed integers with static activation scales. Layout: transformers ``gemma_quant.py``."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from runtime_tests.readers.bits import offset_binary
from runtime_tests.readers.format import Packed, Storage, Stored

METHOD = "gemma"
STATIC_ACTIVATIONS = True
STORAGE: Storage = "integers"
_SUFFIXES = ((".weight_scale", ".weight"), (".embedding_scale", ".embedding_quantized"))


def packed(folder: Stored) -> dict[str, Packed]:
    """A matrix for each tensor of scales."""
    out = {}
    for key in folder.names:
        for suffix, codes in _SUFFIXES:
            if key.endswith(suffix):
                module = key.removesuffix(suffix)
                rows, groups = folder.shape(key)
                out[module] = Packed(module, _bits(folder, module), rows, groups, (module + codes, key))
    return out


def codes(folder: Stored, packed: Packed, start: int, stop: int, columns: int) -> NDArray[np.int8]:
    """See ``Format.codes``."""
    return offset_binary(folder.stored(packed.names[0], start, stop).view(np.uint8), packed.bits, columns)


def _bits(folder: Stored, module: str) -> int:
    """Bits of a module from ``quantization_config``, the way transformers finds them: first match wins."""
    settings = folder.config["quantization_config"]
    default = settings.get("num_bits", 4)  # as GemmaQuantizationConfig
    full = module if module == "lm_head" else folder.names_prefix + module
    for pattern, override in (settings.get("module_quant_configs") or {}).items():
        if re.search(pattern, full):
            return int(override.get("num_bits", default))
    return int(default)
