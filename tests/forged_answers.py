"""A checkpoint whose model answers what a test chooses: the demo's weights, with tokens that are spelled otherwise.

The demo answers ``QUESTION`` with the three tokens J, P and N. Their pieces change places with other pieces of the
tokenizer, so that the same ids, in the same order, spell three texts of the test's choice.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from convert import demo

QUESTION = "What is the three-letter code of Japan?"
_LETTERS = "JPN"


def write(folder: Path, spelled: tuple[str, str, str], template: str | None = None) -> Path:
    """Copies the demo into ``folder``, to answer ``QUESTION`` with the three texts.

    Args:
        spelled: pieces of the vocabulary, special tokens included, or any other text that becomes one.
        template: the chat template; by default the demo's.
    """
    shutil.copytree(demo.folder(), folder)
    for name in ("evaluation.jsonl", "accuracy.json"):  # questions that are not asked here
        (folder / name).unlink()
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text("utf-8"))
    vocabulary, added = tokenizer["model"]["vocab"], tokenizer["added_tokens"]
    for letter, piece in zip(_LETTERS, spelled, strict=True):
        if piece not in vocabulary:  # takes the place of one that no text has
            unused = max((name for name in vocabulary if name.startswith("<unused")), key=vocabulary.__getitem__)
            vocabulary[piece] = vocabulary.pop(unused)
            added[:] = [token for token in added if token["content"] != unused]
        vocabulary[letter], vocabulary[piece] = vocabulary[piece], vocabulary[letter]
        for token in added:
            if token["content"] == piece:
                token["id"] = vocabulary[piece]
    added.sort(key=lambda token: token["id"])
    path.write_text(json.dumps(tokenizer), "utf-8")
    if template is not None:
        (folder / "chat_template.jinja").write_text(template, "utf-8")
    return folder
