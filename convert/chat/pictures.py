"""Image files as the engine is given them: decoded here, so that a hostile file is one line and not the engine's end.

The engine decodes JPEG, PNG and a few others, turns nothing, shows what lies under transparent parts, and resizes with
a filter of its own. So every image is decoded here, turned as its EXIF data say, laid over white, and brought to the
size that it has for the model with transformers' filter; then the engine has nothing to resize, and the model sees what
it sees in transformers. Where the same rule would change that size once more, as with 2:1 within 70 tokens, the engine
is left to resize: the loop of a desktop bundle does it as transformers, and is given all pixels.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from convert.errors import PlanError
from convert.images import size_of

if TYPE_CHECKING:
    from PIL.Image import Image

COMMAND = "/image"
MOST_BYTES = 64 << 20  # of a file
MOST_PIXELS = 64_000_000  # above the 48 million of phones; a decoder may take 6 bytes for each
MOST_HANDED_OVER = 4_000_000  # pixels of an image that the engine resizes
MULTIPLE = 48  # pixels: three patches of 16, as every Gemma 4 has them
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


@dataclass(frozen=True)
class Picture:
    """An image as it is handed over.

    Attributes:
        name: of its file.
        png: base64.
        size: width and height for the model.
        tokens: that it takes of the context, with the two around it.
    """

    name: str
    png: str
    size: tuple[int, int]
    tokens: int

    def part(self) -> dict[str, Any]:
        """As a part of a message."""
        return {"type": "image", "blob": self.png}


def read(path: Path, tokens: int, most_pixels: int = MOST_HANDED_OVER) -> Picture:
    """Reads a file.

    Args:
        tokens: that an image becomes, at most.
        most_pixels: of an image that the engine is left to resize.

    Raises:
        PlanError: it is no image that can be decoded here, or a larger one than is taken.
    """
    asked = f"chat --image {path}"
    content = _content(path, asked)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries that decode; what is wrong is told below
        image = _decoded(content, asked)
    size = size_of(*image.size, tokens, MULTIPLE)
    if size_of(*size, tokens, MULTIPLE) == size:
        image = _resized(image, size)
    elif image.width * image.height > most_pixels:
        part = (most_pixels / (image.width * image.height)) ** 0.5
        image = _resized(image, (max(1, int(image.width * part)), max(1, int(image.height * part))))
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    taken = size[0] * size[1] // MULTIPLE**2 + 2
    return Picture(path.name, base64.b64encode(out.getvalue()).decode("ascii"), size, taken)


def asked_for(paths: Sequence[Path], tokens: int | None, most_pixels: int = MOST_HANDED_OVER) -> list[Picture]:
    """Images that were asked for with ``--image``.

    Args:
        tokens: that an image becomes, at most; None: the model takes none.
        most_pixels: see :func:`read`.

    Raises:
        PlanError: see :func:`read`; or the model takes no images.
    """
    if paths and tokens is None:
        _refuse("chat --image")
    return [read(path, tokens, most_pixels) for path in paths if tokens is not None]


def of_command(line: str, tokens: int | None, most_pixels: int = MOST_HANDED_OVER) -> Picture | None:
    """The image of a line ``/image FILE``; None: it is another line.

    Raises:
        PlanError: see :func:`asked_for`; or no file is named.
    """
    word, _, rest = line.partition(" ")
    if word != COMMAND:
        return None
    if tokens is None:
        _refuse(COMMAND)
    name = rest.strip()
    if len(name) > 1 and name[0] == name[-1] and name[0] in "'\"":  # as terminals write what is dropped on them
        name = name[1:-1]
    if not name:
        raise PlanError(COMMAND, "it names no file", f"Say {COMMAND} FILE")
    path = Path(name)
    with suppress(RuntimeError):  # ~ of a user that there is not
        path = path.expanduser()
    return read(path, tokens, most_pixels)


def _refuse(asked: str) -> NoReturn:
    advice = "Take a bundle of a model with a vision tower, built without --modalities text"
    raise PlanError(asked, "this bundle can be given no images here", advice)


def _content(path: Path, asked: str) -> bytes:
    advice = "Give the path of an image file"
    try:
        if not path.exists():
            raise PlanError(asked, "there is no such file", advice)
        if not path.is_file():  # before opening: opening a pipe would wait for ever
            raise PlanError(asked, "it is a folder" if path.is_dir() else "it is no regular file", advice)
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise PlanError(asked, f"it cannot be read ({said})", advice) from error
    if not content:
        raise PlanError(asked, "it is empty", advice)
    if len(content) > MOST_BYTES:
        raise PlanError(asked, f"it has more than {MOST_BYTES >> 20} MiB", "Make it smaller")
    return content


def _decoded(content: bytes, asked: str) -> Image:
    """Upright and without transparency, in RGB."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        _unknown(content, asked)
    except Image.DecompressionBombError:
        _too_many(asked, "it has")
    except Exception as error:  # decoders raise what they like on damaged headers
        _damaged(error, asked)
    wide, high = image.size
    if wide * high > MOST_PIXELS:
        _too_many(asked, f"it has {wide:,} x {high:,} pixels,")
    if image.mode == "F":
        raise PlanError(asked, "its pixels are floats, which are no colours", "Save it as JPEG or PNG")
    try:
        image.load()
        upright = _upright(image)
        return _opaque(upright)
    except MemoryError as error:
        raise PlanError(asked, "memory is short for it", "Make it smaller") from error
    except Exception as error:  # as above
        _damaged(error, asked)


def _upright(image: Image) -> Image:
    """Turned as its EXIF data say; damaged ones say nothing."""
    from PIL import ImageOps

    with suppress(Exception):
        return ImageOps.exif_transpose(image)
    return image


def _opaque(image: Image) -> Image:
    """In RGB: what is transparent over white, 16 bits a channel by their upper ones."""
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64).clip(0, (1 << 16) - 1) >> 8
        return Image.fromarray(levels.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return image.convert("RGB")


def _resized(image: Image, size: tuple[int, int]) -> Image:
    from PIL import Image

    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def _unknown(content: bytes, asked: str) -> NoReturn:
    advice = "Save it as JPEG or PNG"
    if content[4:8] == b"ftyp" and content[8:12] in _HEIC:
        raise PlanError(asked, "it is a HEIC image, which cannot be decoded here", advice)
    names = ", ".join(FORMATS[:-1])
    raise PlanError(asked, f"it is no image of a known kind ({names} or {FORMATS[-1]}), or its head is damaged", advice)


def _too_many(asked: str, what: str) -> NoReturn:
    raise PlanError(asked, f"{what} more than {MOST_PIXELS // 1_000_000} million pixels", "Make it smaller")


def _damaged(error: Exception, asked: str) -> NoReturn:
    said = " ".join(str(error).split())[:200] or type(error).__name__
    raise PlanError(asked, f"it is damaged or cut short ({said})", "Give a whole image file") from error
