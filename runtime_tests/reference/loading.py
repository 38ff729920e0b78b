"""Loads the text decoder with its head through transformers' own loader, without ever holding it in float32.

A whole Gemma 4 is loaded without its towers, whose weights nothing here reads. Packed integers stay the file's own
mapped pages. bfloat16 weights of a large checkpoint stay as they are too; ``widening.py`` makes float32 of a matrix
while it is multiplied with, which is exact. So what a model occupies does not depend on its depth.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from runtime_tests.errors import InputError
from runtime_tests.memory.imports import uncollected
from runtime_tests.readers.dimensions import read_config
from runtime_tests.readers.module import known

WIDENED_FROM = 1 << 30  # bytes of stored bfloat16 from which weights stay as they are stored


def load(folder: Path, lean: bool | None = None) -> tuple[Any, bool]:
    """The model, a ``Gemma4ForCausalLM``, and whether its matrices are bfloat16 that have to be widened.

    Args:
        lean: whether bfloat16 weights stay as they are stored; by default those of a large checkpoint.

    Raises:
        InputError: transformers refuses the folder; its own message is passed on in one line.
    """
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        config = read_config(folder)
        # By the configuration, for architectures may be missing.
        whole = isinstance(config, transformers.Gemma4Config)
        bare = not whole or config.architectures == ["Gemma4ForCausalLM"]
        with uncollected():
            kind = transformers.Gemma4ForCausalLM if bare else transformers.Gemma4ForConditionalGeneration
        if whole:
            for key in filter(None, (module.config for module in known().values())):
                setattr(config, key, None)
        stored = _lean(folder, config) if lean is None else lean
        # A checkpoint file that lacks a tensor would be filled with random numbers, with a warning only.
        model, told = kind.from_pretrained(
            folder,
            config=config,
            dtype=torch.bfloat16 if stored else torch.float32,
            attn_implementation="eager",
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, AttributeError, KeyError) as error:
        line = " ".join(str(error).split())
        raise InputError(f"{folder.name}: transformers cannot load it: {line[:300]}") from error
    if told["missing_keys"] or told["mismatched_keys"]:
        lacking = sorted(map(str, [*told["missing_keys"], *told["mismatched_keys"]]))
        raise InputError(f"{folder.name}: transformers misses {len(lacking)} tensors, first {lacking[0]}")
    model.eval().requires_grad_(False)
    return (model if bare else _text(model)), stored


def _lean(folder: Path, config: Any) -> bool:
    """Whether the weights are bfloat16 and so large that float32 copies of all of them are too much."""
    from safetensors import safe_open

    if getattr(config, "quantization_config", None):
        return False  # the integers stay packed in any case, and the tables' values take the type of the whole model
    files = sorted(folder.glob("model*.safetensors"))
    if sum(file.stat().st_size for file in files) < WIDENED_FROM:
        return False
    kinds: set[str] = set()
    for file in files:
        with safe_open(file, framework="pt") as opened:
            kinds |= {opened.get_slice(name).get_dtype() for name in opened.keys()}  # noqa: SIM118
    return kinds == {"BF16"}


def _text(model: Any) -> Any:
    """The same decoder and head as a text model: a whole one makes float32 of its embedding at every call."""
    import torch
    import transformers

    with torch.device("meta"):
        out = transformers.Gemma4ForCausalLM(model.config.get_text_config())
    out.model, out.lm_head = model.model.language_model, model.lm_head
    return out.eval().requires_grad_(False)
