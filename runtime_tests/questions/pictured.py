"""Questions about pictures that a checkpoint brings: ``evaluation_images.jsonl``, a question a line.

A question is one message of the user whose content has parts as apps give them: images with their bytes in base64, and
texts. The answer is right where it is that text exactly.
"""

from __future__ import annotations

import base64
import binascii
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runtime_tests.errors import InputError
from runtime_tests.readers.regular import read_regular

FILE = "evaluation_images.jsonl"
MOST_BYTES, MOST_QUESTIONS, LONGEST_SIDE = 16 << 20, 5_000, 4096
Text = Annotated[str, Field(min_length=1, max_length=2_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Image(_Strict):
    type: Literal["image"]
    blob: Annotated[str, Field(min_length=1, max_length=1 << 20)]


class _Text(_Strict):
    type: Literal["text"]
    text: Text


class _Message(_Strict):
    role: Literal["user"]
    content: Annotated[list[Annotated[_Image | _Text, Field(discriminator="type")]], Field(min_length=2, max_length=8)]


class _Line(_Strict):
    id: Annotated[str, Field(pattern=r"^[\w.:/-]{1,100}$")]
    family: Annotated[str, Field(pattern=r"^[\w, -]{1,40}$")]
    messages: Annotated[list[_Message], Field(min_length=1, max_length=1)]
    answer: Text


@dataclass(frozen=True)
class Pictured:
    """A question about pictures.

    Attributes:
        content: parts in their order; of an image only its type.
        pictures: PIL images in RGB, in order of appearance.
    """

    id: str
    family: str
    content: tuple[dict[str, str], ...]
    pictures: tuple[Any, ...]
    answer: str


def read_pictured(folder: Path) -> tuple[Pictured, ...]:
    """The questions that a checkpoint brings; none where it has no such file.

    Raises:
        InputError: a line is no question, an id comes twice, or a picture cannot be read.
    """
    path = folder / FILE
    if not path.is_file():
        return ()
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{FILE}: {path.stat().st_size} bytes; at most {MOST_BYTES} are read")
        lines = read_regular(path).decode("utf-8").split("\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{FILE}: not UTF-8 at byte {error.start}") from error
    found: dict[str, Pictured] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        question = _question(f"{FILE}, line {number}", line)
        if question.id in found:
            raise InputError(f"{FILE}, line {number}: id {question.id!r} comes twice")
        found[question.id] = question
        if len(found) > MOST_QUESTIONS:
            raise InputError(f"{FILE}: more than {MOST_QUESTIONS} questions")
    if not found:
        raise InputError(f"{FILE}: no question; expected one a line")
    return tuple(found.values())


def _question(where: str, text: str) -> Pictured:
    try:
        line = _Line.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise InputError(f"{where}: {'.'.join(map(str, first['loc'])) or 'the line'}: {first['msg']}") from error
    if line.answer != line.answer.strip():
        raise InputError(f"{where}: the answer has spaces around it; an exact match is never found")
    parts = line.messages[0].content
    pictures = tuple(_opened(where, part.blob) for part in parts if isinstance(part, _Image))
    if not pictures:
        raise InputError(f"{where}: no image among the message's parts")
    content = tuple(
        {"type": "image"} if isinstance(part, _Image) else {"type": "text", "text": part.text} for part in parts
    )
    return Pictured(line.id, line.family, content, pictures, line.answer)


def _opened(where: str, blob: str) -> Any:
    """A PIL image in RGB; sizes are looked at before anything is unpacked."""
    from PIL import Image, UnidentifiedImageError

    try:
        picture = Image.open(io.BytesIO(base64.b64decode(blob, validate=True)), formats=("PNG",))
        if max(picture.size) > LONGEST_SIDE:
            size = " x ".join(map(str, picture.size))
            raise InputError(f"{where}: an image of {size} pixels, expected sides of at most {LONGEST_SIDE}")
        return picture.convert("RGB")
    except (binascii.Error, UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{where}: an image is no PNG in base64 ({' '.join(str(error).split())[:80]})") from error
