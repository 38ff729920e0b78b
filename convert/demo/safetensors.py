"""A safetensors writer that never holds more than one chunk of one tensor.

Format: 8 bytes little-endian length of the header, the header as JSON padded with spaces to a multiple of 8, the data.
Tensors lie in order of falling element size, then name, so that each is aligned to its own elements.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from convert.demo.layout import Tensor

ITEM_BYTES = {"F32": 4, "BF16": 2, "I8": 1, "U8": 1}
Fill = Callable[[Tensor], Iterable[bytes]]


def size(tensor: Tensor) -> int:
    """Bytes of a tensor's data."""
    count = ITEM_BYTES[tensor.dtype]
    for dim in tensor.shape:
        count *= dim
    return count


def write_file(path: Path, tensors: Sequence[Tensor], fill: Fill) -> None:
    """Writes one file.

    Args:
        fill: gives the bytes of a tensor, in pieces.

    Raises:
        ValueError: a tensor's bytes are more or fewer than its shape says.
    """
    ordered = sorted(tensors, key=lambda tensor: (-ITEM_BYTES[tensor.dtype], tensor.name))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in ordered:
        end = offset + size(tensor)
        header[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in ordered:
            written = sum(file.write(piece) for piece in fill(tensor))
            if written != size(tensor):
                raise ValueError(f"{tensor.name}: {written} bytes written, {size(tensor)} promised")


def write(folder: Path, tensors: Sequence[Tensor], fill: Fill, shards: int = 1) -> None:
    """Writes ``model.safetensors``, or that many shards of about equal size and their index."""
    if shards == 1:
        write_file(folder / "model.safetensors", tensors, fill)
        return
    total, groups = sum(map(size, tensors)), [list[Tensor]() for _ in range(shards)]
    done = 0
    for tensor in tensors:
        groups[min(done * shards // total, shards - 1)].append(tensor)
        done += size(tensor)
    names = {}
    for number, group in enumerate(groups, 1):
        file = f"model-{number:05d}-of-{shards:05d}.safetensors"
        write_file(folder / file, group, fill)
        names.update({tensor.name: file for tensor in group})
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(names.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
