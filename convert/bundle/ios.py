"""The iOS bundle: a Core ML package, the row tables and tokenizer beside it, and the papers that go with them."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import asdict
from pathlib import Path

from convert import __version__
from convert.bundle import manifest as m
from convert.bundle import notice
from convert.bundle.android import GOLDEN, MANIFEST, PAGE, PARITY, PYTHON, entry, public_version
from convert.chat_template.source import read as read_template
from convert.checkpoint.settings import GENERATION, complete_generation
from convert.checkpoint.types import Checkpoint
from convert.errors import ArtifactError, CheckpointError
from convert.inspection.artifact import Report
from convert.inspection.package import inspect_package, inspect_table

MODEL = "Model.mlpackage"
MINIMUM = "iOS 18"
# The app needs all of them: text to tokens and back, the turns of a conversation, where to stop and how to sample.
TEMPLATE = "chat_template.jinja"
COMPANIONS = ("tokenizer.json", TEMPLATE, "generation_config.json")
TABLES = ("embed_tokens.rows", "embed_tokens_per_layer.rows")
TOOLCHAIN = ("Jinja2", "coremltools", "matplotlib", "numpy", "protobuf", "torch", "transformers")


def check(checkpoint: Checkpoint) -> None:
    """Refuses a checkpoint that lacks a file which the app needs.

    Raises:
        CheckpointError: names the file.
    """
    for name in COMPANIONS:
        if name != TEMPLATE and not (checkpoint.folder / name).is_file():
            asked, action = f"read {checkpoint.folder.name}", "Copy it from the model's repository into the folder"
            raise CheckpointError(asked, f"there is no {name}", action)


def collect(checkpoint: Checkpoint, folder: Path) -> None:
    """Copies what the app needs of the checkpoint as it is, but for stops that generation_config.json leaves out.

    The app knows no other stops than that file's, so those that the checkpoint's other files name are added to it.

    Raises:
        CheckpointError: a file is missing or does not say what it has to.
    """
    check(checkpoint)
    shutil.copyfile(checkpoint.folder / "tokenizer.json", folder / "tokenizer.json")
    # As it is; where it stands in a field of a JSON file, this is its text.
    (folder / TEMPLATE).write_bytes(read_template(checkpoint.folder).text.encode())
    (folder / GENERATION).write_bytes(complete_generation(checkpoint.folder, checkpoint.settings))


def packages(first: Path) -> list[Path]:
    """A package and its further parts: ``Model.mlpackage``, ``Model_2.mlpackage`` and so on."""
    found = [first]
    while (part := first.with_name(f"{first.stem}_{len(found) + 1}{first.suffix}")).is_dir():
        found.append(part)
    return found


def digest(package: Path) -> str:
    """Hex SHA-256 of the listing of a package's files and its further parts', by path, as ``sha256sum`` prints it."""
    names = sorted(
        ("" if part == package else f"../{part.name}/") + path.relative_to(part).as_posix()
        for part in packages(package)
        for path in part.rglob("*")
        if path.is_file()
    )
    lines = [f"{entry(package / name).sha256}  {name}\n" for name in names]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def finish(folder: Path, name: str, checkpoint: Checkpoint, parity: m.Parity) -> m.Manifest:
    """Writes LICENSE, NOTICE and the manifest beside the model and its reports.

    Raises:
        ArtifactError: the model cannot be read back, or a file lies in the folder that nobody announced.
    """
    notice.write(checkpoint.source, folder, "a Core ML package and tables of rows")
    parts = packages(folder / MODEL)
    package = {path.relative_to(folder).as_posix() for part in parts for path in part.rglob("*") if path.is_file()}
    tables = [table for table in TABLES if table != TABLES[1] or checkpoint.config.per_layer_width]
    expected = {*package, *tables, *COMPANIONS, PARITY, PAGE, GOLDEN, "LICENSE", "NOTICE"}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if found != expected:
        odd = ", ".join(sorted(found ^ expected))
        raise ArtifactError(f"bundle {name}", f"{odd}: missing or not meant to be there", "Report this as a defect")
    files = {file: entry(folder / file) for file in sorted(found)}
    made = describe(name, checkpoint, inspect_package(folder / MODEL), parity, files, folder)
    (folder / MANIFEST).write_text(m.to_json(made), encoding="utf-8")
    return made


def describe(
    name: str, checkpoint: Checkpoint, report: Report, parity: m.Parity, files: dict[str, m.File], folder: Path
) -> m.Manifest:
    """The manifest. Signatures, cache and weights are those read back from the finished files."""
    if report.cache is None:
        raise ArtifactError(f"bundle {name}", f"{report.file} has no states in its decode function", "Report this")
    config, source, cache = checkpoint.config, checkpoint.source, report.cache
    tables = [inspect_table(folder / table) for table in TABLES if table in files]
    return m.Manifest(
        schema_version=m.SCHEMA_VERSION,
        name=name,
        platform="ios",
        model=MODEL,
        source=m.Source(
            id=source.id,
            revision=source.revision,
            format=checkpoint.format,
            files={f: m.File(bytes=size, sha256=sha) for f, (sha, size) in source.files.items()},
        ),
        quantization=[m.Weights.model_validate(asdict(share)) for share in (*report.weights, *tables)],
        signatures=[
            m.Signature(
                section=signature.section,
                name=signature.name,
                inputs=[m.Tensor(name=t.name, shape=list(t.shape), dtype=t.dtype) for t in signature.inputs],
                outputs=[m.Tensor(name=t.name, shape=list(t.shape), dtype=t.dtype) for t in signature.outputs],
            )
            for signature in report.signatures
        ],
        kv_cache=m.Cache(
            dtype=cache.dtype,  # type: ignore[arg-type]  # checked by the model
            context=cache.context,
            bytes=cache.bytes,
            owners=[layer.index for layer in config.owners],
            readers={layer.index: layer.owner for layer in config.layers if not layer.owns_kv},
            window=config.window,
        ),
        files=files,
        toolchain={"gemma-bridge": __version__, "python": PYTHON} | {p: public_version(p) for p in TOOLCHAIN},
        runtime=m.Runtime(name="Core ML", minimum=MINIMUM),
        memory=m.Memory(
            mapped_weights=report.section("weights"),
            mapped_embeddings=sum(files[table].bytes for table in TABLES if table in files),
            kv_cache=cache.bytes,
        ),
        parity=parity,
        licence=notice.licence(source),
    )
