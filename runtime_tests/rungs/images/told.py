"""Rung 0, what a bundle says of giving its model an image: tokens against the checkpoint's files, and images that are
cut by it alone against transformers' own processor."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from runtime_tests.case import Case
from runtime_tests.errors import CannotRunError
from runtime_tests.readers.manifest.images import Images
from runtime_tests.reference.vision.pictures import drawn, pictures
from runtime_tests.results import Check, at_most, none
from runtime_tests.rungs.images.cutting import cut

# transformers divides a byte by 255 in double and rounds; a product in double may round to the other side.
ROUNDING = 1e-7
_TURNED = 6  # EXIF: to be turned clockwise by a quarter
_RATIO = 9  # of the longest images that are cut here


def compare_images(case: Case, takes: bool) -> list[Check]:
    """What the bundle states of images; nothing to check where it states nothing of feeding.

    Args:
        takes: the model takes images.
    """
    if case.feeding is None or (case.feeding.images is None and not takes):
        return []
    said = case.feeding.images
    if said is None or not takes:
        found = "the model takes them, images is null" if said is None else "the model takes none"
        return [none("feeding: images", [found], "differences", 1)]
    return [none("feeding: images", _tokens(case, said), "differences", 4), *_cut(said)]


def _tokens(case: Case, said: Images) -> list[str]:
    config, around = case.folder.transformers, said.around
    pad = config.get_text_config().pad_token_id
    expected = {
        "begin": (around.begin, config.boi_token_id),
        "each": (around.each, config.image_token_id),
        "end": (around.end, config.eoi_token_id),
    }
    wrong = [
        f"{name}: {token.id} {token.text!r}, expected {id} {case.spelled(id)!r}"
        for name, (token, id) in expected.items()
        if (token.id, token.text) != (id, case.spelled(id))
    ]
    beside = None if said.per_layer is None else said.per_layer.id
    if beside != (wanted := pad if case.dims.per_layer_width else None):
        wrong.append(f"per_layer: {beside}, expected {wanted}")
    return wrong


def _cut(said: Images) -> list[Check]:
    """Patches and positions of images of many kinds."""
    from transformers.image_utils import load_image
    from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

    processor = Gemma4ImageProcessorPil()
    wrong, farthest, worst = [], 0.0, ""
    made = {name: draw for name, draw in pictures(_RATIO).items() if name != "huge"} | {"turned": _turned}
    for name, draw in made.items():
        picture = draw()
        try:
            found = cut(picture, said)
        except CannotRunError as error:
            wrong.append(f"{name}: {error}")
            continue
        # What loads an image turns it, and drops what the processor itself lays over white.
        loaded = picture if picture.has_transparency_data else load_image(picture)
        try:
            given = processor(images=[loaded], max_soft_tokens=said.tokens, return_tensors="np")
        except ValueError:  # of a number of tokens that it does not know
            return [
                none("feeding: images", [f"tokens: {said.tokens}, transformers has no such budget"], "differences", 1)
            ]
        own = len(found.positions)
        if found.tokens != int(given["num_soft_tokens_per_image"][0]):
            wrong.append(f"{name}: {found.tokens} tokens, expected {given['num_soft_tokens_per_image'][0]}")
            continue
        if found.pixels.shape[1] != given["pixel_values"].shape[2]:
            wrong.append(f"{name}: {found.pixels.shape[1]} numbers a patch, expected {given['pixel_values'].shape[2]}")
            continue
        pixels, positions = found.padded(said, len(given["pixel_values"][0]))
        if not np.array_equal(positions[:own], given["image_position_ids"][0][:own]):
            wrong.append(f"{name}: other positions")
        if said.patches.padding is not None and not np.array_equal(positions, given["image_position_ids"][0]):
            wrong.append(f"{name}: other padding")
        away = float(np.abs(pixels[:own] - given["pixel_values"][0][:own]).max())
        farthest, worst = max((farthest, worst), (away, name))
    return [
        none("feeding: images cut otherwise than by transformers", wrong, "images", len(made)),
        at_most("feeding: a number of a patch, largest difference", farthest, ROUNDING, "of 1", worst),
    ]


def _turned() -> Any:
    """As a camera writes an image that was taken upright."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = _TURNED
    out = io.BytesIO()
    drawn(10, 160, 90).save(out, "PNG", exif=exif)
    return Image.open(out)
