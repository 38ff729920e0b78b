"""What a seed stands for: a model's format, dimensions, temper, tokenizer and template, and how it is bundled.

The dimensions are odd on purpose and stay inside what the formats allow: blocks of 32 inputs in q4_0, whole bytes of
codes in mobile, heads in whole groups.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.support.chat.chat_templates import KINDS
from tests.support.checkpoints import corpus
from tests.support.checkpoints.published.tower_shapes import SMALL_TOWERS
from tests.support.checkpoints.shapes import Shape, Temper

FORMATS, SIZES = ("mobile", "q4_0"), ("e2b", "e4b")
OWN = "own"  # the template that the checkpoint's writer gives it
# Published E2B files name their owners in a pattern that counts to 20.
MOST_OWNERS = 20


@dataclass(frozen=True)
class Drawn:
    """One model.

    Attributes:
        format: ``mobile`` or ``q4_0``.
        size: whose relative it is: ``e2b`` or ``e4b``.
        template: its chat template: one of ``tests/support/chat/chat_templates.py``, or ``own``.
        words: what its tokenizer is learned from.
        shards: files that its weights lie in.
        context, prefill: of the bundles, in tokens.
        cache: of the android bundle.
        precision: of the ios bundle.
    """

    seed: int
    format: str
    size: str
    shape: Shape
    template: str
    words: tuple[str, ...]
    shards: int
    context: int
    prefill: tuple[int, ...]
    cache: str
    precision: str

    def __str__(self) -> str:
        low, high = self.shape.temper.scalars
        return (
            f"{self.format} {self.size} {self.shape.layers} layers x {self.shape.hidden}, "
            f"scalars {low:g}-{high:g}, template {self.template}"
        )


def draw(seed: int, deepest: int = 42) -> Drawn:
    """The model of a seed.

    Args:
        deepest: layers at most; 42 is E4B's.
    """
    dice = random.Random(seed)
    format, size = dice.choice(FORMATS), dice.choice(SIZES)
    shape = _shape(dice, format, size, deepest)
    longest = dice.choice((16, 32, 48, 64))
    return Drawn(
        seed,
        format,
        size,
        shape,
        template=dice.choice((OWN, OWN, *KINDS)),
        words=tuple(dice.sample(corpus.words(), dice.randint(400, 2000))),
        shards=dice.choice((1, 1, 2, 3)),
        context=dice.choice((160, 192, 224)),
        prefill=(longest,),
        cache=dice.choice(("float32", "float32", "int8")) if format == "mobile" else "float32",
        precision=dice.choice(("float16", "float16", "float32")),
    )


def _shape(dice: random.Random, format: str, size: str, deepest: int) -> Shape:
    e2b, unit = size == "e2b", 32 if format == "q4_0" else 4
    # Half of them are shallow: those are quick, and deep ones are thin.
    layers = dice.randint(6, deepest) if dice.random() < 0.5 else dice.randint(6, min(14, deepest))
    wide = 320 if layers < 15 else 160
    hidden = unit * dice.randint(max(2, 64 // unit), wide // unit)
    run = dice.randint(1, min(6, layers - 2))
    # Owners hold one layer of either kind at least, or the shared ones would find nobody.
    fewest, most = run + 1, min(layers, MOST_OWNERS if e2b else layers)
    owners = dice.randint(max(fewest, layers // 4), most)
    kv_heads = dice.choice((1, 1, 2, 3))
    heads = kv_heads * dice.choice((1, 2, 3, 4))
    head, wider = _head_dim(dice, heads, unit), _head_dim(dice, heads, unit)
    towers = dice.random() < 0.6
    return Shape(
        vocab=dice.randint(700, 1500),
        hidden=hidden,
        intermediate=unit * max(2, round(hidden * dice.uniform(1.2, 3.0) / unit)),
        layers=layers,
        sliding_run=run,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head,
        global_head_dim=dice.choice((head, wider, 2 * head)),
        window=dice.randint(7, 40),
        max_context=512,
        kv_shared=layers - owners,
        double_wide=e2b,
        per_layer_width=unit * dice.randint(max(1, 16 // unit), max(1, 64 // unit)),
        shared_cache_scales=towers or dice.random() < 0.5,
        towers=SMALL_TOWERS if towers else None,
        per_layer_bits=4 if e2b else 2,
        shared_mlp_bits=2 if e2b else 4,
        softcap=dice.choice((30.0, 30.0, 15.0, None)),
        sliding_theta=dice.choice((10_000.0, 10_000.0, 1_000.0)),
        full_theta=dice.choice((1_000_000.0, 1_000_000.0, 50_000.0)),
        partial_rotary=dice.choice((0.25, 0.25, 0.5, 1.0)),
        temper=_temper(dice),
    )


def _head_dim(dice: random.Random, heads: int, unit: int) -> int:
    """Even, and such that the heads together are whole units."""
    sizes = [size for size in range(8, 66, 2) if heads * size % unit == 0]
    return dice.choice(sizes)


def _temper(dice: random.Random) -> Temper:
    """Calm as the small checkpoints, or nervous: residuals that are kept or grow, sharp attention, large logits."""
    if dice.random() < 0.5:
        return Temper()
    return Temper(
        scalars=(0.6, dice.choice((1.0, 1.1))),
        attention_spread=round(dice.uniform(0.7, 2.0), 2),
        logit_gain=round(dice.uniform(3.0, 7.0), 2),
    )
