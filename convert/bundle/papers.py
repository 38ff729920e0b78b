"""LICENSE, NOTICE and the manifest of a bundle, made from what the finished model says of itself."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from convert import __version__
from convert.bundle import manifest as m
from convert.bundle import notice
from convert.bundle.names import MANIFEST, PAPERS
from convert.checkpoint.types import Checkpoint, Source
from convert.errors import ArtifactError
from convert.feeding import Feeding, feeding
from convert.inspection.report import Signature
from convert.targets.target import Described, Target

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def finish(
    folder: Path,
    name: str,
    checkpoint: Checkpoint,
    parity: m.Parity,
    target: Target,
    platform: str,
    fed: Feeding | None = None,
) -> m.Manifest:
    """Writes LICENSE, NOTICE and the manifest beside the model and its reports.

    Args:
        fed: how the judge has fed the model; made here where none was told.

    Raises:
        ArtifactError: the model cannot be read back, or a file lies in the folder that nobody announced.
    """
    notice.write(sources(checkpoint), folder, target.container)
    expected = {*target.files(folder, checkpoint), *PAPERS}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if found != expected:
        odd = ", ".join(sorted(found ^ expected))
        raise ArtifactError(f"bundle {name}", f"{odd}: missing or not meant to be there", "Report this as a defect")
    files = {file: entry(folder / file) for file in sorted(found)}
    fed = fed or feeding(checkpoint, target.calls(checkpoint, folder), target.images(checkpoint, folder))
    made = describe(name, checkpoint, target.describe(folder), fed, parity, files, target, platform)
    (folder / MANIFEST).write_text(m.to_json(made), encoding="utf-8")
    return made


def describe(
    name: str,
    checkpoint: Checkpoint,
    made: Described,
    fed: Feeding,
    parity: m.Parity,
    files: dict[str, m.File],
    target: Target,
    platform: str,
) -> m.Manifest:
    """The manifest. Signatures, cache and weights are those read back from the finished files."""
    config, cache = checkpoint.text.config, made.report.cache
    if cache is None:
        found = f"{made.report.file} has no KV cache in its decode signature"
        raise ArtifactError(f"bundle {name}", found, "Report this as a defect")
    runtime, minimum = target.runtime()
    return m.Manifest(
        schema_version=m.SCHEMA_VERSION,
        name=name,
        platform=platform,
        model=target.model,
        modalities=("text",) if fed.images is None else ("text", "image"),
        source=_source(checkpoint),
        quantization=[m.Weights.model_validate(asdict(share)) for share in made.weights],
        signatures=[_signature(signature) for signature in made.report.signatures],
        kv_cache=m.Cache(
            dtype=cache.dtype,  # type: ignore[arg-type]  # checked by the model
            context=cache.context,
            ring=cache.ring,
            bytes=cache.bytes,
            owners=[layer.index for layer in config.owners],
            readers={layer.index: layer.owner for layer in config.layers if not layer.owns_kv},
            window=config.window,
        ),
        feeding=fed,
        files=files,
        toolchain={"gemma-bridge": __version__, "python": PYTHON} | {p: public_version(p) for p in target.toolchain},
        runtime=m.Runtime(name=runtime, minimum=minimum, packed_weights=target.packs(checkpoint)),
        memory=m.Memory(
            mapped_weights=made.mapped_weights,
            mapped_embeddings=made.mapped_embeddings,
            kv_cache=cache.bytes,
            images=_image_memory(checkpoint, made, fed, target),
        ),
        parity=parity,
        licence=notice.licence(*sources(checkpoint)),
        drafter=_drafter(checkpoint, made),
    )


def sources(checkpoint: Checkpoint) -> tuple[Source, ...]:
    """Where the model came from, and its drafter where there is one."""
    return (checkpoint.source, *(() if checkpoint.drafter is None else (checkpoint.drafter.source,)))


def _source(checkpoint: Checkpoint) -> m.Source:
    source = checkpoint.source
    files = {f: m.File(bytes=size, sha256=sha) for f, (sha, size) in source.files.items()}
    return m.Source(id=source.id, revision=source.revision, format=checkpoint.format, files=files)


def _drafter(checkpoint: Checkpoint, made: Described) -> m.Drafter | None:
    if checkpoint.drafter is None:
        return None
    if made.drafting is None:
        raise ArtifactError(f"read {made.report.file}", "it has no drafter", "Report this as a defect")
    return m.Drafter(source=_source(checkpoint.drafter), **asdict(made.drafting))


def _image_memory(checkpoint: Checkpoint, made: Described, fed: Feeding, target: Target) -> m.ImageMemory | None:
    if fed.images is None:
        return None
    working = target.image_working(checkpoint, fed.images.tokens)
    return m.ImageMemory(mapped_weights=made.mapped_images, working=working)


def add(folder: Path, paths: Iterable[Path], **changed: Any) -> None:
    """Enters further files of a bundle with finished papers into its manifest, and changes other fields of it."""
    manifest = m.read(folder)
    files = manifest.files | {path.relative_to(folder).as_posix(): entry(path) for path in paths}
    whole = manifest.model_copy(update={"files": files, **changed})
    (folder / MANIFEST).write_text(m.to_json(whole), encoding="utf-8")


def entry(path: Path) -> m.File:
    """Size and SHA-256 of a file, read once."""
    with path.open("rb") as file:
        return m.File(bytes=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def public_version(package: str) -> str:
    """Installed version without a local build tag.

    >>> public_version("numpy").count("+")
    0
    """
    return version(package).partition("+")[0]


def _signature(found: Signature) -> m.Signature:
    inputs, outputs = (
        [m.Tensor(name=t.name, shape=list(t.shape), dtype=t.dtype) for t in tensors]
        for tensors in (found.inputs, found.outputs)
    )
    return m.Signature(section=found.section, name=found.name, inputs=inputs, outputs=outputs)
