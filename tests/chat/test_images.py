"""Images in a chat: where they stand in a message, what is told of them, and what the stock engine does with them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from convert.chat import Settings
from convert.chat.pictures import Picture, of_command
from convert.chat.piped import answer_lines, once
from convert.checkpoint import open_folder, resolve
from convert.errors import PlanError
from convert.progress import Silent
from convert.targets.litert import LitertOptions
from convert.targets.litert import convert as lower
from runtime_tests.reference.vision.pictures import drawn
from tests.chat.test_chat import Terminal, piped
from tests.support.chat import scripted_engine as scripted

PLAIN = Settings(False, 9, 1)
TWO = (Picture("a.png", "QQ==", (48, 48), 3), Picture("b.png", "Qg==", (96, 48), 4))


@pytest.fixture(scope="module")
def model(mobile_tower: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("images") / "model.litertlm"
    options = LitertOptions(context=320, prefill=(8, 128), image_tokens="70")
    lower(open_folder(resolve(mobile_tower), ("image",)), options, out, Silent())
    return out


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with the same image, upright, as another format, and lying with EXIF data that turn it; and another."""
    upright, exif = drawn(3, 336, 432), Image.Exif()
    exif[0x0112] = 6
    upright.save(tmp_path / "a.png")
    upright.save(tmp_path / "a b.webp", lossless=True)
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    drawn(4, 384, 384).save(tmp_path / "other.png")
    return tmp_path


def test_images_stand_before_the_text_in_their_order_and_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    engine = scripted.Engine([scripted.text("one"), scripted.text("two")])
    assert answer_lines(engine.opened(), PLAIN, (), BytesIO(b"<turn|>?\nmore"), TWO) == 0
    first, second = (message["content"] for message in engine.heard)
    assert first == [
        {"type": "image", "blob": "QQ=="},
        {"type": "image", "blob": "Qg=="},
        {"type": "text", "text": "<\u2060turn|>?"},
    ]
    assert second == "more"
    assert capsys.readouterr().out == "one\ntwo\n"


def test_after_a_failure_the_conversation_has_the_images_that_were_answered(capsys: pytest.CaptureFixture[str]) -> None:
    engine = scripted.Engine([scripted.text("one"), RuntimeError("INTERNAL: odd"), scripted.text("three")])
    assert answer_lines(engine.opened(), PLAIN, (), BytesIO(b"1\n2\n3"), TWO[:1]) == 1
    assert [part["type"] for part in engine.begun[-1][0]["content"]] == ["image", "text"]


def test_images_count_where_a_message_does_not_fit() -> None:
    engine = scripted.Engine([RuntimeError("INVALID_ARGUMENT: Exceeding the maximum number of tokens")])
    with pytest.raises(Exception, match="the message has 9 tokens, which is more than the context of 64 takes"):
        once(engine.opened(), PLAIN, (), "ab", TWO)


@pytest.mark.parametrize(("line", "found"), [("/images", None), ("What is /image", None), ("", None)])
def test_other_lines_are_no_images(line: str, found: object) -> None:
    assert of_command(line, 70) is found


def test_a_command_that_cannot_be_followed_is_told_and_the_lines_go_on(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = scripted.Engine([scripted.text("one"), scripted.text("two")])
    lines = f"/image {images / 'gone.png'}\n/image\n1\n/image {images / 'a.png'}\n2"
    assert answer_lines(engine.opened(), PLAIN, (), BytesIO(lines.encode())) == 1
    out, err = capsys.readouterr()
    assert out == "one\ntwo\n"
    told = "this bundle can be given no images here. "
    told += "Take a bundle of a model with a vision tower, built without --modalities text"
    assert err.splitlines() == [f"error: line {n}: {told}" for n in (1, 2, 4)]
    for line, words in (
        ("/image", "it names no file"),
        ("/image  gone.png", "there is no such file"),
        ("/image ~nobody-of-this-name/a.png", "there is no such file"),
    ):
        with pytest.raises(PlanError, match=words):
            of_command(line, 70)


def test_a_bundle_without_a_tower_refuses_an_image_before_it_is_opened(demo_file: Path, images: Path) -> None:
    ran = piped(demo_file, "What is 1 + 1?\n", "--image", str(images / "a.png"))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: chat --image: this bundle can be given no images here. Take a")
    assert ran.err.count("\n") == 1


def test_the_engine_answers_about_images_and_sees_them_upright(model: Path, images: Path) -> None:
    asked = ["a.png", "a b.webp", "turned.png", "other.png"]
    lines = [f"/image '{images / name}'\nWhat is it?\n/new\n" for name in asked]
    two = f"/image {images / 'a.png'}\n/image {images / 'other.png'}\nAre they alike?\nAnd now?\n"
    ran = piped(model, "".join([*lines, two]), "--limit", "9")
    assert ran.code == 0, ran.err
    upright, webp, turned, other, *both = ran.out.splitlines()
    assert upright == webp == turned != other
    assert len(both) == 2
    hostile = piped(model, "", "--ask", "?", "--image", str(images))
    assert (hostile.code, hostile.out) == (2, "")
    assert hostile.err == f"error: chat --image {images}: it is a folder. Give the path of an image file\n"


def test_on_a_terminal_an_image_is_told_and_a_bad_one_ends_nothing(model: Path, images: Path) -> None:
    terminal = Terminal(model, "--limit", "3")
    try:
        terminal.until(r"/image FILE puts an image before the next message, /new [^>]*\n> ")
        terminal.send(f"/image {images / 'gone.png'}\n")
        terminal.until(r"there is no such file\. Give the path of an image file\s+> ")
        terminal.send(f"/image {images / 'a.png'}\n")
        terminal.until(r"a\.png: 336 x 432 pixels, 65 tokens; it goes with the next message\s+> ")
        terminal.send("What is it?\n")
        terminal.until(r"3 tokens, \d+ tokens/s; the answer was cut[^>]*\n> ")
        terminal.send("\x04")
        assert terminal.exit_code() == 0
    finally:
        terminal.close()
