"""How an image becomes rows of the text decoder: the part ``feeding.images`` of ``manifest.json``.

``mobile_samples/MANIFEST.md`` gives the recipe. The rules are those of transformers' ``Gemma4ImageProcessor``; what a
call takes is the target's to say, see ``Target.images``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from convert.strict import Number, Positive, Strict, Token

if TYPE_CHECKING:
    from convert.checkpoint.types import Checkpoint

VALUE_SCALE = 1 / 255  # ``convert.checkpoint.image_processor`` refuses any other


class Resize(Strict):
    """The size that an image gets.

    Attributes:
        rule: ``largest_within``: with f = sqrt(tokens * multiple**2 / (width * height)) a side becomes the largest
            multiple of ``multiple`` that is at most f times as long; a side that would be 0 becomes ``multiple``, and
            the other one floor(long / short) * ``multiple``, at most tokens * ``multiple``.
        multiple: pixels.
        filter: ``bicubic``: Keys' cubic with a = -0.5, as wide as the image is made smaller (PIL's BICUBIC); an image
            that has its size already is not touched.
    """

    rule: Literal["largest_within"]
    multiple: Positive
    filter: Literal["bicubic"]


class Pixels(Strict):
    """From an image to numbers.

    Attributes:
        orientation: ``exif_first``: it is turned as its EXIF data say before anything else.
        alpha: ``over_white``: what is transparent shows white.
        channels: ``rgb``: three bytes a pixel, in this order.
        scale: a byte times this is a number of a patch.
        order: ``rows_of_pixels``: in a patch row by row, pixel by pixel, its channels beside each other.
    """

    orientation: Literal["exif_first"]
    alpha: Literal["over_white"]
    channels: Literal["rgb"]
    scale: Number
    order: Literal["rows_of_pixels"]


class PatchPadding(Strict):
    """What fills a call that takes more patches than an image has, behind them.

    Attributes:
        patches: ``zeros``.
        position: both, x and y.
    """

    patches: Literal["zeros"]
    position: int


class Patches(Strict):
    """From numbers to patches.

    Attributes:
        side: of a patch, in pixels.
        pool: ``pool * pool`` patches, a square of them, become one token.
        order: ``row_by_row``: from the top left.
        positions: ``x_y``: the column and the row of each patch in the image, from 0.
        padding: null where a call takes as many as there are.
    """

    side: Positive
    pool: Positive
    order: Literal["row_by_row"]
    positions: Literal["x_y"]
    padding: PatchPadding | None


class ImageInput(Strict):
    """Where an input of a call comes from.

    Attributes:
        source: ``patches``, ``positions``, or ``earlier_call``: the output called ``output`` of the call before.
        output: null but for ``earlier_call``.
    """

    name: str
    source: Literal["patches", "positions", "earlier_call"]
    output: str | None


class ImageOutput(Strict):
    """What an output of a call is.

    Attributes:
        meaning: ``rows`` of the decoder, of which those of the image are the first; ``mask``: which of the rows are
            the image's; ``later_call``: the call behind takes it.
    """

    name: str
    meaning: Literal["rows", "mask", "later_call"]


class ImageCall(Strict):
    """A call that an image goes through.

    Attributes:
        model: file or folder in the bundle.
        section, function: as in ``signatures``.
    """

    model: str
    section: str
    function: str
    inputs: list[ImageInput]
    outputs: list[ImageOutput]


class ImageLength(Strict):
    """The calls for an image that becomes at most so many tokens, one after the other.

    Attributes:
        patches: that they take; those of the image and padding. null: as many as it has.
    """

    tokens: Positive
    patches: Annotated[int | None, Field(gt=0)]
    calls: list[ImageCall]


class Surroundings(Strict):
    """What stands in a conversation where the chat template prints ``each`` for an image: ``begin``, a row for each of
    its tokens, ``end``."""

    begin: Token
    each: Token
    end: Token


class ImageRuntime(Strict):
    """A runtime that cuts images by itself, with these figures and with a filter of its own.

    Attributes:
        formats: of the image files that it was given.
    """

    formats: list[Literal["jpeg", "png"]]


class Images(Strict):
    """How the model is given an image.

    Attributes:
        tokens: that an image becomes, at most.
        lengths: ascending; the first that has room for an image's tokens takes it.
        per_layer: whose per-layer embedding stands beside each row of an image; null where the model has none.
        cut_by: null: an app cuts images; else the runtime does and is given a file.
    """

    tokens: Positive
    resize: Resize
    pixels: Pixels
    patches: Patches
    lengths: list[ImageLength]
    around: Surroundings
    per_layer: Token | None
    cut_by: ImageRuntime | None


def size_of(width: int, height: int, tokens: int, multiple: int) -> tuple[int, int]:
    """Width and height that an image gets: the rule ``largest_within``.

    Source: transformers 5.22.2, ``get_aspect_ratio_preserving_size`` of ``Gemma4ImageProcessor``.

    >>> size_of(4032, 3024, 280, 48), size_of(5000, 1, 70, 48)
    ((912, 672), (3360, 48))
    """
    factor = math.sqrt(tokens * multiple**2 / (width * height))
    wide, high = (math.floor(factor * side / multiple) for side in (width, height))
    if not high:
        wide, high = min(width // height, tokens), 1
    elif not wide:
        wide, high = 1, min(height // width, tokens)
    return wide * multiple, high * multiple


def images(
    checkpoint: Checkpoint, lengths: list[ImageLength], *, padded: bool, formats: tuple[str, ...] = ()
) -> Images:
    """The part of a manifest.

    Args:
        lengths: the calls, fewest tokens first.
        padded: a call takes more patches than the image has.
        formats: of files that the runtime is given, where it cuts images itself.
    """
    config, settings = checkpoint.modules["vision"].config, checkpoint.settings

    def named(role: str) -> Token:
        token = settings.placeholders[role]
        return Token(id=token, text=settings.texts.get(token))

    wide = checkpoint.text.config.per_layer_width
    return Images(
        tokens=lengths[-1].tokens,
        resize=Resize(rule="largest_within", multiple=config.patch * config.pool, filter="bicubic"),
        pixels=Pixels(
            orientation="exif_first", alpha="over_white", channels="rgb", scale=VALUE_SCALE, order="rows_of_pixels"
        ),
        patches=Patches(
            side=config.patch,
            pool=config.pool,
            order="row_by_row",
            positions="x_y",
            padding=PatchPadding(patches="zeros", position=-1) if padded else None,
        ),
        lengths=lengths,
        around=Surroundings(begin=named("image_begin"), each=named("image"), end=named("image_end")),
        per_layer=Token(id=settings.pad, text=settings.texts.get(settings.pad)) if wide else None,
        cut_by=ImageRuntime(formats=list(formats)) if formats else None,  # type: ignore[arg-type]  # checked by the model
    )
