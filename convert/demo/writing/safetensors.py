"""A safetensors writer that never holds more than one chunk of one tensor.

Format: 8 bytes little-endian length of the header, the header as JSON padded with spaces to a multiple of 8, the data.
Tensors lie in order of falling element size, then name, so that each is aligned to its own elements. Published mobile
files are of another writer: signed before unsigned bytes, and no metadata.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from convert.demo.writing.stored import Tensor

ITEM_BYTES = {"I64": 8, "F32": 4, "BF16": 2, "I8": 1, "U8": 1}
Fill = Callable[[Tensor], Iterable[bytes]]


def size(tensor: Tensor) -> int:
    """Bytes of a tensor's data."""
    count = ITEM_BYTES[tensor.dtype]
    for dim in tensor.shape:
        count *= dim
    return count


def header(tensors: Sequence[Tensor], published: bool = False) -> tuple[bytes, list[Tensor]]:
    """The header's bytes, padded, and the tensors in the order of their data.

    Args:
        published: in the order of published mobile files, and without metadata.
    """
    ordered = sorted(
        tensors, key=lambda tensor: (-ITEM_BYTES[tensor.dtype], tensor.dtype if published else "", tensor.name)
    )
    entries: dict[str, object] = {} if published else {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in ordered:
        end = offset + size(tensor)
        entries[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8), ordered


def write_file(path: Path, tensors: Sequence[Tensor], fill: Fill, published: bool = False) -> None:
    """Writes one file.

    Args:
        fill: gives the bytes of a tensor, in pieces.
        published: see ``header``.

    Raises:
        ValueError: a tensor's bytes are more or fewer than its shape says.
    """
    text, ordered = header(tensors, published)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in ordered:
            written = sum(file.write(piece) for piece in fill(tensor))
            if written != size(tensor):
                raise ValueError(f"{tensor.name}: {written} bytes written, {size(tensor)} promised")


def write(folder: Path, tensors: Sequence[Tensor], fill: Fill, shards: int = 1, published: bool = False) -> None:
    """Writes ``model.safetensors``, or that many shards of about equal size and their index; none of them is empty."""
    if shards == 1:
        write_file(folder / "model.safetensors", tensors, fill, published)
        return
    total, groups = sum(map(size, tensors)), [list[Tensor]() for _ in range(shards)]
    done = 0
    for tensor in tensors:
        groups[min(done * shards // total, shards - 1)].append(tensor)
        done += size(tensor)
    names = {}
    groups = [group for group in groups if group]  # a table may be larger than a shard
    for number, group in enumerate(groups, 1):
        file = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        write_file(folder / file, group, fill, published)
        names.update({tensor.name: file for tensor in group})
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(names.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
