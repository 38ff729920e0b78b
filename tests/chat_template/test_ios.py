"""The chat template of an iOS bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from convert import demo
from convert.checkpoint import open_checkpoint
from convert.targets.coreml import companions


def test_a_template_in_tokenizer_config_is_shipped_as_a_file(tmp_path: Path) -> None:
    folder, out = tmp_path / "checkpoint", tmp_path / "out"
    shutil.copytree(demo.folder(), folder)
    out.mkdir()
    path, text = folder / "tokenizer_config.json", (folder / "chat_template.jinja").read_text("utf-8")
    (folder / "chat_template.jinja").unlink()
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"chat_template": text}), "utf-8")
    companions.collect(open_checkpoint(folder), out)
    assert {name.name for name in out.iterdir()} == set(companions.COMPANIONS)
    assert (out / "chat_template.jinja").read_bytes() == text.encode()
