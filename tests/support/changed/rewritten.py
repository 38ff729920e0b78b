"""Checkpoints whose stored tensors are changed."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

Tensors = dict[str, tuple[str, list[int], bytes]]


def rewrite(file: Path, change: Callable[[Tensors], object]) -> None:
    """Reads a safetensors file, lets the tensors be changed, and writes it again without holes."""
    raw = file.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    header, data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    metadata = header.pop("__metadata__", None)
    tensors = {
        name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])]) for name, entry in header.items()
    }
    change(tensors)
    fresh, body = ({} if metadata is None else {"__metadata__": metadata}), b""
    for name, (dtype, shape, content) in tensors.items():
        fresh[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(content)]}
        body += content
    text = json.dumps(fresh).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(struct.pack("<Q", len(text)) + text + body)
