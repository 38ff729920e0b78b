"""What lies beside a package in a bundle, and the digest of a package with its further parts."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from convert.chat_template.source import read as read_template
from convert.checkpoint.settings import GENERATION, complete_generation
from convert.checkpoint.types import Checkpoint
from convert.errors import CheckpointError

# The app needs all of them: text to tokens and back, the turns of a conversation, where to stop and how to sample.
TEMPLATE = "chat_template.jinja"
COMPANIONS = ("tokenizer.json", TEMPLATE, GENERATION)


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
    lines = [f"{_sha256(package / name)}  {name}\n" for name in names]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
