"""Picture files in folders that are named for what an app should make of them."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image

# What a decoder reads row by row, and what it holds as a whole.
ROWS, WHOLE, CUT_OFF, UNREADABLE = "rows", "whole", "CUT_OFF", "UNREADABLE"


def write_pictures(folder: Path) -> None:
    """Good files of every kind into ``rows`` and ``whole``, beginnings of them into ``CUT_OFF``, others' files into
    ``UNREADABLE``."""
    good = {
        name: (what, data) for what, files in (("rows", _rows()), ("whole", _whole())) for name, data in files.items()
    }
    for name, (what, data) in good.items():
        _write(folder / what / name, data)
        tail = 1 if name.endswith((".heic", ".webp", ".bmp")) else 0
        for keep in sorted({45, len(data) // 2, len(data) - 1 - tail}):
            _write(folder / CUT_OFF / f"{keep} of {name}", data[:keep])
    # Behind a JPEG's end cameras write what they like.
    _write(folder / ROWS / "trailer.jpg", good["baseline.jpg"][1] + b"\0" * 999)
    # A thumbnail has an end of its own; the picture around it is cut off.
    _write(folder / CUT_OFF / "thumbnail.jpg", good["thumbnail.jpg"][1][:-50])
    for name, data in _unreadable().items():
        _write(folder / UNREADABLE / name, data)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _saved(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def _noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8))


def _rows() -> dict[str, bytes]:
    noise = _noise()
    plain, thumbnail = _saved(noise, "JPEG"), _saved(noise.resize((8, 8)), "JPEG")
    exif = b"Exif\0\0" + thumbnail
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    return {
        "baseline.jpg": plain,
        "restarts.jpg": _saved(noise, "JPEG", restart_marker_rows=1),
        "thumbnail.jpg": plain[:2] + segment + plain[2:],
        "rgb.png": _saved(noise, "PNG"),
        "palette.png": _saved(noise.quantize(16), "PNG"),
    }


def _whole() -> dict[str, bytes]:
    noise = _noise()
    png = bytearray(_saved(noise, "PNG"))
    png[28] = 1  # interlaced, by its header
    box = struct.pack(">I4s4s", 12, b"ftyp", b"heic") + struct.pack(">I4s", 28, b"meta") + bytes(20)
    return {
        "progressive.jpg": _saved(noise, "JPEG", progressive=True),
        "interlaced.png": bytes(png),
        "lossy.webp": _saved(noise, "WEBP"),
        "lossless.webp": _saved(noise, "WEBP", lossless=True),
        "animated.gif": _saved(noise, "GIF", save_all=True, append_images=[noise.rotate(90)], duration=100),
        "plain.bmp": _saved(noise, "BMP"),
        "boxes.heic": box + struct.pack(">I4sQ", 1, b"mdat", 56) + bytes(40),
    }


def _unreadable() -> dict[str, bytes]:
    return {
        "text.jpg": b"this is no picture, whatever it is called" * 3,
        "page.pdf": b"%PDF-1.7\n" + bytes(99),
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "sound.wav": b"RIFF" + struct.pack("<I", 99) + b"WAVE" + bytes(99),
        "raw.dng": b"II*\0" + bytes(99),
        "end alone.jpg": b"\xff\xd8\xff\xd9",
        "short segment.jpg": b"\xff\xd8\xff\xe0\0\1" + bytes(99),
        "no header.png": b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 0, b"IEND") + bytes(99),
        "small box.heic": struct.pack(">I4s", 7, b"ftyp") + bytes(99),
        "odd block.gif": b"GIF89a" + bytes(7) + b"\x99" + bytes(99),
    }
