"""How many tokens an image may become, and what a model needs to take it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from convert.choices import flags
from convert.errors import PlanError

if TYPE_CHECKING:
    from convert.checkpoint.types import Checkpoint

IMAGE_ROWS = (70, 140, 280, 560, 1120)  # transformers 5.22.2, ``Gemma4ImageProcessor``
FLAG = "image_tokens"
PROMPT = 64  # tokens around an image, at least: a turn's control tokens and a question


def own(checkpoint: Checkpoint, options: type[Any], given: Mapping[str, str]) -> dict[str, str]:
    """The checkpoint's own number as a flag's value, where none is given; nothing where it has no tower.

    One that images cannot be cut by is taken down to the next that they can.

    Args:
        options: of the target.
        given: values of its flags.
    """
    if "vision" not in checkpoint.modules or FLAG in given or FLAG not in flags(options):
        return {}
    tokens = checkpoint.modules["vision"].config.tokens
    return {FLAG: str(max((rows for rows in IMAGE_ROWS if rows <= tokens), default=IMAGE_ROWS[0]))}


def check(asked: str, checkpoint: Checkpoint, most: int, context: int, causal: str) -> None:
    """Refuses what could not be given an image.

    Args:
        most: tokens that an image becomes, at most.
        causal: the words on what of the target lets no row see what comes behind it.

    Raises:
        PlanError: the context is too short, rows of an image see ahead, or a token around it has no name.
    """
    if context < most + PROMPT:
        found = f"an image of {most} tokens with a prompt does not fit a context of {context}"
        fewer = ", or a smaller --image-tokens" if most > IMAGE_ROWS[0] else ""
        raise PlanError(asked, found, f"Give --context {most + PROMPT} or more{fewer}")
    if checkpoint.modules["vision"].config.sees_ahead:
        found = "rows of an image see what comes behind them (use_bidirectional_attention is 'vision' in config.json)"
        raise PlanError(asked, f"{found}, {causal}", "Use an E2B or E4B, or leave image out")
    missing = [role for role in ("image_begin", "image_end") if role not in checkpoint.settings.placeholders]
    if missing:
        found = f"config.json and the tokenizer name no token for {missing[0].replace('_', ' ')}"
        raise PlanError(asked, found, "Use a checkpoint as Google publishes it")
