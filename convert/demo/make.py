"""Writes the embedded demo checkpoint again: ``python -m convert.demo.make [FOLDER]``. The bytes never change."""

from __future__ import annotations

import sys
from pathlib import Path

from convert.demo import folder
from convert.demo.shapes import DEMO
from convert.demo.write import write_checkpoint

SEED = 1
# A hundred times what float32 sums differ by between machines.
MIN_MARGIN = 1e-4

MODEL_CARD = """\
---
license: apache-2.0
library_name: transformers
tags: [gemma4, test]
---

# Demo checkpoint

A Gemma 4 of random weights. **It is not trained and knows nothing**: its text is noise.

It is here so that everything that follows a real checkpoint - reading, lowering, packaging, parity, the phone app -
runs in seconds, without a download and without an account. Its files are in exactly the layout of
`google/gemma-4-E2B-it-qat-mobile-transformers`: packed 2, 4 and 8-bit integers, per-channel scales, static int8
activation scales measured on this very network, per-layer embeddings, keys and values shared by the last layers.
transformers 5.22.2 loads it with `AutoModelForCausalLM.from_pretrained`.

| | |
|---|---|
| layers | {layers}, of which the last {kv_shared} share keys and values |
| hidden size | {hidden} |
| vocabulary | {vocab}, a byte-pair encoding of a few hundred template sentences |
| context | {max_context} tokens, sliding window {window} |

`python -m convert.demo.make` writes the same bytes again. No weight and no line of text comes from a published model;
the special tokens have Gemma's names and numbers.
"""


def make(target: Path) -> None:
    """Writes the demo checkpoint and its model card into ``target``.

    Raises:
        ValueError: the calibration sits where another machine could round it differently.
    """
    write_checkpoint(target, DEMO, "mobile", SEED, min_margin=MIN_MARGIN)
    (target / "README.md").write_text(MODEL_CARD.format_map(vars(DEMO)), "utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else folder())
