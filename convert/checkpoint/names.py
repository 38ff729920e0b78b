"""Names of stored tensors: which transformers reads as they are, and what the others come from.

The judge's reference is transformers, loading the folder by its own loader. So a name that transformers does not load
cannot be judged, and is refused with the way out: ``python -m convert.checkpoint.rename``. What it loads was tried with
transformers 5.22.2: it adds or removes one ``model.`` in front, and nothing else; with any other name it fills the
model with random numbers and goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from convert.checkpoint.module import kinds
from convert.checkpoint.modules.text import WORDS
from convert.checkpoint.strict_json import shown
from convert.errors import CheckpointError

_ADAPTER = re.compile(r"(?:^|\.)(?:lora_[A-Za-z_]+|modules_to_save|ia3_[a-z]+)(?:\.|$)")

MERGE = (
    "Merge it first (in PEFT: merge_and_unload, then save_pretrained into a new folder); what comes out must lie on a "
    "QAT grid to be converted"
)


@dataclass(frozen=True)
class Renaming:
    """A part of a name that is not in the published ones.

    Attributes:
        pattern, instead: a substitution that leads towards the published name.
        origin: who writes such names; None where transformers reads them as they are.
        nested: holds for ``Gemma4ForConditionalGeneration`` alone (True), for ``Gemma4ForCausalLM`` alone (False).
    """

    pattern: re.Pattern[str]
    instead: str
    origin: str | None
    nested: bool | None = None


def _row(pattern: str, instead: str, origin: str | None, nested: bool | None = None) -> Renaming:
    return Renaming(re.compile(pattern), instead, origin, nested)


def _first_word(words: Iterable[str]) -> str:
    return rf"(?:{'|'.join(map(re.escape, words))})\."


@cache
def _renamings() -> tuple[Renaming, ...]:
    """In this order: what wraps a whole model comes off first."""
    decoder = _first_word(WORDS)
    outer = _first_word(root for kind in kinds().values() for root in kind.roots)
    return (
        _row(r"(?:^|(?<=\.))_orig_mod\.", "", "a model wrapped by torch.compile"),
        _row(r"^module\.", "", "a model wrapped for parallel training"),
        _row(r"^base_model\.model\.", "", "PEFT's wrapper (save the result of merge_and_unload() instead)"),
        _row(r"\.base_layer\.", ".", "PEFT's layers (save the result of merge_and_unload() instead)"),
        _row(r"^model\.language_model\.model\.", "model.language_model.", "a language model inside a wrapper"),
        _row(r"^(?:model\.)?language_model\.lm_head\.", "lm_head.", "an older transformers"),
        _row(rf"^language_model\.model\.(?={decoder})", "model.language_model.", "an older transformers"),
        _row(rf"^model\.model\.(?={outer})", "model.", None, True),
        _row(rf"^(?={outer})", "model.", None, True),
        _row(
            rf"^(?:model\.)?(?={decoder})", "model.language_model.", "a text-only model, which config.json is not", True
        ),
        _row(rf"^model\.model\.(?={decoder})", "model.", None, False),
        _row(rf"^(?={decoder})", "model.", None, False),
        _row(r"^(?:model\.)?language_model\.(?=.)", "model.", "a multimodal model, which config.json is not", False),
        _row(r"^model\.(?=lm_head\.)", "", None),
    )


def published(name: str, nested: bool) -> tuple[str, str | None]:
    """The published name of a stored tensor, and the first origin for which transformers would not find it.

    >>> published("language_model.norm.weight", True)
    ('model.language_model.norm.weight', None)
    >>> published("module.model.norm.weight", False)
    ('model.norm.weight', 'a model wrapped for parallel training')
    """
    origin = None
    for row in _renamings():
        if row.nested in (None, nested):
            renamed = row.pattern.sub(row.instead, name)
            if renamed != name:
                origin = origin or row.origin
                name = renamed
    return name, origin


def by_published_name(names: Iterable[str], nested: bool, asked: str, folder: str) -> Mapping[str, str]:
    """Stored names by their published ones.

    Args:
        nested: the model is a ``Gemma4ForConditionalGeneration``, whose decoder is ``model.language_model``.
        folder: for the advice.

    Raises:
        CheckpointError: an adapter's tensors are among them; two names mean the same tensor; or transformers would not
            find a tensor under its name.
    """
    stored = sorted(names)
    adapter = [name for name in stored if _ADAPTER.search(name)]
    if adapter:
        found = f"tensor {shown(adapter[0])}{_more(adapter)} belong to an adapter that is not merged into the weights"
        raise CheckpointError(asked, found, MERGE)
    found_names: dict[str, str] = {}
    odd: list[tuple[str, str]] = []
    for name in stored:
        wanted, origin = published(name, nested)
        if wanted in found_names:
            both = f"tensors {shown(found_names[wanted])} and {shown(name)} are both {wanted}"
            raise CheckpointError(asked, both, "Remove the one that is out of date")
        found_names[wanted] = name
        if origin is not None:
            odd.append((name, origin))
    if odd:
        told = [name for name, _ in odd]
        found = f"tensor {shown(told[0])}{_more(told)} have names of {odd[0][1]}, which transformers does not find"
        action = f"Write a copy with the published names: python -m convert.checkpoint.rename {folder} NEW_FOLDER"
        raise CheckpointError(asked, found, action)
    return found_names


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
