"""Where a checkpoint keeps its chat template: a file of its own, or a field of one of two JSON files."""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.errors import CheckpointError
from convert.json_hooks import once, refuse

FILES = ("chat_template.jinja", "tokenizer_config.json", "chat_template.json")
# Google's have 16 to 19 kB. What is larger is not a template, and lexing it would take long.
LARGEST = 1 << 18
_MOST_JSON = 4 << 20  # bytes; a tokenizer's file may list thousands of tokens


@dataclass(frozen=True)
class Source:
    """A template as the checkpoint has it.

    Attributes:
        text: the Jinja template.
        name: the file it is from, relative to the checkpoint.
        tokens: special tokens by their names (``eos_token``: ``<eos>``), which transformers gives to a template.
    """

    text: str
    name: str
    tokens: dict[str, str]


def read(folder: Path) -> Source:
    """The chat template of a checkpoint folder, from the first file that has one.

    transformers' tokenizer looks into the first two as well, in this order; the third is an older processor's.

    Raises:
        CheckpointError: there is none, several are there without one called ``default``, or it is not UTF-8.
    """
    asked = f"read the chat template of {folder.name}"
    config = _json(folder / FILES[1], asked) if (folder / FILES[1]).is_file() else {}
    tokens = special_tokens(config)
    if (folder / FILES[0]).is_file():
        return Source(_checked(_text(folder / FILES[0], asked), FILES[0], asked), FILES[0], tokens)
    for name in FILES[1:]:
        if (folder / name).is_file():
            text = _named(_json(folder / name, asked).get("chat_template"), name, asked)
            if text is not None:
                return Source(_checked(text, name, asked), name, tokens)
    raise CheckpointError(
        asked,
        "there is no chat_template.jinja, and tokenizer_config.json has no chat_template",
        "Add the instruction-tuned model's chat_template.jinja",
    )


def special_tokens(config: dict[str, Any]) -> dict[str, str]:
    """Special tokens of tokenizer_config.json by name; newer files keep some of them in a map."""
    named = {**config, **(config.get("model_specific_special_tokens") or {})}
    found: dict[str, str] = {}
    for name, value in named.items():
        text = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(text, str):
            found[name] = text
    return found


def _named(value: Any, name: str, asked: str) -> str | None:
    """The template of a field that holds one as text, or several with names; None where it holds none."""
    if value is None or isinstance(value, str):
        return value
    entries = value if isinstance(value, list) else []
    templates = {entry.get("name"): entry.get("template") for entry in entries if isinstance(entry, dict)}
    text = templates.get("default")
    if isinstance(text, str):
        return text
    names = ", ".join(str(key) for key in templates) or f"a {type(value).__name__}"
    raise CheckpointError(
        asked,
        f"chat_template in {name} has no template called default (it has {names})",
        "Put the one to use into chat_template.jinja",
    )


def _checked(text: str, name: str, asked: str) -> str:
    if not text.strip():
        raise CheckpointError(asked, f"the template in {name} is empty", "Take the instruction-tuned model's")
    if len(text) > LARGEST:
        found = f"the template in {name} has {len(text):,} characters, more than {LARGEST:,}"
        raise CheckpointError(asked, found, "Take the instruction-tuned model's")
    return text


def _text(path: Path, asked: str, most: int = 4 * LARGEST) -> str:
    try:
        if path.stat().st_size > most:
            found = f"{path.name} has {path.stat().st_size:,} bytes; at most {most:,} are read"
            raise CheckpointError(asked, found, "Take the instruction-tuned model's")
        content = path.read_bytes()
        if content.startswith(codecs.BOM_UTF8):  # which would be printed in front of every prompt
            raise CheckpointError(asked, f"{path.name} begins with a byte order mark", "Save it as UTF-8 without one")
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"{path.name} is not UTF-8 (byte {error.start} is 0x{error.object[error.start]:02x})"
        raise CheckpointError(asked, found, "Save it as UTF-8") from error
    except OSError as error:
        raise CheckpointError(asked, f"{path.name} cannot be read ({error.strerror})", "Look at its rights") from error


def _json(path: Path, asked: str) -> dict[str, Any]:
    text = _text(path, asked, _MOST_JSON)
    try:
        content = json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(asked, f"{path.name} is not valid JSON ({error})", "Download it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(asked, f"{path.name} is not a JSON object", "Download it again")
    return content
