"""What a checkpoint is to the rest of the converter: modules of lazily read tensors and scales, provenance.

Keys are paths below the module; in the text decoder without ``model.language_model.``: ``layers.0.self_attn.q_proj``,
``embed_tokens``, ``embed_tokens_per_layer``, ``per_layer_model_projection``, ``lm_head``; float tensors keep their last
part: ``layers.0.input_layernorm.weight``, ``layers.0.layer_scalar``, ``norm.weight``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from convert.checkpoint.config import TextConfig
from convert.checkpoint.outline import C
from convert.checkpoint.settings import Settings, read_settings
from convert.lattice import QuantTensor

Stored = Literal["integers", "rounded lattice", "floats"]


class FloatTensor(Protocol):
    """A tensor of floating-point numbers, memory-mapped. Matrices are read by rows."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> str:
        """As stored: ``BF16``, ``F16`` or ``F32``."""
        ...

    def bits16(self, start: int, stop: int) -> NDArray[np.uint16]:
        """Rows ``start:stop`` as bfloat16 bit patterns; only for dtype BF16."""
        ...

    def float32(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Rows ``start:stop`` (all by default) widened exactly to float32."""
        ...


@dataclass(frozen=True)
class ActivationScales:
    """Static int8 scales of a quantized linear: ``x -> clamp(round(x / s), -128, 127) * s``; 0 leaves x alone."""

    input: np.float32
    output: np.float32


@dataclass(frozen=True)
class CacheScales:
    """Scales of the int8 KV cache of one layer."""

    key: np.float32
    value: np.float32


@dataclass(frozen=True)
class Source:
    """Where a checkpoint came from.

    Attributes:
        id: hub id, ``demo`` or the folder's name. Never a path: outputs must not depend on where the input lay.
        revision: commit of the hub repository; None for a folder.
        files: SHA-256 and size in bytes of every input file that was used, by name, sorted.
    """

    id: str
    revision: str | None
    files: Mapping[str, tuple[str, int]]


@dataclass(frozen=True)
class Module(Generic[C]):
    """A module of a checkpoint, for example the text decoder. Tensors are read when their rows are asked for.

    Attributes:
        config: its dimensions.
        stored: ``integers``; ``rounded lattice``: floats that are the grid's points, rounded for storage; or
            ``floats``, which lie on no grid.
        quants: quantized matrices by module path.
        floats: floating-point tensors by name.
        activations: static scales by module path, where the format has them.
        caches: KV cache scales by layer index, where the format has them.
        ties: module paths of matrices that share the weights of another, with that other's path.
        tables: module paths of matrices of which an id takes one row.
        indices: int64 arrays of whole numbers by name, which no format quantizes.
    """

    config: C
    stored: Stored
    quants: Mapping[str, QuantTensor]
    floats: Mapping[str, FloatTensor]
    activations: Mapping[str, ActivationScales]
    caches: Mapping[int, CacheScales]
    ties: Mapping[str, str]
    tables: frozenset[str]
    indices: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def static_activations(self) -> bool:
        """Whether the model was trained with activation scales of its own."""
        return bool(self.activations)

    def stored_key(self, key: str) -> str:
        """The module path under which the weights of a matrix are stored."""
        return self.ties.get(key, key)


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint. Opening reads headers and scales only.

    Attributes:
        format: name of the format.
        folder: where its files lie.
        modules: by name: see ``convert.checkpoint.module``.
        left_out: tensors that are recognized but not converted, with the reason (vision, audio).
        drafter: the checkpoint of the drafter that goes along, whose module is among ``modules`` too; None: there is
            none.
    """

    format: str
    folder: Path
    modules: Mapping[str, Module[Any]]
    left_out: Mapping[str, str]
    source: Source
    drafter: Checkpoint | None = None

    @property
    def text(self) -> Module[TextConfig]:
        """The text decoder, which every checkpoint has."""
        return self.modules["text"]

    @cached_property
    def settings(self) -> Settings:
        """Stops, sampler, control tokens. The tokenizer is parsed for them, which not everyone needs.

        Raises:
            CheckpointError: see ``read_settings``.
        """
        return read_settings(self.folder)
