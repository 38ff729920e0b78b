"""What a localization finds: which block of an artifact is wrong by itself. A target's ``locate`` says where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Block = Literal["embedding", "per-layer input", "attention", "kv", "mlp", "layer scalar", "head"]


@dataclass(frozen=True)
class Place:
    """A departure.

    Attributes:
        layer: None before and after the layers.
        stage: the tensor that departs first.
        signature: where it is worst.
        before_db, after_db: SNR at the place before it (200: given exactly) and at it.
    """

    layer: int | None
    block: Block
    stage: str
    fault: str
    signature: str
    before_db: float
    after_db: float


@dataclass(frozen=True)
class Located:
    """The outcome.

    Attributes:
        places: departures in order of execution, one for each layer and block; empty when no block is wrong by itself.
        compared: names of everything that was compared.
        forced_db, free_db: SNR by kind of boundary and layer, on given inputs and when the artifact runs by itself.
    """

    places: tuple[Place, ...]
    compared: frozenset[str]
    forced_db: dict[str, dict[int, float]]
    free_db: dict[str, dict[int, float]]
