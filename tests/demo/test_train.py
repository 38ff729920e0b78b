"""The training of the demo: its questions, its grids, its stages. A few steps; the real thing is `just demo-train`."""

from __future__ import annotations

import ast
import hashlib
import json
import operator
import re
import shutil
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert import demo
from convert.demo.train import __main__ as command
from convert.demo.train import convertible, export, network, stages
from convert.demo.train.curriculum import IGNORED, Curriculum
from convert.demo.train.score import ACCURACY, QUESTIONS, questions_file
from convert.demo.writing.shape import DEMO
from convert.progress import Silent
from tests.support.commands import QUICK, REPOSITORY, convert

torch = pytest.importorskip("torch")
pycountry = pytest.importorskip("pycountry")

TRAINING = Path(command.__file__).parent


@pytest.fixture(scope="module")
def curriculum() -> Curriculum:
    return Curriculum(DEMO.vocab)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "compare", lambda questions, right: True)
        assert command.run(folder, stages.SMOKE, install=False)
    return folder


def asked(exam: Any) -> tuple[str, ...]:
    return (*(turn.question for turn in exam.before), exam.last.question)


def test_no_question_of_the_exam_is_ever_drawn_for_training(curriculum: Curriculum) -> None:
    random = np.random.default_rng(5)
    drawn, pairs = set(), set()
    for _ in range(30_000):
        turns = curriculum.conversation(random, 1)
        drawn |= {turn.question for turn in turns if not turn.question.startswith("And ")}
        pairs |= {(turn.answer, after.question) for turn, after in pairwise(turns)}
    exams = curriculum.exam()
    single = {exam.last.question for exam in exams if not exam.before}
    assert not single & drawn
    # A follow-up is told apart by what was asked before it, however that was worded.
    assert not {(exam.before[-1].answer, exam.last.question) for exam in exams if exam.before} & pairs
    # The same kinds are drawn, and often: the check above could have failed.
    assert sum("+" in question for question in drawn) > 500
    assert len(pairs) > 500


def test_the_exam_has_as_many_questions_as_it_should_and_none_twice(curriculum: Curriculum) -> None:
    exams = curriculum.exam()
    assert len(exams) == 600
    assert len({asked(exam) for exam in exams}) == len(exams)


def test_every_answer_of_the_exam_is_right(curriculum: Curriculum) -> None:
    countries = {getattr(c, "common_name", c.name): c for c in pycountry.countries}
    money = {c.name: c.alpha_3 for c in pycountry.currencies}
    signs = {"+": operator.add, "plus": operator.add, "and": operator.add, "-": operator.sub, "minus": operator.sub}
    for exam in curriculum.exam():
        question, answer = exam.last.question, exam.last.answer
        if exam.family == "sums":
            a, sign, b = re.findall(r"\d+|[+-]|plus|minus|and(?! subtract)", question.replace("and subtract", "-"))
            assert int(answer) == signs[sign](int(a), int(b)), question
        elif exam.family == "backwards":
            assert answer == re.findall('"(.*)"', question)[0][::-1]
        elif exam.family == "almanac":
            known = {name for name in {**countries, **money} if re.search(rf"\b{name}\b", question)}
            if known:
                name = max(known, key=len)
                codes = (countries[name].alpha_2, countries[name].alpha_3) if name in countries else (money[name],)
                assert answer in codes, question
            else:
                code = max(re.findall(r"\b[A-Z]{2,3}\b", question), key=len)
                entry = pycountry.countries.get(alpha_2=code) or pycountry.currencies.get(alpha_3=code)
                assert answer == getattr(entry, "common_name", entry.name), question


def test_the_letters_of_an_unknown_word_are_tokens_of_their_own(curriculum: Curriculum) -> None:
    pieces = curriculum.pieces.pieces
    for word in ("bread", "model", "user", "zebra"):
        ids = curriculum.encoder.encode(f'Spell "{word}" backwards.', add_special_tokens=False).ids
        assert [pieces[i] for i in ids if pieces[i] in word and len(pieces[i]) == 1] == list(word)


def test_targets_are_the_answers_and_the_ends_of_the_turns_and_nothing_else(curriculum: Curriculum) -> None:
    turns = curriculum.conversation(np.random.default_rng(3), 4)
    ids, said = curriculum.encode(turns)
    text = curriculum.encoder.decode(ids[said].tolist(), skip_special_tokens=False)
    assert text == "".join(turn.answer + "<turn|>" for turn in turns)
    batch = curriculum.batch(np.random.default_rng(4), 3)
    wanted = batch.targets != IGNORED
    assert batch.ids.shape == batch.targets.shape == (3, 96)
    assert 0.05 < wanted.mean() < 0.5
    assert np.array_equal(batch.ids[:, 1:][wanted[:, :-1]], batch.targets[:, :-1][wanted[:, :-1]])


def test_the_same_seed_draws_the_same_batches(curriculum: Curriculum) -> None:
    first, second = (curriculum.batch(np.random.default_rng(9), 4) for _ in range(2))
    assert np.array_equal(first.ids, second.ids)
    assert not np.array_equal(first.ids, curriculum.batch(np.random.default_rng(10), 4).ids)


def test_a_checkpoint_computes_what_the_network_was_trained_to_compute(curriculum: Curriculum, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = convertible.to_mobile(network.build(stages.SMOKE.shape, 3), stages.SMOKE.shape)
    convertible.to_bfloat16(model)
    batch = curriculum.batch(np.random.default_rng(1), 2)
    ids, targets = torch.from_numpy(batch.ids), torch.from_numpy(batch.targets)
    shop = stages.Workshop(tmp_path, stages.SMOKE, Silent(), lambda line: None)
    for frozen in (False, True):
        if frozen:
            stages.calibrate(model, shop)
        export.mobile(tmp_path, model, stages.SMOKE.shape, curriculum.pieces, stages.caches(model, shop))
        loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
        with torch.no_grad():
            trained, _ = network.answer_logits(model.eval(), ids, targets, convertible.head(model))
            read = loaded(input_ids=ids).logits[targets >= 0]
        # With static activations a last bit may flip a rounding; without, nothing but sums can differ.
        share = ((trained - read).abs() < 1e-3).float().mean().item()
        assert share > (0.9 if frozen else 0.9999)
    for matrix, module in convertible.mobile_linears(model, stages.SMOKE.shape):
        read_module = loaded.model.language_model.get_submodule(matrix.key)
        assert read_module.input_activation_scale.item() == module.entering.value > 0
        assert read_module.output_activation_scale.item() == module.leaving.value > 0


def test_a_step_that_became_negative_is_written_as_a_positive_one_with_mirrored_codes() -> None:
    found, steps = np.float32([[127, -3], [5, -127]]), np.float32([[-0.5], [0.25]])
    mirrored, positive = export.positive(found, steps, 8)
    assert np.array_equal(mirrored * positive, found * steps)
    assert (positive > 0).all()
    with pytest.raises(ValueError, match="of 4 bits became negative"):
        export.positive(np.float32([[-8, 1]]), np.float32([[-0.5]]), 4)


def test_a_few_steps_of_every_stage_give_checkpoints_that_transformers_loads(smoke: Path) -> None:
    from transformers import AutoModelForCausalLM

    names = {"first", "float", "mobile", "ptq", "ptq-mse", "q4_0"}
    assert {path.name for path in smoke.iterdir()} == names
    for name in sorted(names):
        _, told = AutoModelForCausalLM.from_pretrained(smoke / name, output_loading_info=True)
        assert {key: found for key, found in told.items() if found} == {}
    found = json.loads((smoke / "mobile" / ACCURACY).read_text())
    assert found["questions_sha256"] == hashlib.sha256((smoke / "mobile" / QUESTIONS).read_bytes()).hexdigest()
    assert {len(entry["correct"]) for entry in found["recorded"].values()} == {8}


def test_finished_stages_are_not_run_again_and_interrupted_ones_are(smoke: Path) -> None:
    said: list[str] = []
    (smoke / ".first.part").mkdir()
    shop = stages.Workshop(smoke, stages.SMOKE, Silent(), said.append)
    before = (smoke / "first" / "model.safetensors").stat().st_mtime_ns
    stages.first_network(shop)
    assert said == ["first: there already"]
    (smoke / "first" / "recipe.sha256").write_text("another recipe")
    stages.first_network(shop)
    assert (smoke / "first" / "model.safetensors").stat().st_mtime_ns > before
    assert not (smoke / ".first.part").exists()


def test_training_twice_gives_the_same_bytes(smoke: Path, tmp_path: Path) -> None:
    shop = stages.Workshop(tmp_path, stages.SMOKE, Silent(), lambda line: None)
    again = stages.mobile_network(shop, stages.first_network(shop))
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (again / name).read_bytes() == (smoke / "mobile" / name).read_bytes(), name


def test_the_embedded_checkpoint_belongs_to_this_curriculum(curriculum: Curriculum) -> None:
    folder = demo.folder()
    assert (folder / QUESTIONS).read_text("utf-8") == questions_file(curriculum.exam())
    found = json.loads((folder / ACCURACY).read_text())
    assert found["questions_sha256"] == hashlib.sha256((folder / QUESTIONS).read_bytes()).hexdigest()
    card = (folder / "README.md").read_text("utf-8")
    for entry in found["recorded"].values():
        share = 100 * entry["correct"].count("1") / len(entry["correct"])
        assert f"| {entry['description']} | {share:.1f} % |" in card


def test_the_extra_is_what_training_needs_beyond_the_converter() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    needed = set()
    for path in [*TRAINING.glob("*.py"), *TRAINING.with_name("writing").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                needed |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                needed.add((node.module or "").partition(".")[0])
    beyond = needed - sys.stdlib_module_names - {"convert", *project["dependencies"]}
    assert sorted(beyond) == project["optional-dependencies"]["train"] == ["pycountry"]
    assert "gemma-bridge[train]" in project["optional-dependencies"]["dev"]


def test_a_converter_whose_training_was_taken_away_converts_the_demo(tmp_path: Path) -> None:
    package, made = tmp_path / "convert", tmp_path / "model.litertlm"
    shutil.copytree(TRAINING.parents[1], package, ignore=shutil.ignore_patterns("__pycache__", "train", "writing"))
    (tmp_path / "runtime_tests").symlink_to(REPOSITORY / "runtime_tests")
    assert not {"train", "writing"} & {path.name for path in (package / "demo").iterdir()}
    for words in (("plan", "ios", "demo"), ("convert", "demo", made, *QUICK), ("inspect", made)):
        ran = convert(*words, cwd=tmp_path, PYTHONPATH=str(tmp_path))
        assert ran.code == 0, ran.err
    assert made.stat().st_size > 1_000_000


def test_the_training_code_imports_nothing_of_the_judge() -> None:
    for path in TRAINING.glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        names = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert not [name for name in names if name and name.startswith("runtime_tests")], path.name
