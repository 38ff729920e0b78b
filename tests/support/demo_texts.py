"""The demo's files of text, to be changed one by one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convert.demo import folder as demo

FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
Change = Callable[[dict[str, Any]], object]


def demo_texts(made: Path) -> Path:
    """A new folder with the demo's files without its weights."""
    made.mkdir()
    for name in FILES:
        shutil.copy(demo() / name, made / name)
    return made


def edit(path: Path, change: Change) -> None:
    """Changes the object that a JSON file holds."""
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")
