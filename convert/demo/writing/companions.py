"""What lies beside the weights of a text decoder: configuration, tokenizer, chat template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from convert.demo.writing import config, tokenizer, tower
from convert.demo.writing.shape import TextShape
from convert.demo.writing.tower import VisionShape


def write(
    folder: Path,
    shape: TextShape,
    format: str,
    vocabulary: tokenizer.Pieces,
    seeing: VisionShape | None = None,
) -> None:
    """Writes everything but the weights.

    Args:
        folder: is there; files of the same names are replaced.
        format: ``mobile`` or ``q4_0``.
        seeing: its vision tower, if it has one; the vocabulary then has the tokens for images.
    """
    content = tokenizer.tokenizer_json(vocabulary)
    texts = {
        "config.json": _text(config.model_config(shape, format, seeing)),
        "generation_config.json": _text(config.generation_config()),
        "tokenizer_config.json": _text(tokenizer.tokenizer_config(shape.max_context, seeing is not None)),
        "tokenizer.json": json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n",
        "chat_template.jinja": tokenizer.chat_template(seeing is not None),
    }
    if seeing:
        texts["processor_config.json"] = _text(tower.processor_config(seeing))
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"
