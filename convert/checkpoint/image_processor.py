"""How transformers turns an image into patches, as a checkpoint's files say: other ways than Gemma 4's are refused.

An engine cuts images itself, and the model file tells it the size of a patch and of the pool alone. Field names and
defaults follow transformers' ``Gemma4ImageProcessor``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field

from convert.checkpoint.fields import Fields, Flag, Model, one_of
from convert.checkpoint.strict_json import read_object

# The first that speaks of images counts: a processor's settings, then those of an image processor alone.
PROCESSOR, IMAGE_PROCESSOR = "processor_config.json", "preprocessor_config.json"
FILES = (PROCESSOR, IMAGE_PROCESSOR)
_ON = Field(description="true: engines always do it")
_ZEROS, _ONES = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]


class _Processor(Model):
    do_resize: Annotated[bool, one_of(True), _ON] = True
    do_rescale: Annotated[bool, one_of(True), _ON] = True
    do_convert_rgb: Annotated[bool | None, one_of(True, None), _ON] = True
    rescale_factor: Annotated[
        float, Field(ge=1 / 255 - 1e-9, le=1 / 255 + 1e-9, description="1/255: the tower is given numbers from 0 to 1")
    ] = 1 / 255
    resample: Annotated[int, one_of(3), Field(description="3, bicubic")] = 3
    patch_size: Annotated[int, one_of(16), Field(description="16, as in every Gemma 4")] = 16
    pooling_kernel_size: Annotated[int, one_of(3), Field(description="3, as in every Gemma 4")] = 3
    do_normalize: Flag = False


class _Normalized(Model):
    """Where pixels are normalized: by nothing."""

    image_mean: Annotated[list[float] | None, one_of(_ZEROS, None), Field(description="zeros")] = None
    image_std: Annotated[list[float] | None, one_of(_ONES, None), Field(description="ones")] = None


def check(folder: Path, asked: str) -> None:
    """Refuses a folder whose files ask for other patches. A folder without such a file is taken for Gemma 4's.

    Raises:
        CheckpointError: a file cannot be read, or one of its fields asks for something else.
    """
    for name in FILES:
        if not os.path.lexists(folder / name):
            continue
        found = Fields(read_object(folder / name, asked), name, asked)
        if name == PROCESSOR:
            if not found.has("image_processor"):
                continue
            found = found.object("image_processor")
        if found.read(_Processor).do_normalize:
            found.read(_Normalized)
        return
