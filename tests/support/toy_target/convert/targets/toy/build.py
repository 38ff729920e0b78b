"""Writes a `.toy`: the header, then the bytes of every tensor in the header's order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.checkpoint.types import Checkpoint
from convert.lattice import QuantTensor, packed_width
from convert.targets.toy import MAGIC
from convert.targets.toy.lower import entries, lower

if TYPE_CHECKING:
    from convert.targets.toy import ToyOptions


def matrix_bytes(tensor: QuantTensor) -> tuple[int, int]:
    """Bytes of a matrix's codes and of its scales."""
    return tensor.rows * packed_width(tensor.columns, tensor.bits), tensor.rows * tensor.groups * 4


def build(checkpoint: Checkpoint, options: ToyOptions, out: Path) -> None:
    """The whole file. Codes and scales are the checkpoint's; floats are widened to float32."""
    tensors, at = dict[str, dict[str, Any]](), 0
    for key, tensor in checkpoint.text.quants.items():
        size = matrix_bytes(tensor)
        tensors[key] = {"at": at, "bits": tensor.bits, "groups": tensor.groups, "shape": [tensor.rows, tensor.columns]}
        at += sum(size)
    for key, floats in checkpoint.text.floats.items():
        tensors[key] = {"at": at, "bits": 32, "groups": 0, "shape": list(floats.shape)}
        at += int(np.prod(floats.shape)) * 4
    scales = {key: [float(pair.input), float(pair.output)] for key, pair in checkpoint.text.activations.items()}
    header = {
        "paint": options.paint,
        "context": options.context,
        "functions": [lower(checkpoint, entry) for entry in entries(checkpoint, options.context, options.prefill)],
        "tensors": tensors,
        "activations": scales,
    }
    text = json.dumps(header, sort_keys=True).encode()
    with out.open("wb") as file:
        file.write(MAGIC + len(text).to_bytes(8, "little") + text)
        for tensor in checkpoint.text.quants.values():
            file.write(tensor.packed(0, tensor.rows).tobytes())
            file.write(tensor.scales(0, tensor.rows).astype("<f4").tobytes())
        for floats in checkpoint.text.floats.values():
            file.write(floats.float32().astype("<f4").tobytes())
