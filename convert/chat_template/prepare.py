"""A checkpoint's template, adapted in a process of its own: the one way in for planning and for packing."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from convert.errors import CheckpointError


@dataclass(frozen=True)
class Template:
    """What is packed as chat template.

    Attributes:
        text: the template.
        source: the file of the checkpoint that it is from.
        changes: what was changed in it for the engine, in words; empty when it is packed as it is.
        tools: it prints declared tools and their answers.
        thinking: it can ask the model to think.
        affixes: what it puts before and after a text, by role (``user``, ``model``, ``system``).
        image: what it prints for an image; empty: nothing.
    """

    text: str
    source: str
    changes: tuple[str, ...]
    tools: bool
    thinking: bool
    affixes: dict[str, tuple[str, str]]
    image: str

    @property
    def told(self) -> str:
        """One line on what was done."""
        if not self.changes:
            return f"{self.source}, as it is"
        count = len(self.changes)
        return f"adapted for the engine ({count} change{'s' if count > 1 else ''}): {'; '.join(self.changes)}"


PROCESSOR_SECONDS = 10  # the largest published template takes a third of one


def prepare(folder: Path, adapted: bool, seconds: int = PROCESSOR_SECONDS) -> Template:
    """The chat template of a checkpoint folder as it is packed.

    Args:
        adapted: for an engine that renders it itself; else as it is.
        seconds: of a processor that a template may take.

    Raises:
        CheckpointError: there is none, or it is refused.
    """
    asked = f"read the chat template of {folder.name}"
    command = [
        sys.executable,
        "-m",
        "convert.chat_template",
        str(folder),
        "adapted" if adapted else "as-it-is",
        str(seconds),
    ]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if ran.returncode < 0:
        found = f"it took {seconds} seconds of a processor, so it may run without end (signal {-ran.returncode})"
        raise CheckpointError(asked, found, "Take chat_template.jinja from the instruction-tuned model")
    try:
        answer = json.loads(ran.stdout)
    except ValueError as error:
        last = ran.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason"]
        raise CheckpointError(asked, f"that failed ({last[0]})", "Report this as a defect") from error
    if "refused" in answer:
        found, action = answer["refused"]
        raise CheckpointError(asked, found, action)
    made = answer["adapted"]
    affixes = {role: (around["prefix"], around["suffix"]) for role, around in made["affixes"].items()}
    changes = tuple(made["changes"])
    return Template(made["text"], answer["name"], changes, made["tools"], made["thinking"], affixes, made["image"])
