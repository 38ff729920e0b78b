"""How long and how fast the tower's stages are trained, and on pictures of which sizes."""

from __future__ import annotations

from dataclasses import dataclass

from convert.demo.train.vision.pictures import KINDS
from convert.demo.writing.tower import POOL

# Sizes of a batch's pictures after an engine's resizing, in rows of the decoder across and down: square ones.
SIZES = ((8, 8),)
QUESTIONS = 3  # about a picture
ALL = POOL**2


@dataclass(frozen=True)
class Course:
    """How long and how fast.

    Attributes:
        steps: updates.
        rows: pictures of a batch.
        rate: highest learning rate.
        seed: of the pictures.
        kept: patches of each row's square of nine that the tower is given.
        kinds: of pictures, drawn equally often.
        nameless: share of pictures in colours without a name, so that shapes are learned apart from colours.
        warm_up: steps until the rate is reached.
    """

    steps: int
    rows: int
    rate: float
    seed: int
    kept: int = ALL
    kinds: tuple[str, ...] = KINDS
    nameless: float = 0.0
    warm_up: int = 100
