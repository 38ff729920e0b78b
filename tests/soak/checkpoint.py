"""Writes the checkpoint of a drawn model."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from tests.soak.draw import OWN, Drawn
from tests.support.chat.chat_templates import KINDS
from tests.support.checkpoints.write import write_checkpoint


def write(drawn: Drawn, folder: Path) -> Path:
    """Writes it below ``folder`` and returns its own folder; activation scales are calibrated by running it."""
    out = folder / f"soak-{drawn.seed}"
    with contextlib.redirect_stderr(io.StringIO()):  # a bar of transformers' own for each model loaded
        write_checkpoint(out, drawn.shape, drawn.format, drawn.seed, shards=drawn.shards, corpus=drawn.words)
    if drawn.template != OWN:
        (out / "chat_template.jinja").write_text(KINDS[drawn.template], "utf-8")
    return out
