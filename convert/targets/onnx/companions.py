"""What lies beside the models in a bundle, and the digest of all model files."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from convert.chat_template.source import read as read_template
from convert.checkpoint.settings import GENERATION, complete_generation
from convert.checkpoint.types import Checkpoint
from convert.errors import CheckpointError
from convert.targets.onnx import genai
from convert.targets.onnx.build import EMBEDDING, TEXT

TOKENIZER, SETTINGS, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"
COPIED = (TOKENIZER, SETTINGS)


def check(checkpoint: Checkpoint) -> None:
    """Refuses a checkpoint that lacks a file which a runtime or an app needs.

    Raises:
        CheckpointError: names the file.
    """
    for name in (*COPIED, GENERATION):
        if not (checkpoint.folder / name).is_file():
            asked, action = f"read {checkpoint.folder.name}", "Copy it from the model's repository into the folder"
            raise CheckpointError(asked, f"there is no {name}", action)


def collect(checkpoint: Checkpoint, folder: Path, context: int) -> None:
    """Tokenizer, template and settings, as the checkpoint has them, but for stops that generation_config leaves out.

    Raises:
        CheckpointError: a file is missing or does not say what it has to.
    """
    check(checkpoint)
    for name in COPIED:
        shutil.copyfile(checkpoint.folder / name, folder / name)
    (folder / TEMPLATE).write_bytes(read_template(checkpoint.folder).text.encode())
    (folder / GENERATION).write_bytes(complete_generation(checkpoint.folder, checkpoint.settings))
    told = genai.genai_config(checkpoint, context, TEXT)
    (folder / genai.NAME).write_text(told, "utf-8", newline="\n")


def digest(model: Path) -> str:
    """Hex SHA-256 of the lines that ``sha256sum`` prints of all model files, by name."""
    beside = (model.with_name(name) for name in (EMBEDDING, f"{EMBEDDING}.data", TEXT))
    lines = []
    for path in sorted((model, model.with_name(f"{model.name}.data"), *beside)):
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()
