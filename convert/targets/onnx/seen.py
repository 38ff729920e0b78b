"""What a finished model says of images: the one call that makes rows of them."""

from __future__ import annotations

from pathlib import Path

from convert.checkpoint.modules.vision import VisionConfig
from convert.checkpoint.types import Checkpoint
from convert.errors import ArtifactError
from convert.images import ImageCall, ImageInput, ImageLength, ImageOutput, Images
from convert.images import images as described
from convert.targets.onnx.inspect import said
from convert.targets.onnx.names import IMAGE_TOKENS

# Floats that the runtime holds for each patch at once, in widths of the tower, beside the scores of some queries.
OF_INNER, OF_HIDDEN, SCORES = 4, 6, 48 << 20


def images(checkpoint: Checkpoint, model: Path) -> Images:
    """See ``Target.images``.

    Raises:
        ArtifactError: the model does not say how many rows an image may become.
    """
    rows = said(model, IMAGE_TOKENS)
    if not rows.isdecimal():
        raise ArtifactError(f"inspect {model.name}", f"its metadata says {IMAGE_TOKENS} {rows!r}", "Report this")
    call = ImageCall(
        model=model.name,
        section=model.stem,
        function="run",
        inputs=[
            ImageInput(name="pixel_values", source="patches", output=None),
            ImageInput(name="pixel_position_ids", source="positions", output=None),
        ],
        outputs=[ImageOutput(name="image_features", meaning="rows")],
    )
    return described(checkpoint, [ImageLength(tokens=int(rows), patches=None, calls=[call])], padded=False)


def working(config: VisionConfig, tokens: int) -> int:
    """See ``Target.image_working``."""
    return 4 * tokens * config.pool**2 * (OF_INNER * config.intermediate + OF_HIDDEN * config.hidden) + SCORES
