"""A model that calls a tool, made from the demo: the ids of three of its tokens change places with those of a call.

The demo answers "What is the three-letter code of Japan?" with JPN, three tokens. With their ids
exchanged in a copy of its tokenizer the same weights answer ``<|tool_call>call:clock{}<tool_call|>``. The copy also has
the chat template with the published traits, as it is: the converter adapts it for the engine.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from convert import demo

CALL = "call:clock{}"
PLACES = {"J": "<|tool_call>", "P": CALL, "N": "<tool_call|>"}


def calling_checkpoint(folder: Path) -> Path:
    """Writes the checkpoint into ``folder``, which must not exist."""
    shutil.copytree(demo.folder(), folder)
    template = Path(demo.__file__).with_name("published_template.jinja").read_text("utf-8")
    (folder / "chat_template.jinja").write_text(template, "utf-8")
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text("utf-8"))
    vocab, added = tokenizer["model"]["vocab"], {token["content"]: token for token in tokenizer["added_tokens"]}
    spare = added["<unused90>"]
    spare |= {"content": CALL, "special": False}
    vocab[CALL] = vocab.pop("<unused90>")
    for letter, token in PLACES.items():
        vocab[letter], vocab[token] = vocab[token], vocab[letter]
    for token in tokenizer["added_tokens"]:
        token["id"] = vocab[token["content"]]
    tokenizer["added_tokens"].sort(key=lambda token: token["id"])
    path.write_text(json.dumps(tokenizer), "utf-8")
    return folder
