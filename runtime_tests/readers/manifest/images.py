"""How a bundle says that its model is given an image: the part ``feeding.images`` of manifest.json, read strictly.

``mobile_samples/MANIFEST.md`` says what each field means.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_Positive = Annotated[int, Field(gt=0, lt=1 << 16)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ImageToken(_Part):
    """A token: ``text`` is None where the tokenizer has none of this id."""

    id: Annotated[int, Field(ge=0, lt=1 << 31)]
    text: str | None


class Resize(_Part):
    """The size that an image gets."""

    rule: Literal["largest_within"]
    multiple: _Positive
    filter: Literal["bicubic"]


class Pixels(_Part):
    """From an image to numbers."""

    orientation: Literal["exif_first"]
    alpha: Literal["over_white"]
    channels: Literal["rgb"]
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    order: Literal["rows_of_pixels"]


class PatchPadding(_Part):
    """What fills a call behind an image's own patches."""

    patches: Literal["zeros"]
    position: int


class Patches(_Part):
    """From numbers to patches; ``padding`` is None where a call takes as many as there are."""

    side: _Positive
    pool: _Positive
    order: Literal["row_by_row"]
    positions: Literal["x_y"]
    padding: PatchPadding | None


class ImageInput(_Part):
    """Where an input of a call comes from."""

    name: str
    source: Literal["patches", "positions", "earlier_call"]
    output: str | None


class ImageOutput(_Part):
    """What an output of a call is."""

    name: str
    meaning: Literal["rows", "mask", "later_call"]


class ImageCall(_Part):
    """A call that an image goes through."""

    model: str
    section: str
    function: str
    inputs: list[ImageInput]
    outputs: list[ImageOutput]


class ImageLength(_Part):
    """The calls for an image of at most so many tokens; ``patches`` is None where they take as many as it has."""

    tokens: _Positive
    patches: Annotated[int | None, Field(gt=0, lt=1 << 20)]
    calls: list[ImageCall]


class Surroundings(_Part):
    """What stands where the chat template prints ``each`` for an image."""

    begin: ImageToken
    each: ImageToken
    end: ImageToken


class ImageRuntime(_Part):
    """A runtime that cuts images by itself."""

    formats: list[Literal["jpeg", "png"]]


class Images(_Part):
    """The whole part; ``cut_by`` is None where an app cuts images."""

    tokens: _Positive
    resize: Resize
    pixels: Pixels
    patches: Patches
    lengths: Annotated[list[ImageLength], Field(min_length=1)]
    around: Surroundings
    per_layer: ImageToken | None
    cut_by: ImageRuntime | None
