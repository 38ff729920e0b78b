"""Images in a desktop bundle's loop: its answers are transformers', and what it cannot take is one line."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convert.bundle import manifest
from convert.bundle.platforms.desktop import gemma, pictures
from convert.bundle.platforms.desktop.gemma import FullError, Gemma, message, pictures_of
from convert.bundle.platforms.desktop.pictures import ImageError
from convert.chat import Settings
from convert.chat.engine import opened
from convert.chat.find import find
from convert.chat.native_log import NativeLog
from convert.chat.pictures import MOST_PIXELS, asked_for, of_command
from convert.chat.piped import answer_lines
from convert.chat.run import _pictures
from convert.checkpoint import open_folder, resolve
from convert.errors import ArtifactError, PlanError
from convert.progress import Silent
from convert.targets.onnx import IMAGES, MODELS, TARGET, OnnxOptions, convert
from runtime_tests.onnx.case import OnnxCase, open_pair
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.reference.vision.patches import Patches, Sizes, make
from runtime_tests.reference.vision.pictures import drawn
from runtime_tests.reference.vision.whole import Whole
from tests.chat.test_pictures import HOSTILE

TOKENS, STEPS = 70, 6
OPTIONS = OnnxOptions(context=320, prefill=(512,), image_tokens=str(TOKENS))
ASKED = "What is in the picture?"
EARLIER = [{"role": "user", "content": "Name one colour."}, {"role": "assistant", "content": "Red."}]


@pytest.fixture(scope="module")
def folder(q4_0_tower: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What of a bundle the loop reads."""
    out, checkpoint = tmp_path_factory.mktemp("desktop") / "model.onnx", open_folder(resolve(q4_0_tower), ("image",))
    convert(checkpoint, OPTIONS, out, Silent())
    TARGET.collect(checkpoint, OPTIONS, out.parent)
    told = TARGET.images(checkpoint, out.parent)
    assert told is not None
    content = {"feeding": {"images": told.model_dump(mode="json")}}
    (out.parent / "manifest.json").write_text(json.dumps(content), "utf-8")
    return out.parent


@pytest.fixture(scope="module")
def loop(folder: Path) -> Gemma:
    """One for all tests: what was read before must change no answer."""
    return Gemma(folder, 1)


def png(picture: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def own(loop: Gemma, messages: list[dict[str, Any]]) -> list[int]:
    return list(loop.tokens(loop.prompt(messages), STEPS, pictures=pictures_of(messages)))


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


class Speaker:
    """transformers: its template, its image processor, its model, the whole conversation read again for each token."""

    def __init__(self, folder: Path, checkpoint: Path) -> None:
        self._case = OnnxCase(open_pair(folder / "model.onnx"), open_checkpoint(checkpoint), 1)
        self._whole = Whole(checkpoint, self._case.reference, self._case.tower)

    def says(self, earlier: list[dict[str, Any]], *seen: Any) -> list[int]:
        case, parts = self._case, [*({"type": "image"} for _ in seen), {"type": "text", "text": ASKED}]
        images: list[Patches] = [make(str(hash(png(one))), one, TOKENS, case.tower.sizes) for one in seen]
        text = case.render([*earlier, {"role": "user", "content": parts}])
        ids, new = self._whole.spread([case.start, *case.tokenize(text)], images), list[int]()
        while len(new) < STEPS:
            read = np.concatenate([ids, np.array(new, np.int32)])
            token = int(self._whole.logits(read, images, len(read) - 1)[-1].argmax())
            if token in case.stops:
                break
            new.append(token)
        return new


@pytest.fixture(scope="module")
def reference(folder: Path, q4_0_tower: Path) -> Speaker:
    return Speaker(folder, q4_0_tower)


def rows_one_place_off(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Gemma.image

    def image(self: Gemma, source: bytes) -> gemma.Picture:
        found = whole(self, source)
        return gemma.Picture(found.size, np.roll(found.rows, 1, axis=0))

    monkeypatch.setattr(Gemma, "image", image)


def channels_the_other_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pictures._decoded

    def decoded(source: bytes) -> Any:
        return Image.merge("RGB", whole(source).split()[::-1])

    monkeypatch.setattr(pictures, "_decoded", decoded)


ONE, OTHER = drawn(1, 240, 96), drawn(2, 240, 96)


def test_it_says_of_images_what_transformers_says_in_every_turn(loop: Gemma, reference: Speaker) -> None:
    one, other = (loop.image(png(picture)) for picture in (ONE, OTHER))
    assert (one.size, one.rows.shape[0]) == ((624, 240), 65)
    expected = reference.says([], ONE)
    assert len(expected) == STEPS
    assert own(loop, [message(ASKED, [one])]) == expected
    assert own(loop, [message(ASKED, [other])]) == reference.says([], OTHER) != expected
    assert own(loop, [*EARLIER, message(ASKED, [one])]) == reference.says(EARLIER, ONE)
    assert own(loop, [*EARLIER, message(ASKED, [one, other])]) == reference.says(EARLIER, ONE, OTHER)


@pytest.mark.parametrize("spoilt", [rows_one_place_off, channels_the_other_way_round])
def test_a_wrong_loop_says_something_else(
    loop: Gemma, reference: Speaker, spoilt: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt(monkeypatch)
    assert own(loop, [message(ASKED, [loop.image(png(ONE))])]) != reference.says([], ONE)


def test_a_conversation_that_goes_on_reads_an_image_again_where_it_is_another_one(
    loop: Gemma, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (loop.image(png(picture)) for picture in (ONE, OTHER))
    more = [message(ASKED, [one]), said("Red."), {"role": "user", "content": "And now?"}]

    def after(picture: gemma.Picture | None) -> tuple[list[int], int]:
        """The answer, and how many rows of images were read for it."""
        loop.forget()
        if picture is not None:
            loop.read(loop.prompt([message(ASKED, [picture])]), [picture])
        read, run = list[int](), Gemma._run
        with monkeypatch.context() as patch:
            patch.setattr(Gemma, "_run", lambda self, ids, rows: read.append(len(rows)) or run(self, ids, rows))
            return own(loop, more), sum(read)

    expected, rows = after(None)
    assert rows == len(one.rows) == len(other.rows)
    assert after(one) == (expected, 0)
    assert after(other) == (expected, rows)
    same = Gemma._same
    monkeypatch.setattr(Gemma, "_same", lambda self, prompt, rows: same(self, prompt, self._rows))  # by tokens alone
    assert after(other)[0] != expected


def test_an_image_is_cut_as_transformers_cuts_it(folder: Path) -> None:
    rules = pictures.told_in(folder)
    assert rules is not None
    for name, wide, high in (
        ("photo", 397, 263),
        ("tall", 90, 331),
        ("tiny", 3, 2),
        ("large", 1500, 1100),
        ("row", 140, 1),
    ):
        picture = drawn(5, wide, high)
        expected, found = make(name, picture, TOKENS, Sizes(16, 3, 10_240)), pictures.cut(png(picture), rules)
        assert np.array_equal(found.patches, expected.pixels[: expected.count])
        assert np.array_equal(found.positions, expected.positions[: expected.count])
    upright, exif, out = drawn(6, 96, 70), Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(out, "PNG", exif=exif)
    assert np.array_equal(pictures.cut(out.getvalue(), rules).patches, pictures.cut(png(upright), rules).patches)
    assert (pictures.cut(png(Image.new("RGBA", (96, 70), (0, 0, 0, 0))), rules).patches == 1).all()


def test_what_does_not_go_together_is_one_line(loop: Gemma) -> None:
    picture = loop.image(png(ONE))
    with pytest.raises(FullError, match="tokens, 325 of them for images, and 320 is the context"):
        list(loop.answer([message(ASKED, [picture] * 5)]))
    with pytest.raises(ImageError, match="the text has 1 places for images, and there are 0 images"):
        loop.ask("What does <|image|> mean?")
    with pytest.raises(ImageError, match="the prompt has 65 places for rows of images, and the images have 0"):
        loop.read(loop.prompt([message(ASKED, [picture])]))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_line(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "image"
    path.write_bytes(HOSTILE[name][0])
    with pytest.raises(ImageError) as refused:
        pictures.cut(path, {})
    words = ("it is empty", "it is damaged or cut short (", "it has more than 64 million pixels", "it is no image of a")
    assert str(refused.value).startswith(tuple(f"{path}: {each}" for each in words))
    assert "bomb" not in name or "profile" in name or "text" in name or words[2] in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "".join(capfd.readouterr()) == ""


def run(monkeypatch: pytest.MonkeyPatch, *flags: object, lines: str = "") -> int:
    """``gemma.py`` as a program."""
    monkeypatch.setattr(sys, "argv", ["gemma.py", *map(str, flags)])
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    return gemma.main()


def test_the_program_shows_images_before_a_question_and_among_lines(
    folder: Path, loop: Gemma, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.png").write_bytes(png(ONE))
    (tmp_path / "other.png").write_bytes(png(OTHER))
    (tmp_path / "cut.png").write_bytes(png(ONE)[:300])
    monkeypatch.setattr(gemma, "Gemma", lambda bundle, threads: loop)
    answer = Gemma.answer
    monkeypatch.setattr(Gemma, "answer", lambda self, messages, *_: answer(self, messages, STEPS))
    one, other = (loop.image(tmp_path / f"{name}.png") for name in ("one", "other"))
    first = "".join(loop.answer([message(ASKED, [one])]))
    second = "".join(loop.answer([message(ASKED, [one]), said(first), message("And?", [other])]))
    lines = f"{ASKED}\n/image {tmp_path / 'cut.png'}\n/image '{tmp_path / 'other.png'}'\nAnd?\n"
    assert run(monkeypatch, "--image", tmp_path / "one.png", lines=lines) == 1
    out, err = capsys.readouterr()
    assert out == f"{first}\n{second}\n"
    assert err.startswith(f"error: {tmp_path / 'cut.png'}: it is damaged or cut short (")
    assert err.count("\n") == 1
    for flags, words in (
        (("--image", tmp_path / "gone.png", ASKED), f"error: {tmp_path / 'gone.png'}: there is no such file. Give "),
        (("--image", tmp_path, ASKED), f"error: {tmp_path}: it is no regular file. Give the path of an image file"),
    ):
        assert run(monkeypatch, *flags) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n"), err[: len(words)]) == ("", 1, words)


def test_without_pillow_or_a_tower_or_with_unknown_rules_it_is_one_line(
    folder: Path, loop: Gemma, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = json.loads((folder / "manifest.json").read_text("utf-8"))["feeding"]["images"]
    for part, rule in (("resize", "filter"), ("pixels", "channels"), ("patches", "order")):
        monkeypatch.setattr(loop, "_told", {**rules, part: {**rules[part], rule: "other"}})
        with pytest.raises(ImageError, match=r"manifest\.json has rules for images that are not known here"):
            loop.image(png(ONE))
    monkeypatch.setattr(loop, "_told", None)
    with pytest.raises(ImageError, match=r"this bundle takes no images\. Build one of a model with a vision tower"):
        loop.image(png(ONE))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImageError, match="images need pillow, which is not there: pip install pillow"):
        pictures.cut(b"", rules)
    assert pictures.told_in(tmp_path) is None


def test_chat_shows_them_by_the_same_loop(
    folder: Path, loop: Gemma, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ONE.save(tmp_path / "one.png")
    OTHER.save(tmp_path / "other.webp", lossless=True)
    drawn(3, 3000, 1500).save(
        tmp_path / "wide.png"
    )  # 4.5 million pixels that the rule brings to 11 x 5 tokens, then 12 x 5
    names = [tmp_path / name for name in ("one.png", "other.webp", "wide.png")]
    rows, settings = [loop.image(name) for name in names], Settings(False, STEPS, 1)
    first = "".join(loop.answer([message(ASKED, rows[:1])], STEPS))
    then = [message(ASKED, rows[:1]), said(first)]
    expected = [first, "".join(loop.answer([*then, message("And?", rows[1:2])], STEPS))]
    expected.append("".join(loop.answer([message(ASKED, rows[2:])], STEPS)))
    lines = f"{ASKED}\n/image {names[1]}\nAnd?\n/new\n/image {names[2]}\n{ASKED}\n/image {tmp_path}\n"
    held = asked_for(names[:1], TOKENS, MOST_PIXELS)
    with opened(folder / "model.onnx", 1, NativeLog()) as engine:
        assert engine.images == TOKENS
        assert answer_lines(engine, settings, (), io.BytesIO(lines.encode()), held) == 1
        out, err = capsys.readouterr()
        assert out == "".join(f"{each}\n" for each in expected)
        assert "error: line 7: it is a folder. Give the path of an image file" in err
        whole = of_command(f"/image {names[2]}", engine.images, engine.most_pixels)
        assert whole is not None
        assert np.array_equal(engine.native._picture(whole.png).rows, rows[2].rows)
        answer_lines(engine, settings, (), io.BytesIO(ASKED.encode()), held * 5)
        assert "tokens, which is more than the context of 320 takes. Say it shorter" in capsys.readouterr().err


def test_chat_reads_an_image_by_what_the_manifest_says(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ONE.save(tmp_path / "one.png")
    model, settings = folder / "model.onnx", Settings(False, STEPS, 1, images=(tmp_path / "one.png",))
    told = SimpleNamespace(images=SimpleNamespace(tokens=TOKENS))
    monkeypatch.setattr(manifest, "read", lambda folder: SimpleNamespace(feeding=told))
    assert [(one.size, one.tokens) for one in _pictures(settings, model)] == [((624, 240), 67)]
    told.images = None
    for place in (model, tmp_path / "model.onnx"):
        with pytest.raises(PlanError, match=r"no images here\. Take a bundle of a model with a vision tower"):
            _pictures(settings, place)


def test_a_damaged_tower_is_not_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    held = [path for path in copy.iterdir() if path.name != "manifest.json"]
    files = {one.name: SimpleNamespace(sha256=hashlib.sha256(one.read_bytes()).hexdigest()) for one in held}
    monkeypatch.setattr(manifest, "read", lambda folder: SimpleNamespace(files=files))
    assert find(copy) == copy / "model.onnx"
    assert {*MODELS, *IMAGES} < files.keys()
    with (copy / "vision.onnx.data").open("r+b") as file:
        file.write(b"\xff\xfe")
    with pytest.raises(ArtifactError, match=r"vision\.onnx\.data has SHA-256"):
        find(copy)
