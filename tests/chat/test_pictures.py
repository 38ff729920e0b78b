"""Image files in chat: what hostile ones come to, and that the engine is handed what transformers would see."""

from __future__ import annotations

import base64
import io
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convert.chat import pictures
from convert.chat.pictures import read
from convert.errors import PlanError
from convert.images import size_of
from runtime_tests.reference.vision.patches import Sizes, make
from runtime_tests.reference.vision.pictures import drawn

SIZES, TOKENS = Sizes(16, 3, 10_240), 70


def saved(path: Path, image: Image.Image, **how: object) -> Path:
    image.save(path, **how)  # type: ignore[arg-type]
    return path


def handed(path: Path) -> Image.Image:
    """The image as the engine is given it."""
    image = Image.open(io.BytesIO(base64.b64decode(read(path, TOKENS).png)))
    assert (image.format, image.mode) == ("PNG", "RGB")
    return image


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    out = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"\0" * 400)), (b"IEND", b"")):
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return out


def jpeg(width: int, height: int) -> bytes:
    """A small one whose head says another size."""
    out = io.BytesIO()
    drawn(1, 40, 30).save(out, "JPEG")
    made = bytearray(out.getvalue())
    at = made.index(b"\xff\xc0") + 5
    made[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(made)


def half(format: str) -> bytes:
    out = io.BytesIO()
    drawn(1, 90, 60).save(out, format)
    return out.getvalue()[: len(out.getvalue()) // 2]


CUT = r"it is damaged or cut short \(.+\)$"
HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "it is empty"),
    "text": (b"hello", "it is no image of a known kind (AVIF, BMP, GIF, JPEG, PNG, TIFF or WEBP), or its head"),
    "pdf": (b"%PDF-1.4 and more", "it is no image of a known kind"),
    "drawing": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "it is no image of a known kind"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "it is a HEIC image, which cannot be decoded here"),
    "PNG cut short": (half("PNG"), CUT),
    "JPEG cut short": (half("JPEG"), CUT),
    "WebP cut short": (half("WEBP"), CUT),
    "a head alone": (png(9, 9)[:20], CUT),
    "no height": (png(9, 0), "it is no image of a known kind"),
    "PNG bomb": (png(60_000, 60_000), "more than 64 million pixels"),
    "a smaller bomb": (png(9_000, 9_000), "it has 9,000 x 9,000 pixels, more than 64 million pixels"),
    "the largest bomb": (png(2**31 - 1, 2**31 - 1), "more than 64 million pixels"),
    "JPEG bomb": (jpeg(65_000, 65_000), "more than 64 million pixels"),
    "a bomb in a profile": (png(9, 9, (b"iCCP", b"x\0\0" + zlib.compress(bytes(9 << 20)))), CUT),
    "a bomb in a text": (png(9, 9, (b"zTXt", b"x\0\0" + zlib.compress(bytes(9 << 20)))), CUT),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_line(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content, words = HOSTILE[name]
    path = tmp_path / "image"
    path.write_bytes(content)
    with pytest.raises(PlanError) as refused:
        read(path, TOKENS)
    assert re.search(words if words == CUT else re.escape(words), refused.value.found), refused.value.found
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith(f"chat --image {path}: ")
    assert "".join(capfd.readouterr()) == ""


def test_what_is_no_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(bytes(2000))
    monkeypatch.setattr(pictures, "MOST_BYTES", 1999)
    for path, words in (
        (tmp_path / "gone", "there is no such file"),
        (tmp_path, "it is a folder"),
        (tmp_path / "pipe", "it is no regular file"),
        (Path("x" * 5000), "it cannot be read (File name too long)"),
        (tmp_path / "large", "it has more than 0 MiB"),
    ):
        with pytest.raises(PlanError) as refused:
            read(path, TOKENS)
        assert refused.value.found == words


def grey16(path: Path) -> Path:
    wide = np.asarray(drawn(3, 96, 70).convert("L"), np.uint16) << 8 | 0x5A
    return saved(path.with_suffix(".png"), Image.fromarray(wide))


def paletted(path: Path) -> Path:
    return saved(path.with_suffix(".gif"), drawn(3, 96, 70).quantize(32))


KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[], Image.Image]]] = {
    "PNG": (lambda at: saved(at.with_suffix(".png"), drawn(3, 97, 70)), lambda: drawn(3, 97, 70)),
    "WebP": (lambda at: saved(at.with_suffix(".webp"), drawn(3, 97, 70), lossless=True), lambda: drawn(3, 97, 70)),
    "BMP": (lambda at: saved(at.with_suffix(".bmp"), drawn(3, 97, 70)), lambda: drawn(3, 97, 70)),
    "TIFF": (lambda at: saved(at.with_suffix(".tif"), drawn(3, 97, 70)), lambda: drawn(3, 97, 70)),
    "grey": (
        lambda at: saved(at.with_suffix(".png"), drawn(3, 97, 70).convert("L")),
        lambda: drawn(3, 97, 70).convert("L").convert("RGB"),
    ),
    "16 bits": (grey16, lambda: drawn(3, 96, 70).convert("L").convert("RGB")),
    "a palette": (paletted, lambda: drawn(3, 96, 70).quantize(32).convert("RGB")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_engine_is_handed_what_transformers_makes_of_an_image(kind: str, tmp_path: Path) -> None:
    """And no more has to be resized: its patches are the same."""
    write, shows = KINDS[kind]
    given, expected = handed(write(tmp_path / "image")), make("", shows(), TOKENS, SIZES)
    found = make("", given, TOKENS, SIZES)
    assert found.rows * 48**2 == given.width * given.height
    assert np.array_equal(found.pixels, expected.pixels)
    assert np.array_equal(found.positions, expected.positions)


def test_an_image_is_turned_as_its_exif_data_say(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = drawn(4, 144, 96)
    found = handed(saved(tmp_path / "turned.png", lying, exif=exif))
    upright = lying.transpose(Image.Transpose.ROTATE_270)
    expected = handed(saved(tmp_path / "upright.png", upright))
    assert found.height > found.width
    assert np.array_equal(found, expected)
    odd = saved(tmp_path / "odd.jpg", lying, exif=exif)
    odd.write_bytes(odd.read_bytes().replace(b"MM\0*", b"MM\xff*").replace(b"II*\0", b"II*\xff"))
    assert handed(odd).width > handed(odd).height  # damaged data turn nothing


def test_what_is_transparent_shows_white(tmp_path: Path) -> None:
    clear = drawn(5, 96, 96)
    clear.putalpha(0)
    assert np.asarray(handed(saved(tmp_path / "clear.png", clear))).min() == 255
    cmyk = saved(tmp_path / "cmyk.jpg", Image.new("CMYK", (48, 48), (0, 255, 255, 0)))
    red, green, blue = np.asarray(handed(cmyk)).reshape(-1, 3).mean(axis=0)
    assert (red > 240, green < 15, blue < 15) == (True, True, True)


@pytest.mark.parametrize("size", [(5000, 1), (1, 700), (1, 1), (3, 2)])
def test_images_of_few_pixels_are_handed_over(size: tuple[int, int], tmp_path: Path) -> None:
    path = saved(tmp_path / "thin.png", drawn(6, *size))
    found = read(path, TOKENS)
    assert found.size == size_of(*size, TOKENS, 48)
    assert found.tokens == found.size[0] * found.size[1] // 48**2 + 2 <= TOKENS + 2


def test_a_size_that_the_rule_would_change_again_is_left_to_the_engine(tmp_path: Path) -> None:
    """Ten to one in a budget of 19 tokens becomes 480 x 48, and that 624 x 48."""
    assert size_of(100, 16, 19, 48) == (480, 48)
    assert size_of(480, 48, 19, 48) == (624, 48)
    path = saved(tmp_path / "thin.png", drawn(6, 100, 16))
    image = Image.open(io.BytesIO(base64.b64decode(read(path, 19).png)))
    assert image.size == (100, 16)
