"""Writes the models and what a runtime reads beside them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

from convert import __version__
from convert.checkpoint.module import kinds
from convert.checkpoint.types import Checkpoint
from convert.choices import idle
from convert.progress import Progress
from convert.targets.onnx.decoder import decoder, embedding
from convert.targets.onnx.names import EMBEDDING, TEXT, VISION
from convert.targets.onnx.options import OnnxOptions
from convert.targets.onnx.vision import vision
from convert.targets.onnx.whole import whole


def build(checkpoint: Checkpoint, options: OnnxOptions, out: Path, progress: Progress) -> None:
    """See ``convert.targets.onnx.convert``."""
    with progress.stage("lower the decoder"):
        made = {
            out: decoder(checkpoint, f"{out.name}.data"),
            out.with_name(EMBEDDING): embedding(checkpoint, f"{EMBEDDING}.data"),
        }
        if "vision" in checkpoint.modules:
            tower = vision(checkpoint.modules["vision"], int(options.image_tokens), f"{VISION}.data")
            made[out.with_name(VISION)] = tower
    with progress.stage("write weights", sum(graph.bytes for graph in made.values())) as stage:
        for graph in made.values():
            graph.metadata |= metadata(checkpoint, options)
        decoding, embedding_rows, *_ = [graph.write(path, stage.advance) for path, graph in made.items()]
    out.with_name(TEXT).write_bytes(whole(embedding_rows, decoding).SerializeToString(deterministic=True))


def metadata(checkpoint: Checkpoint, options: OnnxOptions) -> dict[str, str]:
    """What the models say of their origin: nothing that depends on where or when they were made."""
    source = checkpoint.source
    files = {name: digest for name, (digest, _) in sorted(source.files.items())}
    chosen = dataclasses.asdict(options)
    for name in idle(OnnxOptions, [kinds()[name].modality for name in checkpoint.modules]):
        del chosen[name]
    parts = {"files": files, "format": checkpoint.format, "options": chosen}
    return {
        "gemma_bridge.version": __version__,
        "gemma_bridge.source.id": source.id,
        "gemma_bridge.source.revision": source.revision or "",
        "gemma_bridge.source.format": checkpoint.format,
        "gemma_bridge.inputs.sha256": hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest(),
        "gemma_bridge.context": str(options.context),
    }
