"""Image input for ONNX Runtime: what is planned and refused, and what the runtimes do with the models."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime_genai as genai
import pytest

from convert.bundle.platforms.desktop.gemma import Gemma
from convert.checkpoint import open_folder, resolve
from convert.checkpoint.types import Checkpoint
from convert.errors import PlanError
from convert.progress import Silent
from convert.targets.onnx import TARGET, OnnxOptions, convert
from convert.targets.onnx.sizes import sizes
from runtime_tests.onnx.case import OnnxCase, open_pair
from runtime_tests.onnx.runner import Runner
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.reference.vision.pictures import drawn
from tests.support.vision import towered

OPTIONS = OnnxOptions(context=320, prefill=(512,), image_tokens="70")
STEPS = 8


def read(folder: Path) -> Checkpoint:
    return open_folder(resolve(folder), ("image",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return towered.write(tmp_path_factory.mktemp("seen") / "mobile", "mobile")


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    """The models with what onnxruntime-genai reads beside them."""
    out, checkpoint = folder.parent / "out" / "model.onnx", read(folder)
    out.parent.mkdir()
    convert(checkpoint, OPTIONS, out, Silent())
    TARGET.collect(checkpoint, OPTIONS, out.parent)
    return out


def test_the_models_pass_onnx_own_checks_and_fit_the_estimate(model: Path, folder: Path) -> None:
    for name in ("vision.onnx", "embedding.onnx", "text.onnx"):
        onnx.checker.check_model(str(model.with_name(name)), full_check=True)
    estimate, seeing = sizes(read(folder), OPTIONS), model.with_name("vision.onnx.data").stat().st_size
    assert seeing <= estimate.modalities["image"] <= 1.5 * seeing + 400_000
    expected = {path.name for path in model.parent.iterdir()}
    assert expected == TARGET.files(model.parent, read(folder))
    described = TARGET.images(read(folder), model.parent)
    assert described is not None
    assert (described.tokens, described.cut_by) == (70, None)


def test_onnxruntime_genai_answers_about_an_image_as_the_models_do(model: Path, folder: Path, tmp_path: Path) -> None:
    drawn(1, 240, 96).save(tmp_path / "image.png")
    loaded = genai.Model(str(model.parent))
    given = loaded.create_multimodal_processor()(
        "<|turn>user\n<|image|>What is it?<turn|>\n<|turn>model\n",
        images=genai.Images.open(str(tmp_path / "image.png")),
    )
    params = genai.GeneratorParams(loaded)
    params.set_search_options(do_sample=False, max_length=OPTIONS.context)
    generator, said = genai.Generator(loaded, params), list[int]()
    generator.set_inputs(given)
    while len(said) < STEPS:
        generator.generate_next_token()
        said.append(int(generator.get_next_tokens()[0]))
    pixels, positions, (ids,) = (
        np.asarray(given[name].as_numpy()) for name in ("pixel_values", "pixel_position_ids", "input_ids")
    )
    rows = Runner(model.with_name("vision.onnx"), 1).run({"pixel_values": pixels, "pixel_position_ids": positions})
    image = read(folder).settings.placeholders["image"]
    assert np.count_nonzero(ids == image) == len(rows["image_features"]) == 65
    case = OnnxCase(open_pair(model), open_checkpoint(folder), 1)
    answers = []
    for seen in (rows["image_features"], -rows["image_features"]):
        session = case.session()
        nothing, session._none = session._none, seen
        logits, own = session.run(ids.astype(np.int32)), list[int]()
        session._none = nothing
        while len(own) < STEPS:
            own.append(int(logits.argmax()))
            logits = session.run(np.array(own[-1:], np.int32))
        answers.append(own)
    assert said == answers[0]
    assert answers[1] != answers[0]


def test_the_loop_of_a_bundle_reads_text_with_them(model: Path, folder: Path) -> None:
    ids = np.random.default_rng(1).integers(3, 900, 40).astype(np.int32)
    case = OnnxCase(open_pair(model), open_checkpoint(folder), 1)
    assert np.array_equal(Gemma(model.parent, 1).read(ids.tolist()), case.session().run(ids))


def test_an_image_that_is_seen_ahead_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    content = json.loads((copy / "config.json").read_text("utf-8"))
    content["text_config"]["use_bidirectional_attention"] = "vision"
    (copy / "config.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(PlanError, match="which the attention operator does not do"):
        TARGET.check("convert copy", read(copy), OPTIONS)


def test_a_context_without_room_for_an_image_and_a_prompt_is_refused(folder: Path) -> None:
    TARGET.check("convert copy", read(folder), replace(OPTIONS, context=134))
    with pytest.raises(PlanError, match=r"does not fit a context of 133\. Give --context 134 or more"):
        TARGET.check("convert copy", read(folder), replace(OPTIONS, context=133))
