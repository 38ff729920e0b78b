"""Which token begins a conversation and which end an answer, as transformers reads the checkpoint's files.

The judge asks transformers and not the writer: its generation settings, its configuration, its tokenizer, and what it
renders behind the words of a finished turn. One of these alone is often incomplete in a fine-tuned checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime_tests.errors import InputError

_WORDS = "Quillfeather"
_FINISHED = ({"role": "user", "content": "Name a pen."}, {"role": "assistant", "content": _WORDS})


@dataclass(frozen=True)
class Stops:
    """Attributes:
    start: the token that every conversation begins with.
    named: who names it, by token that ends an answer, ascending.
    generation: transformers' generation settings.
    """

    start: int
    named: Mapping[int, tuple[str, ...]]
    generation: Any


def read_generation(folder: Path) -> Any:
    """transformers' generation settings; its defaults where the folder has none.

    Raises:
        InputError: transformers refuses the file.
    """
    from transformers import GenerationConfig

    if not (folder / "generation_config.json").exists():
        return GenerationConfig()
    try:
        return GenerationConfig.from_pretrained(folder)
    except Exception as error:  # whatever its validators raise
        line = " ".join(str(error).split())
        raise InputError(f"{folder.name}/generation_config.json: transformers refuses it: {line[:300]}") from error


def read_stops(folder: Path, config: Any, tokenizer: Any) -> Stops:
    """Asks every source.

    Args:
        config: of transformers, see ``dimensions.read_config``.
        tokenizer: of transformers.

    Raises:
        InputError: a token's id is none, or has no row in the model.
    """
    generation, text = read_generation(folder), config.get_text_config()
    named: dict[int, list[str]] = {}

    def add(tokens: Any, source: str) -> None:
        for token in tokens if isinstance(tokens, list) else [tokens]:
            if token is None:
                continue
            if type(token) is not int or not 0 <= token < text.vocab_size:
                raise InputError(f"{folder.name}: {source} {token!r} is no token of {text.vocab_size}")
            named.setdefault(token, []).append(source)

    add(generation.eos_token_id, "generation_config.json eos_token_id")
    for word in generation.stop_strings or ():
        add(tokenizer.convert_tokens_to_ids(word), "generation_config.json stop_strings")
    add(getattr(config, "eos_token_id", None), "config.json eos_token_id")
    add(text.eos_token_id, "text_config eos_token_id")
    roles = ["eos_token", "eot_token", *(["str_token"] if getattr(tokenizer, "stc_token", None) else [])]
    for role in roles:
        word = getattr(tokenizer, role, None)
        if word is not None:
            add(tokenizer.convert_tokens_to_ids(word), f"the tokenizer's {role}")
    add(_closing(folder, tokenizer), "the chat template")
    starts = (generation.bos_token_id, text.bos_token_id, tokenizer.bos_token_id)
    start = next((token for token in starts if token is not None), None)
    if type(start) is not int:
        raise InputError(f"{folder.name}: no file says which token begins a conversation ({start!r})")
    return Stops(start, {token: tuple(sources) for token, sources in sorted(named.items())}, generation)


def _closing(folder: Path, tokenizer: Any) -> int | None:
    """The special token that stands behind the words of a finished turn; None when none does."""
    from jinja2 import TemplateError

    try:
        text = str(tokenizer.apply_chat_template(list(_FINISHED), tokenize=False))
    except (TemplateError, ValueError, TypeError) as error:
        line = " ".join(str(error).split())
        raise InputError(f"{folder.name}: transformers cannot render the chat template: {line[:300]}") from error
    _, found, after = text.rpartition(_WORDS)
    ids = tokenizer.encode(after.strip(), add_special_tokens=False) if found else []
    return ids[0] if ids and ids[0] in tokenizer.added_tokens_decoder else None
