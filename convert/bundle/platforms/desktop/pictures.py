"""Cuts an image into patches, by what the part ``feeding.images`` of a bundle's manifest says.

Needs pillow, once an image is given.
"""

from __future__ import annotations

import io
import json
import math
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 64 << 20  # of an image file
MOST_PIXELS = 64_000_000  # of an image; a decoder may take 6 bytes for each
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
# What the manifest says of images in single words, each with one meaning: another one would have to be done otherwise.
WORDS: dict[str, dict[str, Any]] = {
    "resize": {"rule": "largest_within", "filter": "bicubic"},
    "pixels": {"orientation": "exif_first", "alpha": "over_white", "channels": "rgb", "order": "rows_of_pixels"},
    "patches": {"order": "row_by_row", "positions": "x_y", "padding": None},
}


class ImageError(Exception):
    """An image cannot be shown to the model."""


@dataclass(frozen=True, eq=False)
class Cut:
    """An image as numbers, patch by patch, row by row.

    Attributes:
        size: width and height in pixels.
        patches: float32 ``[n, 3 * side * side]``.
        positions: int64 ``[n, 2]``, column and row of each.
    """

    size: tuple[int, int]
    patches: NDArray[np.float32]
    positions: NDArray[np.int64]


def told_in(folder: Path) -> dict[str, Any] | None:
    """What a bundle's manifest says of images; None where the bundle takes none, and without a manifest."""
    path = folder / "manifest.json"
    feeding = json.loads(path.read_text("utf-8")).get("feeding", {}) if path.is_file() else {}
    return feeding.get("images") or None


def call_of(told: dict[str, Any]) -> dict[str, Any]:
    """The one call that makes rows of patches.

    Raises:
        ImageError: the manifest says something of images that is not known here.
    """
    calls = [call for length in told["lengths"] for call in length["calls"]]
    known = all(told[part].get(name) == word for part, words in WORDS.items() for name, word in words.items())
    known = known and told["cut_by"] is None and len(calls) == 1 and told["lengths"][0]["patches"] is None
    if known and [one["meaning"] for one in calls[0]["outputs"]] == ["rows"]:
        return dict(calls[0])
    found = "manifest.json has rules for images that are not known here"
    raise ImageError(f"{found}. Take the gemma.py and pictures.py that came with it")


def cut(source: str | Path | bytes, told: dict[str, Any]) -> Cut:
    """An image from a file or its content, cut as a manifest says.

    Raises:
        ImageError: pillow is missing, or it is no image that can be decoded.
    """
    image = _resized(_decoded(source), told)
    return Cut(image.size, *_patches(image, told))


def _decoded(source: str | Path | bytes) -> Any:
    """An image upright and in RGB, what is transparent over white."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ImageError("images need pillow, which is not there: pip install pillow") from error
    content, name = (source, "image") if isinstance(source, bytes) else (_content(Path(source)), str(source))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what decodes; what is wrong is told below
        try:
            Image.init()
            image = Image.open(io.BytesIO(content), formats=[kind for kind in FORMATS if kind in Image.OPEN])
            if image.width * image.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            if image.mode == "F":
                raise ImageError(f"{name}: its pixels are floats, which are no colours. Save it as JPEG or PNG")
            image.load()
            return _opaque(image)
        except ImageError:
            raise
        except Image.DecompressionBombError as error:
            most = f"more than {MOST_PIXELS // 1_000_000} million pixels"
            raise ImageError(f"{name}: it has {most}. Make it smaller") from error
        except UnidentifiedImageError as error:
            kinds = f"no image of a known kind ({', '.join(FORMATS)}), or its head is damaged"
            raise ImageError(f"{name}: it is {kinds}. Save it as JPEG or PNG") from error
        except MemoryError as error:
            raise ImageError(f"{name}: memory is short for it. Make it smaller") from error
        except Exception as error:  # decoders raise what they like on damaged files
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise ImageError(f"{name}: it is damaged or cut short ({said}). Give a whole image file") from error


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():  # before opening: opening a pipe would wait for ever
            found = "it is no regular file" if path.exists() else "there is no such file"
            raise ImageError(f"{path}: {found}. Give the path of an image file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise ImageError(f"{path}: it cannot be read ({said}). Give the path of an image file") from error
    if not content:
        raise ImageError(f"{path}: it is empty. Give the path of an image file")
    if len(content) > MOST_BYTES:
        raise ImageError(f"{path}: it has more than {MOST_BYTES >> 20} MiB. Make it smaller")
    return content


def _opaque(image: Any) -> Any:
    from PIL import Image, ImageOps

    with suppress(Exception):  # damaged EXIF data turn nothing
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits a channel, by their upper ones
        levels = np.asarray(image).astype(np.int64).clip(0, (1 << 16) - 1) >> 8
        return Image.fromarray(levels.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _resized(image: Any, told: dict[str, Any]) -> Any:
    """The image as large as its tokens allow: the rule ``largest_within``."""
    from PIL import Image

    most, multiple = int(told["tokens"]), int(told["resize"]["multiple"])
    factor = math.sqrt(most * multiple * multiple / (image.width * image.height))
    wide, high = (math.floor(factor * side / multiple) for side in image.size)
    if not high:
        wide, high = min(image.width // image.height, most), 1
    elif not wide:
        wide, high = 1, min(image.height // image.width, most)
    size = wide * multiple, high * multiple
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def _patches(image: Any, told: dict[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    side, scale = int(told["patches"]["side"]), float(told["pixels"]["scale"])
    numbers = (np.asarray(image, np.float64) * scale).astype(np.float32)
    high, wide = image.height // side, image.width // side
    squares = numbers.reshape(high, side, wide, side, 3).transpose(0, 2, 1, 3, 4)
    rows, columns = np.indices((high, wide))
    return squares.reshape(high * wide, -1), np.stack([columns.reshape(-1), rows.reshape(-1)], axis=1).astype(np.int64)
