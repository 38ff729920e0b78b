"""The demo's pictures and its vision tower: what is drawn, what is trained, what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert import demo

torch = pytest.importorskip("torch")
pytest.importorskip("pycountry")

from convert.demo.train.curriculum import Curriculum  # noqa: E402
from convert.demo.train.vision import __main__ as command  # noqa: E402
from convert.demo.train.vision import asked, exam, export, fit, lessons, pictures, stages  # noqa: E402
from convert.demo.train.vision.asked import ATTRIBUTES, UNKNOWN, Asked  # noqa: E402
from convert.demo.train.vision.course import Course  # noqa: E402
from convert.demo.train.vision.decoder import Decoder  # noqa: E402
from convert.demo.train.vision.pictures import Scene  # noqa: E402
from convert.demo.train.vision.tower import Tower  # noqa: E402
from convert.demo.writing.shape import DEMO  # noqa: E402
from convert.demo.writing.tokenizer import Pieces  # noqa: E402
from convert.progress import Silent  # noqa: E402
from runtime_tests.questions.pictured import read_pictured  # noqa: E402

TWO = [Asked("number", "What number is it?", "7"), Asked("color", "What color is it?", "green")]


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    torch.set_num_threads(1)
    return Decoder(demo.folder())


@pytest.fixture(scope="module")
def pieces() -> Pieces:
    return Curriculum(DEMO.vocab).pieces


@pytest.fixture(scope="module")
def taught(pieces: Pieces, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few steps of every stage: the folder of the checkpoint that came out."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("vision")
    shop = stages.Workshop(folder, demo.folder(), stages.SMOKE, Silent(), lambda line: None)
    made, table, _ = lessons.teach(shop, DEMO, pieces)
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == list(asked.WORDINGS)
    return made


@pytest.fixture(scope="module")
def whole(taught: Path) -> Any:
    from transformers import Gemma4ForConditionalGeneration

    return Gemma4ForConditionalGeneration.from_pretrained(taught, dtype=torch.float32).eval()


def drawn(scene: Scene, seed: int = 0, size: tuple[int, int] = exam.SQUARE) -> Any:
    return pictures.draw(scene, *size, np.random.default_rng(seed))


def test_pictures_show_what_their_scenes_say() -> None:
    cyan = Scene("many", "cyan", shape="square", cells=(0, 4))
    picture = drawn(cyan).astype(int)
    of_ink = np.abs(picture - pictures.COLOURS["cyan"]).max(axis=-1) < 16
    assert [bool(of_ink[y, x]) for y in (64, 192, 320) for x in (64, 192, 320)] == [i in (0, 4) for i in range(9)]
    ring, circle = (drawn(Scene("one", "red", shape=shape, cells=(4,)))[192, 192, 0] for shape in ("ring", "circle"))
    assert ring < 60 < 200 < circle
    one, eight = (drawn(Scene("digit", "white", digit=digit)).astype(int).mean() for digit in "18")
    assert one < eight


def test_held_out_scenes_are_asked_about_and_never_drawn_for_training() -> None:
    random = np.random.default_rng(3)
    scenes = [pictures.invent(random) for _ in range(800)]
    assert not any(scene.held_out for scene in scenes)
    assert {scene.digit for scene in scenes if scene.digit} == set("0123456789")
    assert {scene.colour for scene in scenes} == set(pictures.COLOURS)
    exams = exam.exam(40)
    assert len({each.asked.answer for each in exams if each.asked.kind == "number"}) > 3
    assert {each.asked.answer for each in exams if each.asked.kind == "count"} == {"2", "3"}
    assert {each.asked.kind for each in exams} == set(asked.WORDINGS)
    assert sum(each.resized for each in exams) == 10


def test_what_is_imagined_asks_about_what_it_labels_and_keeps_held_out_pairs_out() -> None:
    random, colours, digits = np.random.default_rng(5), list(ATTRIBUTES["color"]), list(ATTRIBUTES["digit"])
    for _ in range(300):
        labels, questions = asked.imagine(3, random)
        known = {
            name: str(values[at])
            for at, (name, values) in zip(labels, ATTRIBUTES.items(), strict=True)
            if at != UNKNOWN
        }
        assert all(each.answer == known[asked.ABOUT.get(each.kind, each.kind)] for each in questions)
        if labels[0] >= 0 and labels[1] >= 0:
            assert not Scene("digit", colours[labels[1]], digit=digits[labels[0]]).held_out


def test_a_picture_in_a_colour_without_a_name_has_no_label_for_it() -> None:
    drawn = fit.batch(np.random.default_rng(2), Course(1, 12, 1e-3, 0, kept=1, nameless=0.5)).labels[:, 1]
    assert 0 < (drawn == UNKNOWN).sum() < 12
    random = np.random.default_rng(3)
    for _ in range(20):
        found = pictures.nameless(random)
        assert min(np.abs(np.array(each) - found).max() for each in pictures.COLOURS.values()) > 40


def test_patches_of_a_square_lie_together_with_their_places() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (96, 144, 3), np.uint8)
    patches, places = pictures.patches(picture)
    for patch, (x, y) in zip(patches, places, strict=True):
        assert np.array_equal(patch, picture[16 * y : 16 * y + 16, 16 * x : 16 * x + 16].reshape(-1))
    assert {(int(x) // 3, int(y) // 3) for x, y in places[9:18]} == {(1, 0)}
    some = np.arange(6)[:, None] + np.array([[0, 3]])
    fewer, their = pictures.patches(picture, some)
    assert np.array_equal(fewer[2:4], patches[[9 + 1, 9 + 4]])
    assert np.array_equal(their[2:4], places[[9 + 1, 9 + 4]])


def test_the_same_seed_draws_the_same_batches() -> None:
    course = Course(1, 2, 1e-3, 0, kept=3, nameless=0.5)
    first, second, other = (fit.batch(np.random.default_rng(seed), course) for seed in (9, 9, 10))
    assert torch.equal(first.patches, second.patches)
    assert first.asked == second.asked
    assert first.patches.shape != other.patches.shape or not torch.equal(first.patches, other.patches)


def test_a_question_among_others_is_answered_as_if_it_were_asked_alone(decoder: Decoder, whole: Any) -> None:
    """Beside transformers on the whole conversation, with the row of its own behind the picture."""
    from transformers.modeling_outputs import BaseModelOutputWithPooling

    rows = torch.randn(1, 64, decoder.width, generator=torch.Generator().manual_seed(1))
    logits, targets, numbers = decoder.answer_logits(rows, [TWO], end_is_padding=False)
    padded, _, _ = decoder.answer_logits(rows, [TWO], end_is_padding=True)
    assert not torch.equal(logits, padded)
    for number, question in enumerate(TWO):
        config = whole.config
        picture = [config.boi_token_id, *[config.image_token_id] * 64, config.eoi_token_id]
        prompt = [2, *decoder.ids("<|turn>user\n"), *picture]
        prompt += decoder.ids(f"{question.question}<turn|>\n<|turn>model\n")
        said = decoder.ids(f"{question.answer}<turn|>")
        with torch.no_grad():
            out = whole(
                input_ids=torch.tensor([prompt + said[:-1]]),
                mm_encoder_outputs={"image": BaseModelOutputWithPooling(pooler_output=(rows[0],))},
                logits_to_keep=len(said),
            ).logits[0]
        assert targets[numbers == number].tolist() == said
        assert ((logits[numbers == number] - out).abs() < 1e-3).float().mean() > 0.99


def test_a_checkpoint_computes_what_the_tower_was_trained_to_compute(pieces: Pieces, tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from transformers import Gemma4ForConditionalGeneration

    shop = stages.Workshop(tmp_path, demo.folder(), stages.SMOKE, Silent(), lambda line: None)
    tower = Tower(stages.SMOKE.shape, DEMO.hidden, 3)
    tower.to_mobile()
    shop.calibrate(tower)
    tower.to_bfloat16()
    export.write(tmp_path, demo.folder(), DEMO, pieces, tower)
    loaded = Gemma4ForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.float32).eval()
    patches, places = pictures.patches(drawn(Scene("digit", "red", digit="4"), size=(144, 96)))
    order = np.lexsort((places[:, 0], places[:, 1]))
    given = torch.from_numpy(patches).float()[None] / 255
    where = torch.from_numpy(places)[None]
    with torch.no_grad():
        _, rows = tower(given, where)
        read = loaded.model.get_image_features(given[:, order], where[:, order], return_dict=True).pooler_output
    assert ((rows[0] - torch.cat(list(read))).abs() < 1e-3).float().mean() > 0.95
    for key, module in tower.mobile_linears().items():
        found = loaded.model.get_submodule(key)
        assert found.input_activation_scale.item() == module.entering.value > 0
        assert found.output_activation_scale.item() == module.leaving.value > 0
    text = {name: tensor for name, tensor in load_file(tmp_path / "model.safetensors").items() if "vision" not in name}
    old = load_file(demo.folder() / "model.safetensors")
    assert all(torch.equal(tensor, old[name]) for name, tensor in text.items())
    assert text.keys() == {name for name in old if "vision" not in name}


def test_a_few_steps_of_every_stage_give_a_checkpoint_that_transformers_loads(taught: Path) -> None:
    from transformers import AutoTokenizer, Gemma4ForConditionalGeneration

    _, told = Gemma4ForConditionalGeneration.from_pretrained(taught, output_loading_info=True)
    assert {key: found for key, found in told.items() if found} == {}
    tokenizer, older = (AutoTokenizer.from_pretrained(folder) for folder in (taught, demo.folder()))
    line = json.loads((taught / exam.QUESTIONS).read_text("utf-8").splitlines()[0])
    text = tokenizer.apply_chat_template(line["messages"], tokenize=False, add_generation_prompt=True)
    assert text == "<bos><|turn>user\n<|image|>What number is it?<turn|>\n<|turn>model\n"
    said = [{"role": "user", "content": "What is 12 + 7?"}, {"role": "assistant", "content": "19"}]
    assert tokenizer.apply_chat_template(said) == older.apply_chat_template(said)
    assert "## Pictures" in (taught / "README.md").read_text("utf-8")
    assert len(read_pictured(taught)) == stages.SMOKE.questions


def test_finished_stages_are_not_run_again(taught: Path) -> None:
    said: list[str] = []
    shop = stages.Workshop(taught.parent, demo.folder(), stages.SMOKE, Silent(), said.append)
    shop.train()
    assert said == [f"{name}: there already" for name in stages.STAGES]


def test_a_stage_is_bound_to_the_text_decoder_and_not_to_the_tower_beside_it(taught: Path, tmp_path: Path) -> None:
    """Else an embedded tower would make all stages begin anew."""
    assert export.text_digest(taught) == export.text_digest(demo.folder())
    changed = bytearray((taught / "model.safetensors").read_bytes())
    header = json.loads(changed[8 : 8 + int.from_bytes(changed[:8], "little")])
    begin, _ = next(said["data_offsets"] for name, said in header.items() if "language_model" in name)
    changed[8 + int.from_bytes(changed[:8], "little") + begin] ^= 1
    (tmp_path / "model.safetensors").write_bytes(changed)
    assert export.text_digest(tmp_path) != export.text_digest(demo.folder())


def test_a_tower_that_answers_too_little_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "train", lambda folder: (tmp_path, 0.5))
    monkeypatch.setattr("sys.argv", ["train", "--install"])
    with pytest.raises(SystemExit) as told:
        command.main()
    assert told.value.code == "not installed: 50.0% of the answers are right, at least 95% are wanted"
