"""The model card's part about pictures."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from convert.demo.train.card import families
from convert.demo.train.score import interval
from convert.demo.train.vision.exam import COUNTED
from convert.demo.train.vision.pictures import HELD_OUT, WHERE
from convert.demo.train.vision.stages import Recipe

TITLE = "## Pictures"
LIMITS = "## Limits"
PART = """\
## Pictures

A vision tower of {parameters:.2f} million parameters stands in front of the decoder: {layers} layers, hidden size
{hidden}, {heads} heads of {head_dim}, as Gemma 4's (patches of 16 pixels, 3 x 3 of them a row, axial RoPE, no
clipping). Its linears have 8 bits and static int8 activations; patch embedder, positions, norms and projection are
bfloat16. A picture becomes at most {tokens} rows. `Gemma4ForConditionalGeneration` loads it; the decoder is the same,
bit for bit, as without it.

Data: pictures drawn by `convert/demo/train/vision` - a digit in seven strokes, one shape somewhere, or two to five of
one shape - in eight colors on a dark ground, and one question before which the picture stands. Held out: one pair of
digit and color in {held_out}; and of one pair of shape and color in {held_out}, one place or arrangement in {where}.
`evaluation_images.jsonl` has {questions} questions about held-out ones, a quarter of them of sizes that have to be
resized. It asks for numbers of shapes up to {counted}: four and five are told apart as well, but some by a hair, and
such answers say nothing of a conversion.

Training: `python -m convert.demo.train.vision`: {look} steps of telling what there is, without the decoder; {told}
steps of finding rows that make the frozen decoder answer, without pictures, and {like} of giving such rows; {speak}
steps in float through both; {aware} steps on the mobile grid, activation steps measured after {activations} of them
and frozen. AdamW, batches of {batches} pictures, seeded.

Right, in transformers, greedily, the whole answer: {right} of {questions}, {share:.1f} % ({low:.1f} - {high:.1f} %).

{families}

It answers in one word, about such pictures alone, square ones, and when the picture comes before the question.

"""


def with_sight(text: str, recipe: Recipe, width: int, questions: str, right: Sequence[bool]) -> str:
    """A text model's README.md with the part about pictures, in front of its limits; an older part is replaced.

    Args:
        width: of the decoder.
    """
    from convert.demo.writing.tower import floats, linears

    shape, courses = recipe.shape, (recipe.look, recipe.told, recipe.like, recipe.speak, recipe.aware)
    before, found, limits = text.partition(LIMITS)
    before = before.partition(TITLE)[0]
    matrices = sum(matrix.rows * matrix.columns for matrix in linears(shape))
    dense = sum(prod(dims) for _, dims in floats(shape, width))
    low, high = interval(sum(right), len(right))
    part = PART.format_map(
        {
            **vars(shape),
            "parameters": (matrices + dense) / 1e6,
            "held_out": HELD_OUT,
            "where": WHERE,
            "counted": COUNTED,
            "questions": len(right),
            "look": recipe.look.steps,
            "told": recipe.told.steps,
            "like": recipe.like.steps,
            "speak": recipe.speak.steps,
            "aware": recipe.aware.steps,
            "activations": int(recipe.aware.steps * recipe.activations_at),
            "batches": " or ".join(map(str, sorted({each.rows for each in courses}))),
            "right": sum(right),
            "share": 100 * sum(right) / len(right),
            "low": 100 * low,
            "high": 100 * high,
            "families": families(questions, right),
        }
    )
    return before + part + found + limits
