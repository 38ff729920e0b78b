"""What can be chosen for the LiteRT target."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from convert.choices import choice
from convert.image_tokens import IMAGE_ROWS

# How many int8 terms a float activation is split into before it meets integer weights (see ``dynamic``). Two are 16
# bits: plenty for logits, where all other activations are static. Where none are, the errors of all layers add up, so
# they get three, float32's 24 bits; one token takes the kernels as long with three as with two.
TERMS_OF_LOGITS, TERMS_OF_ALL = 2, 3

# Tokens that a drafter guesses before the decoder verifies them all at once.
DRAFTS = 4


def drafts(modules: Collection[str]) -> int:
    """Tokens that the drafter among a checkpoint's modules guesses at a time; 0: there is none."""
    return DRAFTS if "drafter" in modules else 0


@dataclass(frozen=True)
class LitertOptions:
    """Attributes:
    context: positions of the KV cache, in tokens.
    prefill: tokens per prefill call, one signature each.
    cache: element type of the KV cache: ``float32``, or ``int8`` with the checkpoint's scales.
    attention: what full layers read of the cache: ``filled``, about as many rows as there are positions so far, by
        branches in the graph (see ``filled``), or ``all``, for runtimes that have none.
    terms: int8 terms per float activation, 1 to 3: 8, 16 or 24 bits; None: two or three, see above.
    image_tokens: rows of the decoder that an image becomes, at most; only where images are converted.
    """

    context: int
    prefill: tuple[int, ...]
    cache: str = choice("float32", ("float32", "int8"), "element type of the KV cache")
    attention: str = choice("filled", ("filled", "all"), "rows of the cache that full layers read")
    terms: int | None = None
    image_tokens: str = choice(
        "280",
        tuple(map(str, IMAGE_ROWS)),
        "tokens that an image becomes, at most; not given: what config.json says",
        modality="image",
    )

    @property
    def image_rows(self) -> tuple[int, ...]:
        """Rows of the decoder that an image becomes: one signature each."""
        return tuple(rows for rows in IMAGE_ROWS if rows <= int(self.image_tokens))
