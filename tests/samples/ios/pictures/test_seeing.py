"""The iOS sample's loop with pictures and a real package: the judge's evaluator runs the functions, the app cuts, feeds
and draws. What it says is held to transformers' own model, on patches of transformers' own processor."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convert import demo, pipeline
from convert.plan import Request
from convert.progress import Silent
from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.room import open_case
from runtime_tests.reference.vision.patches import make
from runtime_tests.reference.vision.pictures import drawn
from runtime_tests.reference.vision.whole import Whole
from tests.samples.ios.pictures.rules import Pixels, write
from tests.samples.ios.test_program import changed
from tests.support import quick_build
from tests.support.commands import REPOSITORY
from tests.support.ios import evaluator_pipe, swift_tools

pytestmark = pytest.mark.slow
CONTEXT, PREFILL, TOKENS = 320, (16, 64), 70
FUNCTION = f"vision_{TOKENS}"
# Of the largest logit. There is no difference where both sides round float32 alike.
AWAY = 0.001
PICTURES: dict[str, Callable[[], Any]] = {
    "triangles": lambda: Image.open(REPOSITORY / "convert" / "demo" / "picture.png").convert("RGB"),
    "photo": lambda: drawn(1, 397, 263),  # is made smaller
    "tall": lambda: drawn(2, 90, 331),  # and this one larger
}
DIGEST = """
from dataclasses import replace
from runtime_tests.readers.coreml.mlpackage import open_mlpackage
from runtime_tests.readers.coreml.parts import IMAGES, open_parts
package = replace(open_parts(model), beside=(open_mlpackage(model.with_name(IMAGES)),))
digest = package.sha256()
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    swift_tools.built()
    flags = {"image_tokens": str(TOKENS), "precision": "float32"}
    request = Request(
        "ios", "demo", tmp_path_factory.mktemp("seeing"), CONTEXT, PREFILL, flags=flags, modalities=("image",)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "judge", quick_build.taking(DIGEST))
        return pipeline.build(request, Silent()).bundle


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pictures' files, by name."""
    folder = tmp_path_factory.mktemp("pictures")
    return {name: str(write(folder / name, np.asarray(picture()))) for name, picture in PICTURES.items()}


@dataclass(frozen=True)
class Reference:
    """transformers' model of the demo."""

    case: CoremlCase
    whole: Whole

    def ids(self, messages: Sequence[dict[str, Any]]) -> list[int]:
        """Tokens of a conversation, one for each picture."""
        return [self.case.start, *self.case.tokenize(self.case.render(messages))]

    def logits(self, ids: list[int], pictures: Sequence[str], more: Sequence[int] = ()) -> Pixels:
        """Logits behind the prompt and behind each of ``more`` tokens, ``[1 + more, V]``."""
        patches = [make(name, PICTURES[name](), TOKENS, self.case.tower.sizes) for name in pictures]
        spread = self.whole.spread(ids, patches)
        return self.whole.logits(np.append(spread, more).astype(np.int32), patches, len(spread) - 1)

    def agrees(self, messages: Sequence[dict[str, Any]], pictures: Sequence[str], answer: str) -> None:
        """Fails where the reference's first choices are not the answer's tokens and then a stop."""
        tokens = self.case.tokenize(answer)
        best = self.logits(self.ids(messages), pictures, tokens).argmax(axis=-1).tolist()
        assert best[:-1] == tokens, f"{answer!r}, transformers: {self.case.detokenize(best)!r}"
        assert best[-1] in self.case.stops


@pytest.fixture(scope="module")
def reference(bundle: Path) -> Reference:
    case = open_case(bundle / "Model.mlpackage", demo.folder(), 1, None, None, None)
    assert isinstance(case, CoremlCase)
    return Reference(case, Whole(case.folder.path, case.reference, case.tower))


def content(text: str, pictures: Sequence[str], behind: bool = False) -> list[dict[str, str]]:
    seen, said = [{"type": "image"} for _ in pictures], [{"type": "text", "text": text}] if text else []
    return said + seen if behind else seen + said


def talk(
    bundle: Path, scratch: Path, messages: Sequence[tuple[str, Sequence[str]]], **more: Any
) -> tuple[dict[str, Any], evaluator_pipe.Pipes]:
    """What a session answers to texts with files of pictures."""
    said = [{"text": text, "pictures": list(pictures)} for text, pictures in messages]
    with evaluator_pipe.serving(bundle, scratch) as pipes:
        asked = {"messages": said, "history": [], "max_tokens": 24, "from": pipes.back} | more
        return swift_tools.driver().tell("talk", folder=str(bundle), to=pipes.to, **asked), pipes


@pytest.mark.parametrize(
    ("question", "answer"), [("How many?", "4"), ("What shape is it?", "triangle"), ("What color is it?", "orange")]
)
def test_the_demos_picture_is_seen(
    question: str, answer: str, bundle: Path, files: dict[str, str], reference: Reference, tmp_path: Path
) -> None:
    found, _ = talk(bundle, tmp_path, [(question, [files["triangles"]])])
    assert found["answers"] == [{"text": answer, "ending": "done"}]
    reference.agrees([{"role": "user", "content": content(question, ["triangles"])}], ["triangles"], answer)


def test_a_conversation_with_pictures_is_transformers_own(
    bundle: Path, files: dict[str, str], reference: Reference, tmp_path: Path
) -> None:
    """One picture, a turn without, another one in a later turn: each is read once, and the cache goes on."""
    turns = [
        ("What shape is it?", ["triangles"]),
        ("What is 17 + 25?", []),
        ("How many are there?", ["photo"]),
    ]
    asked = [(text, [files[name] for name in names]) for text, names in turns]
    found, pipes = talk(bundle, tmp_path, asked)
    messages: list[dict[str, Any]] = []
    pictures: list[str] = []
    for (text, names), answer in zip(turns, found["answers"], strict=True):
        messages.append({"role": "user", "content": content(text, names)})
        pictures += names
        assert answer["ending"] == "done"
        reference.agrees(messages, pictures, answer["text"])
        messages.append({"role": "assistant", "content": answer["text"]})
    assert "triangle" in found["answers"][0]["text"].lower()
    starts = [position for _, function, position in pipes.calls if function.startswith("prefill")]
    assert starts.count(0) == 1
    assert pipes.seen == [FUNCTION, FUNCTION, "rest"]  # the last one with the engine

    # Another session that is given what was said goes on in the same way.
    history: list[dict[str, Any]] = []
    for (text, seen), answer in zip(asked[:2], found["answers"], strict=False):
        history.append({"role": "user", "content": text, "pictures": seen})
        history.append({"role": "assistant", "content": answer["text"]})
    again, _ = talk(bundle, tmp_path, asked[2:], history=history)
    assert again["answers"] == found["answers"][2:]


def test_two_pictures_in_a_turn_are_transformers_own(
    bundle: Path, files: dict[str, str], reference: Reference, tmp_path: Path
) -> None:
    names, text = ["tall", "triangles"], "What colour is it?"
    found, _ = talk(bundle, tmp_path, [(text, [files[name] for name in names])])
    reference.agrees([{"role": "user", "content": content(text, names)}], names, found["answers"][0]["text"])


def test_a_picture_needs_no_words(bundle: Path, files: dict[str, str], reference: Reference, tmp_path: Path) -> None:
    found, _ = talk(bundle, tmp_path, [("", [files["triangles"]])], max_tokens=1)
    (answer,) = found["answers"]
    best = reference.logits(reference.ids([{"role": "user", "content": content("", ["x"])}]), ["triangles"]).argmax()
    assert reference.case.tokenize(answer["text"]) == [best]


def test_what_reads_pictures_is_let_go_where_memory_is_short(
    bundle: Path, files: dict[str, str], tmp_path: Path
) -> None:
    need = json.loads((bundle / "manifest.json").read_text("utf-8"))["memory"]["images"]
    least = need["mapped_weights"] + need["working"] + (300 << 20)
    asked = [("What shape is it?", [files["triangles"], files["photo"]]), ("And now?", [])]
    for available, seen in ((least, [FUNCTION, FUNCTION]), (least - 1, [FUNCTION, FUNCTION, "rest"])):
        _, pipes = talk(bundle, tmp_path, asked, available=available, max_tokens=1)
        assert pipes.seen == [*seen, "rest"]


def test_what_does_not_fit_is_refused_before_a_picture_is_read(
    bundle: Path, files: dict[str, str], tmp_path: Path
) -> None:
    told, pipes = talk(bundle, tmp_path, [("Look.", [files["triangles"]] * 5)])
    assert told["type"] == "EngineError"
    assert "tokens do not fit a context of 320" in told["error"]
    assert pipes.seen in ([], ["rest"])


def test_a_picture_that_is_gone_and_one_that_is_none_are_one_line(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "none").write_bytes(b"no picture")
    for name, why in (("gone", "gone"), ("none", "unreadable")):
        told, _ = talk(bundle, tmp_path, [("Look.", [str(tmp_path / name)])])
        assert told == {"type": "EngineError", "error": f'failed("a picture cannot be read: {why}")'}


def test_a_place_that_somebody_typed_is_none(bundle: Path, files: dict[str, str], tmp_path: Path) -> None:
    found, pipes = talk(bundle, tmp_path, [("<|image|> What shape is it?", [files["triangles"]])], max_tokens=1)
    assert "error" not in found
    assert pipes.seen[0] == FUNCTION


def test_an_engine_that_is_given_no_sight_says_so(bundle: Path, files: dict[str, str], tmp_path: Path) -> None:
    told, _ = talk(bundle, tmp_path, [("Look.", [files["triangles"]])], blind=True)
    assert "this engine takes no pictures" in told["error"]


def without_a_function(manifest: dict[str, Any]) -> None:
    manifest["signatures"] = [each for each in manifest["signatures"] if each["name"] != FUNCTION]


def of_another_width(manifest: dict[str, Any]) -> None:
    signature = next(each for each in manifest["signatures"] if each["name"] == FUNCTION)
    signature["outputs"][0]["shape"][-1] += 1


def of_fewer_patches(manifest: dict[str, Any]) -> None:
    signature = next(each for each in manifest["signatures"] if each["name"] == FUNCTION)
    signature["inputs"][0]["shape"][1] -= 9


@pytest.mark.parametrize("change", [without_a_function, of_another_width, of_fewer_patches])
def test_functions_that_do_not_fit_what_is_said_of_pictures_are_refused(
    bundle: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    told, _ = talk(changed(bundle, tmp_path / "bundle", change), tmp_path, [("Hello.", [])])
    assert told["type"] == "Refused"
    assert FUNCTION in told["error"]


def read(
    bundle: Path,
    scratch: Path,
    prompts: Sequence[tuple[list[int], list[str]]],
    together: bool = True,
    alter: evaluator_pipe.Alter | None = None,
) -> Pixels:
    """Logits behind each prompt, a list of tokens and the files of its pictures."""
    lists = {"ids": [ids for ids, _ in prompts], "pictures": [files for _, files in prompts]}
    with evaluator_pipe.serving(bundle, scratch, alter) as pipes:
        more = {"together": together, "out": str(scratch / "logits"), "from": pipes.back}
        swift_tools.driver().ask("read", folder=str(bundle), to=pipes.to, **lists, **more)
    return np.fromfile(scratch / "logits", np.float32).reshape(len(prompts), -1)


def away(found: Pixels, expected: Pixels) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def test_pictures_stand_wherever_the_template_prints_them(
    bundle: Path, files: dict[str, str], reference: Reference, tmp_path: Path
) -> None:
    """Behind the words, between others, another one in the same place: the cache keeps what is the same, no more."""
    ask = "What shape is it?"
    cases = [
        (content(ask, ["triangles"], behind=True), ["triangles"]),
        (content(ask, ["photo"], behind=True), ["photo"]),
        ([*content(ask, ["photo"], behind=True), *content("And?", ["tall"])], ["photo", "tall"]),
        (content("word " * 30 + ask, ["tall"], behind=True), ["tall"]),  # across the calls that prefill
    ]
    prompts = [(reference.ids([{"role": "user", "content": parts}]), names) for parts, names in cases]
    found = read(bundle, tmp_path, [(ids, [files[name] for name in names]) for ids, names in prompts])
    for logits, (ids, names) in zip(found, prompts, strict=True):
        (expected,) = reference.logits(ids, names)
        assert logits.argmax() == expected.argmax()
        assert away(logits, expected) < AWAY


def test_another_picture_in_the_same_place_is_another_prompt(bundle: Path, tmp_path: Path) -> None:
    """Also where it has the same size: nothing of the first one stays in the cache."""
    noise = np.random.default_rng(6).integers(0, 256, (2, 96, 96, 3), np.uint8)
    one, other = (str(write(tmp_path / f"{i}", pixels)) for i, pixels in enumerate(noise))
    each = json.loads((bundle / "manifest.json").read_text("utf-8"))["feeding"]["images"]["around"]["each"]["id"]
    prompts = [([2, 9, each, 7], [file]) for file in (one, other, other)]
    kept, fresh = (read(bundle, tmp_path, prompts, together) for together in (True, False))
    assert np.array_equal(fresh[1], fresh[2])
    assert away(fresh[0], fresh[1]) > AWAY
    assert away(kept, fresh) < AWAY


def x_and_y(inputs: dict[str, Any]) -> None:
    inputs["positions_xy"] = inputs["positions_xy"][..., ::-1]


def channels(inputs: dict[str, Any]) -> None:
    inputs["images"] = inputs["images"].reshape(-1, 3)[:, ::-1].reshape(inputs["images"].shape)


def rows_of_a_patch(inputs: dict[str, Any]) -> None:
    square = inputs["images"].reshape(-1, 16, 16, 3)
    inputs["images"] = square.transpose(0, 2, 1, 3).reshape(inputs["images"].shape)


def padding(inputs: dict[str, Any]) -> None:
    inputs["positions_xy"] = np.maximum(inputs["positions_xy"], 0)


@pytest.mark.parametrize("fault", [None, x_and_y, channels, rows_of_a_patch, padding, "per_layer", "scale"])
def test_a_picture_that_is_fed_wrongly_is_seen_in_the_logits(
    fault: Callable[[dict[str, Any]], None] | str | None,
    bundle: Path,
    files: dict[str, str],
    reference: Reference,
    tmp_path: Path,
) -> None:
    change: dict[str, Callable[[dict[str, Any]], object]] = {
        "per_layer": lambda m: m["feeding"]["images"].update(per_layer=m["feeding"]["images"]["around"]["each"]),
        "scale": lambda m: m["feeding"]["images"]["pixels"].update(scale=1 / 256),
    }
    ids = reference.ids([{"role": "user", "content": content("What shape is it?", ["photo"])}])
    if isinstance(fault, str):
        bundle = changed(bundle, tmp_path / "bundle", change[fault])
    (found,) = read(bundle, tmp_path, [(ids, [files["photo"]])], alter=None if isinstance(fault, str) else fault)
    (expected,) = reference.logits(ids, ["photo"])
    distance = away(found, expected)
    assert (distance < AWAY) == (fault is None), distance
