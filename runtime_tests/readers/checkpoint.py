"""The checkpoint as the judge reads it: names and shapes from the safetensors library, integers unpacked by the judge.

Keys are paths below the module that is read (``modules``): of the text decoder ``layers.0.self_attn.q_proj``,
``embed_tokens``, ``lm_head``. What differs from format to format, ``readers/formats`` says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import InputError
from runtime_tests.readers.bits import bfloat16
from runtime_tests.readers.dimensions import Dimensions, dimensions, read_config
from runtime_tests.readers.format import Packed, find_format
from runtime_tests.readers.module import known, module_of
from runtime_tests.readers.objects import read_object

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_LARGEST_INDEX = 64 << 20  # bytes
_SETTINGS = ("generation_config.json", "tokenizer_config.json")
_ADAPTERS = ("adapter_config.json", "adapter_model.safetensors")
_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
)
_EVALUATION = ("evaluation.jsonl", "accuracy.json")  # they shape rung 4 and so the report


class Folder:
    """A checkpoint folder and the tensors of one of its modules, opened lazily.

    Attributes:
        format: what the checkpoint's format is called, for reports; what follows from it is asked of the next two.
        static_activations, storage: see ``Format``.

    Raises:
        InputError: config.json or the weights are missing or damaged.
    """

    def __init__(self, path: Path, module: str = "text") -> None:
        self.path, self._name, self._module = path, module, known()[module]
        self.config = read_object(path / "config.json")
        for name in _SETTINGS:  # transformers, which reads them, takes a key twice and files of any size
            self.optional_json(name)
        self.format, self._format = find_format(self.config, f"{path.name}/config.json")
        self.static_activations, self.storage = self._format.STATIC_ACTIVATIONS, self._format.STORAGE
        self._open()

    def _open(self) -> None:
        from safetensors import SafetensorError, safe_open

        for name in _ADAPTERS:  # transformers would put it on top of the weights
            if (self.path / name).exists():
                raise InputError(f"{self.path.name}: {name} is an adapter that is not merged into the weights")
        names = self._weight_files()
        self.weights = names
        self._stack, self._where = ExitStack(), {}
        for name in names:
            try:
                file = self._stack.enter_context(safe_open(self.path / name, framework="pt"))
            except (SafetensorError, OSError) as error:
                raise InputError(f"{self.path.name}/{name}: {error}") from error
            self._where.update(dict.fromkeys(file.keys(), file))

    def _weight_files(self) -> list[str]:
        """The files that transformers loads: the one, or those of the index."""
        if (self.path / _SINGLE).is_file():
            return [_SINGLE]
        if not (self.path / _INDEX).is_file():
            raise InputError(f"{self.path.name}: neither {_SINGLE} nor {_INDEX}")
        shards = set(dict(read_object(self.path / _INDEX, _LARGEST_INDEX).get("weight_map") or {}).values())
        if not shards or any(not isinstance(name, str) or Path(name).name != name for name in shards):
            raise InputError(f"{self.path.name}/{_INDEX}: no weight_map of plain file names")
        return sorted(shards)

    @cached_property
    def transformers(self) -> Any:
        """The configuration as transformers' object; the one source of what config.json means.

        Raises:
            InputError: transformers refuses it.
        """
        return read_config(self.path)

    @cached_property
    def dims(self) -> Dimensions:
        """The text decoder's sizes."""
        return dimensions(self.transformers)

    def optional_json(self, name: str) -> dict[str, Any]:
        """A JSON file of the folder, or an empty dictionary when there is none."""
        return read_object(self.path / name) if (self.path / name).exists() else {}

    def hashes(self) -> dict[str, str]:
        """SHA-256 of every file that the judge reads, by name."""
        out = {}
        for name in sorted({*_FILES, *_EVALUATION, *self.weights}):
            if (self.path / name).exists():
                with (self.path / name).open("rb") as file:
                    out[name] = hashlib.file_digest(file, "sha256").hexdigest()
        return out

    @cached_property
    def names(self) -> dict[str, str]:
        """Stored names of the module's tensors by their keys.

        A head that is tied to the embedding is left out where it is stored once more: transformers uses the embedding.
        """
        out: dict[str, str] = {}
        for name in sorted(self._where):
            whose, bare = module_of(name)
            key = self._module.key(bare, self._nested) if whose == self._name else None
            if key is None:
                continue
            if key in out:
                raise InputError(f"{self.path.name}: tensors {out[key]} and {name} are both {key}")
            out[key] = name
        if out.get("lm_head.weight") and self.dims.tied:
            self._check_tied(out["lm_head.weight"], out.get("embed_tokens.weight", ""))
            del out["lm_head.weight"]
        return out

    @property
    def _nested(self) -> bool:
        return "text_config" in self.config

    def _check_tied(self, head: str, table: str) -> None:
        """transformers unties a stored head that is not the embedding, so nothing but equality will do."""
        import torch

        if table not in self._where:
            raise InputError(f"{self.path.name}: {head} is tied to an embedding that is not there")
        mine, theirs = self._where[head].get_slice(head), self._where[table].get_slice(table)
        same = (mine.get_dtype(), mine.get_shape()) == (theirs.get_dtype(), theirs.get_shape())
        if not same or not all(
            torch.equal(mine[start:stop].view(torch.uint8), theirs[start:stop].view(torch.uint8))
            for start, stop in self.blocks(*mine.get_shape())
        ):
            raise InputError(f"{self.path.name}: config.json ties the head to the embedding, and {head} is another one")

    @cached_property
    def packed(self) -> dict[str, Packed]:
        """Quantized matrices by module path; empty where floats are stored."""
        return self._format.packed(self)

    @cached_property
    def floats(self) -> list[str]:
        """Keys of the floating-point tensors that the module uses; scales are not among them."""
        quantized = {name for packed in self.packed.values() for name in packed.names}
        scales = ("activation_scale", "_cache_scale")
        return [
            key
            for key in self.names
            if key not in quantized and not key.endswith(scales) and not self._module.unused(key, self.dims)
        ]

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape as stored."""
        return tuple(self._slice(key).get_shape())

    def scalar(self, key: str) -> np.float32 | None:
        """A stored float32 scalar, or None when there is none of that name."""
        if key not in self.names:
            return None
        return np.float32(self._where[self.names[key]].get_tensor(self.names[key]).float().item())

    def codes(self, packed: Packed, start: int, stop: int, columns: int) -> NDArray[np.int8]:
        """Codes of rows ``start:stop``, ``int8 [rows, columns]``."""
        return self._format.codes(self, packed, start, stop, columns)

    def stored(self, key: str, start: int, stop: int) -> NDArray[Any]:
        """Rows of a tensor as they are stored, a view of the file: bytes of packed codes, bfloat16 as bit patterns."""
        import torch

        block = self._slice(key)[start:stop]
        if block.dtype == torch.bfloat16:
            return np.asarray(block.view(torch.int16).numpy().view(np.uint16))
        return np.asarray(block.numpy())

    def scales(self, packed: Packed, start: int, stop: int) -> NDArray[np.float32]:
        """Scales of rows ``start:stop``, ``float32 [rows, groups]``."""
        return np.asarray(self._slice(packed.names[1])[start:stop].float().numpy(), np.float32)

    def values(self, key: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """A floating-point tensor, or its rows ``start:stop``, widened exactly to float32."""
        import torch

        found = self._slice(key)
        if not found.get_shape():
            return np.asarray(self._where[self.names[key]].get_tensor(self.names[key]).float().numpy())
        block = found[start : found.get_shape()[0] if stop is None else stop]
        if block.dtype == torch.bfloat16:
            return bfloat16(block.contiguous().view(torch.int16).numpy().view(np.uint16))
        return np.asarray(block.float().numpy(), np.float32)

    def _slice(self, key: str) -> Any:
        name = self.names[key]
        return self._where[name].get_slice(name)

    @cached_property
    def names_prefix(self) -> str:
        """What the names of the module's parts begin with in transformers."""
        return self._module.prefix(self._nested)

    def blocks(self, rows: int, columns: int) -> Iterator[tuple[int, int]]:
        """Row ranges of some two million elements each: no table has to fit in memory, and a range fits in a cache."""
        yield from pieces(rows, columns, 2_000_000)


def pieces(rows: int, columns: int, at_once: int) -> Iterator[tuple[int, int]]:
    """Row ranges that hold so many elements each, or a single row."""
    step = max(1, at_once // max(1, columns))
    for start in range(0, rows, step):
        yield start, min(rows, start + step)


def open_checkpoint(path: Path, module: str = "text") -> Folder:
    """Opens a checkpoint folder for the tensors of one of its modules.

    Raises:
        InputError: it is none.
    """
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; --checkpoint wants the folder that was converted")
    return Folder(path, module)
