"""Questions about pictures as a file: what is read, and what is refused in one line."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest

from runtime_tests.errors import InputError
from runtime_tests.questions.pictured import FILE, read_pictured


def png(size: tuple[int, int] = (3, 2), kind: str = "PNG") -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", size, (9, 8, 7)).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def line(**changed: Any) -> dict[str, Any]:
    parts = [{"type": "image", "blob": png()}, {"type": "text", "text": "How many?"}]
    whole = {"id": "a", "family": "count", "messages": [{"role": "user", "content": parts}], "answer": "3"}
    return {**whole, **changed}


def written(folder: Path, *lines: Any) -> Path:
    (folder / FILE).write_text("".join(json.dumps(each) + "\n" for each in lines), "utf-8")
    return folder


def test_pictures_are_opened_and_their_bytes_left_out_of_what_a_template_sees(tmp_path: Path) -> None:
    (found,) = read_pictured(written(tmp_path, line()))
    assert found.content == ({"type": "image"}, {"type": "text", "text": "How many?"})
    assert (found.answer, found.pictures[0].size, found.pictures[0].getpixel((0, 0))) == ("3", (3, 2), (9, 8, 7))


def test_a_folder_without_the_file_asks_nothing(tmp_path: Path) -> None:
    assert read_pictured(tmp_path) == ()


def content(*parts: dict[str, str]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


TEXT = {"type": "text", "text": "?"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "no question; expected one a line"),
        (["x"], "line 1: the line: Input should be an object"),
        ([line(), line()], "line 2: id 'a' comes twice"),
        ([line(answer=" 3")], "line 1: the answer has spaces around it"),
        ([line(more=1)], "line 1: more: Extra inputs are not permitted"),
        ([line(messages=content(TEXT, TEXT))], "line 1: no image among the message's parts"),
        ([line(messages=content({"type": "image", "blob": "%"}, TEXT))], "line 1: an image is no PNG in base64"),
        ([line(messages=content({"type": "image", "blob": "AAAA"}, TEXT))], "line 1: an image is no PNG in base64"),
        (
            [line(messages=content({"type": "image", "blob": png(kind="BMP")}, TEXT))],
            "line 1: an image is no PNG in base64",
        ),
        (
            [line(messages=content({"type": "image", "blob": png()[:60]}, TEXT))],
            "line 1: an image is no PNG in base64",
        ),
        (
            [line(messages=content({"type": "image", "blob": png((5000, 1))}, TEXT))],
            "line 1: an image of 5000 x 1 pixels, expected sides of at most 4096",
        ),
    ],
)
def test_what_is_no_question_about_a_picture_is_refused(tmp_path: Path, lines: list[Any], message: str) -> None:
    with pytest.raises(InputError) as told:
        read_pictured(written(tmp_path, *lines))
    assert message in str(told.value)
    assert "\n" not in str(told.value)
