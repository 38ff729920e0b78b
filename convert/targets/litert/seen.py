"""What a finished ``.litertlm`` says of images: its signatures for them, as LiteRT-LM calls them."""

from __future__ import annotations

from convert.checkpoint.modules.vision import VisionConfig
from convert.checkpoint.types import Checkpoint
from convert.images import ImageCall, ImageInput, ImageLength, ImageOutput, Images
from convert.images import images as described
from convert.inspection.report import Report

ENCODER, ADAPTER = "tf_lite_vision_encoder", "tf_lite_vision_adapter"
USUAL = 280  # tokens of an image, where a file of another maker does not say
FORMATS = ("jpeg", "png")  # that were given to the engine; it decodes neither HEIC nor WebP
# What the engine takes: so many widths of the tower for each patch, and beside them the scores of some queries and a
# piece of an MLP. Of E2B's widths that makes 50, 74 and 120 MB for 70, 140 and 280 tokens; 31, 60 and 110 MB were seen
# [litert-lm-api 0.18.1, two threads].
WIDTHS, BESIDE = 12, 26 << 20


def images(checkpoint: Checkpoint, model: str, found: Report) -> Images | None:
    """See ``Target.images``.

    Args:
        model: name of the file.
        found: of the finished file.
    """
    if not found.images:
        return None
    square = checkpoint.modules["vision"].config.pool ** 2
    lengths = [ImageLength(tokens=n, patches=n * square, calls=_calls(model, n)) for n in found.images]
    return described(checkpoint, lengths, padded=True, formats=FORMATS)


def image_tokens(found: Report) -> int | None:
    """Tokens that an image becomes, at most; None where a file takes none."""
    return max(found.images, default=USUAL) if found.section(ENCODER) else None


def working(config: VisionConfig, tokens: int) -> int:
    """See ``Target.image_working``."""
    return 4 * tokens * config.pool**2 * WIDTHS * config.hidden + BESIDE


def _calls(model: str, tokens: int) -> list[ImageCall]:
    encoder = ImageCall(
        model=model,
        section=ENCODER,
        function=f"vision_{tokens}",
        inputs=[
            ImageInput(name="images", source="patches", output=None),
            ImageInput(name="positions_xy", source="positions", output=None),
        ],
        outputs=[
            ImageOutput(name="features", meaning="later_call"),
            ImageOutput(name="mask", meaning="mask"),
        ],
    )
    adapter = ImageCall(
        model=model,
        section=ADAPTER,
        function=f"vision_adapter_{tokens}",
        inputs=[ImageInput(name="soft_tokens", source="earlier_call", output="features")],
        outputs=[ImageOutput(name="mm_embedding", meaning="rows")],
    )
    return [encoder, adapter]
