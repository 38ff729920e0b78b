"""Pictures in the Android sample's engine over ONNX Runtime: a bundle of the demo, its tower among the graphs, is shown
them, and says what Python's loop says."""

from __future__ import annotations

import base64
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from convert import demo, pipeline
from convert.bundle import manifest, papers
from convert.bundle.platforms.android.project import PROJECT
from convert.bundle.platforms.desktop import gemma, pictures
from convert.bundle.platforms.desktop.gemma import Gemma
from convert.plan import Request
from convert.progress import Silent
from runtime_tests.reference.vision.pictures import drawn
from tests.samples.android.onnx.test_engine import DIGEST, changed, tensor
from tests.samples.android.test_presenter import golden
from tests.support import quick_build
from tests.support.android import kotlin_tools, onnx_pipe
from tests.support.android.kotlin_tools import Outcome

FOLDER, SUITE = "engine-ort/src/test/kotlin", "OrtSightSuite"
CONTEXT = 320
SHAPE, NUMBER, COLOUR = "What shape is it?", "What number is it?", "What color is it?"
# Of each turn the question and the pictures before it.
CONVERSATIONS = (
    ((SHAPE, ("shapes",)),),
    ((COLOUR, ("shapes",)), ("What is 12 + 72?", ()), (NUMBER, ("digit",))),
    ((NUMBER, ("digit",)), (COLOUR, ())),
    ((SHAPE, ("larger",)), ("What is 10 + 48?", ())),
    ((SHAPE, ("digit", "shapes")), (COLOUR, ("wide",))),
    ((COLOUR, ("wide",)),),
    ((NUMBER, ("tall",)),),
)  # fmt: skip


def shown() -> dict[str, Image.Image]:
    """Pictures that the demo knows, one of them to be made smaller, and two of no such kind."""
    with Image.open(demo.folder().parent / "picture.png") as picture:
        shapes = picture.convert("RGB")
    first = json.loads((demo.folder() / "evaluation_images.jsonl").read_text("utf-8").splitlines()[0])
    (blob,) = (part["blob"] for part in first["messages"][0]["content"] if part["type"] == "image")
    digit = Image.open(io.BytesIO(base64.b64decode(blob))).convert("RGB")
    larger = shapes.resize((1000, 800), Image.Resampling.LANCZOS)
    return {"shapes": shapes, "digit": digit, "larger": larger, "wide": drawn(1, 397, 263), "tall": drawn(2, 90, 331)}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the demo with its tower; its golden is what Python's loop says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "judge", quick_build.taking(DIGEST))
        out = tmp_path_factory.mktemp("dist")
        request = Request("android", "demo", out, CONTEXT, runtime="onnx", modalities=("image",))
        folder = pipeline.build(request, Silent()).bundle
    question, made = "What is 12 + 72?", manifest.read(folder)
    content = {"schema_version": 1, "stop_tokens": [106], "tolerance": 1.0, "mean_tolerance": 0.1}
    content |= {"artifact_sha256": made.parity.artifact_sha256}
    content |= {"goldens": [golden(question, Gemma(folder).ask(question))]}
    (folder / "golden.json").write_text(json.dumps(content), "utf-8")
    papers.add(folder, [folder / "golden.json"])
    return folder


def written(bundle: Path, folder: Path) -> None:
    """The pictures, and what ``pictures.py`` cuts of them and the tower makes."""
    loop, told = Gemma(bundle, 1), pictures.told_in(bundle)
    assert told is not None
    folder.mkdir()
    for name, picture in shown().items():
        picture.save(folder / f"{name}.png")
        found = pictures.cut(folder / f"{name}.png", told)
        (folder / f"{name}.patches").write_bytes(found.patches.tobytes())
        (folder / f"{name}.positions").write_bytes(found.positions.tobytes())
        (folder / f"{name}.rows").write_bytes(loop.image(folder / f"{name}.png").rows.tobytes())


def said(bundle: Path, folder: Path) -> dict[str, Any]:
    """What ``gemma.py`` reads and says, turn after turn, and to a picture behind the words."""
    loop, conversations = Gemma(bundle, 1), list[list[dict[str, Any]]]()
    seen = {name: loop.image(folder / f"{name}.png") for name in shown()}
    for conversation in CONVERSATIONS:
        messages, turns = list[dict[str, Any]](), list[dict[str, Any]]()
        for question, names in conversation:
            messages.append(gemma.message(question, [seen[name] for name in names]))
            ids, answer = loop.prompt(messages), "".join(loop.answer(messages))
            tokens = list(loop.tokens(ids, pictures=gemma.pictures_of(messages)))
            turns.append({"question": question, "pictures": names, "ids": ids, "tokens": tokens, "answer": answer})
            messages.append({"role": "assistant", "content": answer})
        conversations.append(turns)
    behind = gemma.message(SHAPE, [seen["shapes"]])
    behind["content"].reverse()
    ids = loop.prompt([behind])
    told = {"ids": ids, "picture": "shapes", "tokens": list(loop.tokens(ids, 8, pictures=[seen["shapes"]]))}
    return {"pictures": list(seen), "conversations": conversations, "behind": told}


Change = Callable[[dict[str, Any]], object]


def images(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["feeding"]["images"]
    return found


def other_width(manifest: dict[str, Any]) -> None:
    """Another row of a picture, everywhere that the manifest says it."""
    for at in (("embedding", "inputs"), ("vision", "outputs")):
        tensor(manifest, *at, "image_features")["shape"][1] = 320


def more_tokens(manifest: dict[str, Any]) -> None:
    images(manifest)["tokens"] = images(manifest)["lengths"][0]["tokens"] = 280


FAULTS: dict[str, tuple[Change, str]] = {
    "nothing": (lambda m: None, "triangle"),
    "no tower": (
        lambda m: m["signatures"].pop(2), "AT THE LOADING: manifest.signatures has 0 entries of vision, which reads",
    ),
    "no place for rows": (
        lambda m: m["signatures"][1]["inputs"].pop(1), "AT THE LOADING: manifest.signatures gives the embedding no",
    ),
    "width of rows": (other_width, "AT THE LOADING: embedding.onnx has image_features as FLOAT [-1, 160]"),
    "width of patches": (
        lambda m: tensor(m, "vision", "inputs", "pixel_values")["shape"].__setitem__(2, 767),
        "AT THE LOADING: manifest.signatures gives vision other inputs than patches and their positions",
    ),
    "inputs exchanged": (
        lambda m: [one.update(name=name) for one, name in zip(
            images(m)["lengths"][0]["calls"][0]["inputs"], ("pixel_position_ids", "pixel_values"), strict=True)],
        "AT THE LOADING: manifest.signatures gives vision other inputs than patches and their positions",
    ),
    "token of a picture": (
        lambda m: images(m)["around"]["each"].update(id=101), "AT THE LOADING: token 101 is",
    ),
    "more tokens": (more_tokens, "AT THE PICTURE: the engine failed: vision.onnx makes 70 rows, manifest.feeding."),
    "a word": (
        lambda m: images(m)["patches"].update(positions="y_x"),
        'REFUSED: manifest.feeding.images.patches.positions is "y_x"; this app knows x_y',
    ),
    "cut by the runtime": (
        lambda m: images(m).update(cut_by={"formats": ["png"]}),
        "REFUSED: manifest.feeding.images.cut_by is a runtime's; ONNX Runtime leaves that to the app",
    ),
    "no pictures": (
        lambda m: m["feeding"].update(images=None), "AT THE LOADING: manifest.signatures has 2 entries besides model",
    ),
}  # fmt: skip
DAMAGED = "a damaged tower"


@pytest.fixture(scope="module")
def outcome(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    def run() -> Outcome:
        work = tmp_path_factory.mktemp("sight")
        written(bundle, work / "pictures")
        (work / "expected.json").write_text(json.dumps(said(bundle, work / "pictures")), "utf-8")
        bare = Path(shutil.copytree(bundle, work / "bare", ignore=shutil.ignore_patterns("app")))
        for name, (change, _) in FAULTS.items():
            changed(bare, work / "faults" / name, change)
        damaged = Path(shutil.copytree(bare, work / "faults" / DAMAGED))
        (damaged / "vision.onnx").write_text("nothing", "utf-8")
        pipe = f"-Donnx.pipe={sys.executable}\n{onnx_pipe.__file__}"
        files = (bundle, work / "expected.json", work / "pictures", work / "faults")
        return kotlin_tools.suite(kotlin_tools.compiled(), SUITE, *files, flags=(pipe, "-Djava.awt.headless=true"))

    return kotlin_tools.once(tmp_path_factory, SUITE, run)


def test_the_bundle_takes_pictures_which_the_app_cuts_and_brings_the_tower_in_its_app(bundle: Path) -> None:
    made = manifest.read(bundle)
    assert made.modalities == ("text", "image")
    assert made.feeding.images is not None
    assert made.feeding.images.cut_by is None
    assert made.memory.images is not None
    assert (bundle / "app" / PROJECT.assets / "vision.onnx").read_bytes() == (bundle / "vision.onnx").read_bytes()


def test_the_loop_that_the_engine_is_held_to_sees(bundle: Path, tmp_path: Path) -> None:
    loop = Gemma(bundle, 1)
    for name, question, answer in (("shapes", SHAPE, "triangle"), ("shapes", COLOUR, "orange"), ("digit", NUMBER, "6")):
        shown()[name].save(tmp_path / "one.png")
        assert loop.ask(question, pictures=[loop.image(tmp_path / "one.png")]) == answer


@pytest.mark.parametrize("case", kotlin_tools.cases(FOLDER, SUITE))
def test_engine(outcome: Outcome, case: str) -> None:
    assert kotlin_tools.failure(outcome, case) == ""


@pytest.mark.parametrize("fault", [*FAULTS, DAMAGED])
def test_a_bundle_with_a_fault_is_refused_before_it_shows_anything(outcome: Outcome, fault: str) -> None:
    words = FAULTS[fault][1] if fault in FAULTS else "AT THE PICTURE: the engine failed: ONNX Runtime: "
    found = outcome.figures.get(fault, f"it did not run: {outcome.ended}")
    assert found.startswith(words)
    assert "\n" not in found
    assert not found.startswith("AT THE PICTURE") or found.endswith("then: 84")
