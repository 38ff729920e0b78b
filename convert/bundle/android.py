"""The Android bundle: a ``.litertlm`` for the LiteRT-LM engine, and the papers that go with it."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from convert import __version__
from convert.bundle import manifest as m
from convert.bundle import notice
from convert.checkpoint.types import Checkpoint
from convert.errors import ArtifactError
from convert.inspection.artifact import Report, inspect

MODEL, PARITY, PAGE = "model.litertlm", "parity.json", "parity.html"
GOLDEN, MANIFEST = "golden.json", "manifest.json"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
RUNTIME = "litert-lm-api"  # the engine that climbs rung 3

# What has a say in the bytes or in the judgement. Public versions, without the tag of a build: the same pin on another
# machine is meant to give the same manifest.
TOOLCHAIN = (
    "Jinja2",
    "ai-edge-litert",
    "flatbuffers",
    "litert-lm-api",
    "litert-lm-builder",
    "matplotlib",
    "numpy",
    "protobuf",
    "torch",
    "transformers",
)


def collect(checkpoint: Checkpoint, folder: Path) -> None:
    """Nothing lies beside the model: tokenizer and template are sections of its file."""


def finish(folder: Path, name: str, checkpoint: Checkpoint, parity: m.Parity) -> m.Manifest:
    """Writes LICENSE, NOTICE and the manifest beside the model and its reports.

    Raises:
        ArtifactError: the model cannot be read back, or a file lies in the folder that nobody announced.
    """
    notice.write(checkpoint.source, folder)
    expected = {MODEL, PARITY, PAGE, GOLDEN, "LICENSE", "NOTICE"}
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    if found != expected:
        odd = ", ".join(sorted(found ^ expected))
        raise ArtifactError(f"bundle {name}", f"{odd}: missing or not meant to be there", "Report this as a defect")
    made = describe(name, checkpoint, inspect(folder / MODEL), parity, {f: entry(folder / f) for f in sorted(found)})
    (folder / MANIFEST).write_text(m.to_json(made), encoding="utf-8")
    return made


def describe(
    name: str, checkpoint: Checkpoint, report: Report, parity: m.Parity, files: dict[str, m.File]
) -> m.Manifest:
    """The manifest. Signatures, cache and weights are those read back from the finished file."""
    if report.cache is None:
        raise ArtifactError(f"bundle {name}", f"{report.file} has no KV cache in its decode signature", "Report this")
    config, source, cache = checkpoint.config, checkpoint.source, report.cache
    tables = report.section("tf_lite_embedder") + report.section("tf_lite_per_layer_embedder")
    return m.Manifest(
        schema_version=m.SCHEMA_VERSION,
        name=name,
        platform="android",
        model=MODEL,
        source=m.Source(
            id=source.id,
            revision=source.revision,
            format=checkpoint.format,
            files={f: m.File(bytes=size, sha256=sha) for f, (sha, size) in source.files.items()},
        ),
        quantization=[m.Weights.model_validate(asdict(share)) for share in report.weights],
        signatures=[m.Signature.model_validate(_lists(asdict(signature))) for signature in report.signatures],
        kv_cache=m.Cache.model_validate(
            {
                "dtype": cache.dtype,
                "context": cache.context,
                "bytes": cache.bytes,
                "owners": [layer.index for layer in config.owners],
                "readers": {layer.index: layer.owner for layer in config.layers if not layer.owns_kv},
                "window": config.window,
            }
        ),
        files=files,
        toolchain={"gemma-bridge": __version__, "python": PYTHON} | {p: public_version(p) for p in TOOLCHAIN},
        runtime=m.Runtime(name="LiteRT-LM", minimum=public_version(RUNTIME)),
        memory=m.Memory(
            mapped_weights=report.section("tf_lite_prefill_decode"), mapped_embeddings=tables, kv_cache=cache.bytes
        ),
        parity=parity,
        licence=notice.licence(source),
    )


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


def _lists(signature: dict[str, object]) -> dict[str, object]:
    return signature | {"inputs": list(signature["inputs"]), "outputs": list(signature["outputs"])}  # type: ignore[call-overload]
