"""Finds out what the user points at, and describes it as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convert.errors import ArtifactError
from convert.inspection.report import Report
from convert.inspection.weights import Share, histogram
from convert.targets import all_targets


@dataclass(frozen=True)
class CacheLayer:
    """Keys and values of one owning layer; ``read_by`` are the later layers that share them."""

    layer: int
    kind: str
    kv_heads: int
    head_dim: int
    read_by: tuple[int, ...]


@dataclass(frozen=True)
class CheckpointReport:
    """What a checkpoint holds. ``left_out`` counts tensors by the reason why they are not converted."""

    source: str
    revision: str | None
    format: str
    layers: int
    hidden: int
    vocab: int
    window: int
    max_context: int
    cache: tuple[CacheLayer, ...]
    weights: tuple[Share, ...]
    left_out: dict[str, int]


def look(what: str) -> Report | CheckpointReport:
    """Describes a bundle's model, a file or a checkpoint, without reading weights.

    Raises:
        ArtifactError: a file of another kind, or a bundle without its model.
        ConvertError: no such checkpoint.
    """
    path = Path(what)
    for target in all_targets().values():
        if (found := target.inspect(path)) is not None:
            return found
    if path.is_file():
        kinds = ", ".join(kind for target in all_targets().values() for kind in target.kinds)
        found_kind = f"a file of kind {path.suffix!r} was found"
        raise ArtifactError(f"inspect {what}", found_kind, f"Give {kinds} or a folder")
    if (path / "manifest.json").is_file():
        models = [path / target.model for target in all_targets().values() if (path / target.model).exists()]
        if len(models) != 1:
            found_models = f"the bundle has {len(models)} models"
            raise ArtifactError(f"inspect {what}", found_models, "Build the bundle again")
        return look(str(models[0]))
    return _checkpoint(what)


def _checkpoint(what: str) -> CheckpointReport:
    from convert.checkpoint import open_checkpoint

    checkpoint = open_checkpoint(what)
    config, reasons = checkpoint.text.config, list(checkpoint.left_out.values())
    return CheckpointReport(
        source=checkpoint.source.id,
        revision=checkpoint.source.revision,
        format=checkpoint.format,
        layers=len(config.layers),
        hidden=config.hidden,
        vocab=config.vocab,
        window=config.window,
        max_context=config.max_context,
        cache=tuple(
            CacheLayer(
                layer.index,
                layer.kind,
                layer.kv_heads,
                layer.head_dim,
                tuple(other.index for other in config.layers if other.owner == layer.index and not other.owns_kv),
            )
            for layer in config.owners
        ),
        weights=histogram(checkpoint),
        left_out={reason: reasons.count(reason) for reason in sorted(set(reasons))},
    )
