"""Puts program, description and weights together into a package."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from convert import __version__
from convert.checkpoint.types import Checkpoint
from convert.progress import Progress
from convert.targets.coreml import package
from convert.targets.coreml.decoder import parts
from convert.targets.coreml.options import CoremlOptions
from convert.targets.coreml.package import VISION
from convert.targets.coreml.vision import vision


def build(checkpoint: Checkpoint, options: CoremlOptions, outs: Callable[[int], Path], progress: Progress) -> None:
    """See ``convert.targets.coreml.convert``; ``outs`` gives the folder of each part, counted from 1."""
    with progress.stage("lower the decoder"):
        made = parts(checkpoint, options)
    with progress.stage("write weights", sum(program.storage.size for program, _ in made)) as stage:
        for part, (program, entries) in enumerate(made, 1):
            which = "" if len(made) == 1 else f" Part {part} of {len(made)}."
            about_it = metadata(checkpoint, options)
            about_it |= {"gemma_bridge.part": str(part), "gemma_bridge.parts": str(len(made))}
            package.write(outs(part), program, entries, about(checkpoint, options) + which, about_it, stage.advance)
    if "vision" in checkpoint.modules:
        _write_vision(checkpoint, options, outs(1).with_name(VISION), progress)


def _write_vision(checkpoint: Checkpoint, options: CoremlOptions, out: Path, progress: Progress) -> None:
    module = checkpoint.modules["vision"]
    with progress.stage("lower the vision encoder"):
        program, entries = vision(module, options)
    config, kind = module.config, f"{checkpoint.format} weights, {options.precision}"
    size = f"{config.layers} layers, hidden size {config.hidden}, up to {options.image_rows[-1]} rows of an image"
    with progress.stage("write the vision encoder's weights", program.storage.size) as stage:
        told = f"Gemma 4 vision encoder ({size}); {kind}."
        package.write(out, program, entries, told, metadata(checkpoint, options), stage.advance)


def about(checkpoint: Checkpoint, options: CoremlOptions) -> str:
    """The model in a sentence."""
    config = checkpoint.text.config
    size = f"{len(config.layers)} layers, hidden size {config.hidden}, vocabulary {config.vocab}"
    kind = f"{checkpoint.format} weights, {options.precision}, {options.positions} positions"
    return f"Gemma 4 text decoder ({size}); {kind}."


def metadata(checkpoint: Checkpoint, options: CoremlOptions) -> dict[str, str]:
    """What the package says of its origin: nothing that depends on where or when it was made."""
    source = checkpoint.source
    files = {name: digest for name, (digest, _) in sorted(source.files.items())}
    parts = {"files": files, "format": checkpoint.format, "options": dataclasses.asdict(options)}
    return {
        "version": __version__,
        "license": "See LICENSE and NOTICE beside this package.",
        "gemma_bridge.source.id": source.id,
        "gemma_bridge.source.revision": source.revision or "",
        "gemma_bridge.source.format": checkpoint.format,
        "gemma_bridge.inputs.sha256": hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest(),
        "gemma_bridge.precision": options.precision,
        "gemma_bridge.profile": options.profile,
    }
