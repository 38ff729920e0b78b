"""The toy format as the judge reads it, and as transformers' own loader does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.quantizer_gemma import GemmaQuantizer
from transformers.utils.quantization_config import GemmaQuantizationConfig

from runtime_tests.readers.format import Packed, Storage, Stored
from runtime_tests.readers.formats import mobile

METHOD = "toy"
STATIC_ACTIVATIONS = True
STORAGE: Storage = "integers"
codes = mobile.codes


def packed(folder: Stored) -> dict[str, Packed]:
    """A matrix for each tensor of scales; bits by the first pattern that is found in the module's name."""
    told = folder.config["quantization_config"]

    def bits(key: str) -> int:
        full = key if key == "lm_head" else folder.names_prefix + key
        return next((bits for pattern, bits in told["widths"] if re.search(pattern, full)), told["usual"])

    return {key: replace(found, bits=bits(key)) for key, found in mobile.packed(folder).items()}


@register_quantization_config(METHOD)
class ToyConfig(GemmaQuantizationConfig):
    """What config.json says, as transformers keeps it."""

    def __init__(self, usual: int, widths: Sequence[tuple[str, int]], plain: list[str], **_: Any) -> None:
        super().__init__(usual, True, {pattern: {"num_bits": bits} for pattern, bits in widths}, plain)
        self.quant_method = METHOD


register_quantizer(METHOD)(GemmaQuantizer)
