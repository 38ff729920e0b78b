"""What a finished package for images says of them: its functions, as an app calls them."""

from __future__ import annotations

from convert.checkpoint.modules.vision import VisionConfig
from convert.checkpoint.types import Checkpoint
from convert.images import ImageCall, ImageInput, ImageLength, ImageOutput, Images
from convert.images import images as described
from convert.inspection.report import Report
from convert.targets.coreml.package import VISION

SECTION = "vision"
# Floats that are held for each patch at once, in widths of the tower, and scores of some queries: an estimate from the
# program, upwards; nothing was measured on a device.
OF_INNER, OF_HIDDEN, SCORES = 3, 6, 48 << 20


def images(checkpoint: Checkpoint, found: Report) -> Images:
    """See ``Target.images``; ``found`` is the finished package's."""
    square = checkpoint.modules["vision"].config.pool ** 2
    numbers = sorted(int(signature.name.rpartition("_")[2]) for signature in found.signatures)
    lengths = [ImageLength(tokens=n, patches=n * square, calls=[_call(n)]) for n in numbers]
    return described(checkpoint, lengths, padded=True)


def working(config: VisionConfig, tokens: int) -> int:
    """See ``Target.image_working``."""
    return SCORES + 4 * tokens * config.pool**2 * (OF_INNER * config.intermediate + OF_HIDDEN * config.hidden)


def _call(tokens: int) -> ImageCall:
    return ImageCall(
        model=VISION,
        section=SECTION,
        function=f"vision_{tokens}",
        inputs=[
            ImageInput(name="images", source="patches", output=None),
            ImageInput(name="positions_xy", source="positions", output=None),
        ],
        outputs=[ImageOutput(name="rows", meaning="rows")],
    )
