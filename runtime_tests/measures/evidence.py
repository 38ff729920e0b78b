"""What the rungs saw beyond their figures: the curves that the report draws, in compact form.

A rung hands its part back beside its checks; nothing here is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from runtime_tests.measures import metrics
from runtime_tests.measures.accuracy import Accuracy

SCATTERED = 5  # logits of each step in the scatter, beside that of the reference's best token


@dataclass(frozen=True)
class Steps:
    """The forced decode steps of rung 2b, one entry a step.

    Attributes:
        first: position of the first step.
        kl: nats, artifact against reference.
        margin: the reference's best logit before its second.
        tie: margins up to this are near-ties: twice the noise floor's deviation.
        same: whether both prefer the same token.
        reference, artifact: a seeded sample of logits ``[N]``; every step gives its best token's and a few more.
    """

    first: int
    kl: NDArray[np.float64]
    margin: NDArray[np.float64]
    tie: NDArray[np.float64]
    same: NDArray[np.bool_]
    reference: NDArray[np.float32]
    artifact: NDArray[np.float32]


@dataclass(frozen=True)
class Adaptation:
    """What the file's chat template is beside the checkpoint's own.

    Attributes:
        added, removed: lines.
        diff: a unified diff from the checkpoint's to the file's, line by line; empty when they are equal.
    """

    added: int
    removed: int
    diff: tuple[str, ...]


@dataclass(frozen=True)
class Share:
    """Tensors of one component with weights of the same width.

    Attributes:
        bits: of a weight; 16 and 32 are floats, 0 is no weight.
        weight_bytes, scale_bytes: packed weights; their scales and offsets.
    """

    component: str
    bits: int
    tensors: int
    weight_bytes: int
    scale_bytes: int


@dataclass(frozen=True)
class Evidence:
    """What one rung saw, or several together.

    Attributes:
        blocks: rung 2a: by kind of boundary and layer, the SNR in dB of the worst signature.
        steps: rung 2b.
        template: rung 3.
        accuracy: rung 4.
    """

    blocks: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    steps: Steps | None = None
    template: Adaptation | None = None
    accuracy: Accuracy | None = None


def together(parts: Iterable[Evidence]) -> Evidence:
    """The evidence of all rungs; of what two of them have, the later one's."""
    out = Evidence()
    for part in parts:
        out = replace(out, **{name: found for name, found in vars(part).items() if found})
    return out


def worst_by_layer(qualities: Iterable[tuple[str, float]]) -> dict[str, dict[int, float]]:
    """The worst SNR of each boundary such as ``layers.3/mlp``, by kind and layer; other names are left out."""
    out: dict[str, dict[int, float]] = {}
    for boundary, quality in qualities:
        layer, _, kind = boundary.removeprefix("layers.").partition("/")
        if boundary.startswith("layers.") and layer.isdecimal():
            known = out.setdefault(kind, {})
            known[int(layer)] = min(quality, known.get(int(layer), metrics.CAP_DB))
    return out


def steps(
    first: int, reference: NDArray[np.float32], found: NDArray[np.float32], deviation: NDArray[np.float64]
) -> Steps:
    """Curves of the decode steps from the logits of both sides ``[K, V]`` and the floor's deviation ``[K]``."""
    generator = np.random.default_rng(64)
    best = reference.argmax(axis=-1)[:, None]
    picked = np.concatenate([best, generator.integers(0, reference.shape[1], (len(reference), SCATTERED))], axis=1)
    return Steps(
        first,
        np.maximum(metrics.kl(reference, found), 0.0),
        metrics.margins(reference),
        2.0 * deviation,
        metrics.top1(reference, found),
        np.take_along_axis(reference, picked, axis=1).ravel(),
        np.take_along_axis(found, picked, axis=1).ravel(),
    )
