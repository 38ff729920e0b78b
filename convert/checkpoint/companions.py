"""Files beside the weights that a bundle brings where an app reads them for itself: tokenizer, template, settings."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from convert.chat_template.source import read as read_template
from convert.checkpoint.settings import GENERATION, complete_generation
from convert.checkpoint.types import Checkpoint
from convert.errors import CheckpointError

TOKENIZER, TEMPLATE = "tokenizer.json", "chat_template.jinja"


def check(checkpoint: Checkpoint, copied: Sequence[str]) -> None:
    """Refuses a checkpoint that lacks a file which an app needs; its template may stand in another one.

    Args:
        copied: names of files that are carried as they are.

    Raises:
        CheckpointError: names the file.
    """
    for name in (*copied, GENERATION):
        if not (checkpoint.folder / name).is_file():
            asked, action = f"read {checkpoint.folder.name}", "Copy it from the model's repository into the folder"
            raise CheckpointError(asked, f"there is no {name}", action)


def carry(checkpoint: Checkpoint, folder: Path, copied: Sequence[str]) -> None:
    """Copies files as they are, writes the template, and generation_config.json with every stop.

    The app knows no other stops than that file's, so those that the checkpoint's other files name are added to it.

    Raises:
        CheckpointError: a file is missing or does not say what it has to.
    """
    check(checkpoint, copied)
    for name in copied:
        shutil.copyfile(checkpoint.folder / name, folder / name)
    # As it is; where it stands in a field of a JSON file, this is its text.
    (folder / TEMPLATE).write_bytes(read_template(checkpoint.folder).text.encode())
    (folder / GENERATION).write_bytes(complete_generation(checkpoint.folder, checkpoint.settings))
