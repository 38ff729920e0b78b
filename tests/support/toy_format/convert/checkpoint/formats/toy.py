"""The toy format: the mobile format's tensors, whose bits config.json tells in another way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from convert.checkpoint.fields import Fields
from convert.checkpoint.format import Contents
from convert.checkpoint.formats import mobile
from convert.checkpoint.ledger import Ledger
from convert.checkpoint.outline import Outline

METHOD = "toy"


def read(ledger: Ledger, outline: Outline[Any], settings: Fields | None) -> Contents:
    """Takes a module's tensors."""
    assert settings is not None
    told = settings.values
    meant = {
        "quant_method": mobile.METHOD,
        "num_bits": told["usual"],
        "quantize_embeddings": True,
        "module_quant_configs": {pattern: {"num_bits": bits} for pattern, bits in told["widths"]},
        "modules_to_not_convert": told["plain"],
    }
    return mobile.read(ledger, outline, replace(settings, values=meant))
