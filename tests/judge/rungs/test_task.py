"""Rung 4: who answers what, and which damage costs answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.checkpoint import open_checkpoint as read
from convert.progress import Silent
from convert.targets.litert import LitertOptions, convert
from runtime_tests.ladder import asked, climb, passed
from runtime_tests.litert.case import DECODER, LitertCase
from runtime_tests.litert.rungs import task
from runtime_tests.litert.runners.engine import Answer, Request, ask
from runtime_tests.measures import accuracy as table
from runtime_tests.measures.accuracy import Accuracy
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.reference import answers as answers_of
from runtime_tests.reference.answers import Greedy, answers, certain, disturbance, kept_weights
from runtime_tests.report import parity as report
from runtime_tests.results import Rung
from runtime_tests.rungs.task import NO_QUESTIONS
from runtime_tests.weights.requantize import rounded
from tests.support import questions
from tests.support.litert.patient import Patient, failing
from tests.support.whole_reference import greedy

COUNT = 36


@dataclass(frozen=True)
class Made:
    """A converted checkpoint with questions that the reference and the untouched artifact answer alike."""

    folder: Path
    artifact: Path
    case: LitertCase
    rung: Rung

    def again(self, artifact: Path | None = None, **options: Any) -> tuple[LitertCase, Rung]:
        """Climbs rung 4 of another artifact with the same reference."""
        case = LitertCase(open_litertlm(artifact or self.artifact), open_checkpoint(self.folder), **options)
        case.__dict__["reference"] = self.case.reference
        (rung,) = climb(case, ("4",))
        return case, rung

    def check(self, rung: Rung, name: str) -> Any:
        return next(check for check in rung.checks if check.name.startswith(name))


def table_of(rung: Rung) -> Accuracy:
    assert rung.evidence.accuracy is not None, rung.why
    return rung.evidence.accuracy


def made(source: Path, folder: Path) -> Made:
    """Random models are chaotic: of many questions, those stay that the artifact answers as the reference does."""
    questions.talkative(source, folder / "checkpoint")
    artifact = folder / "model.litertlm"
    convert(read(folder / "checkpoint"), LitertOptions(context=160, prefill=(32,), cache="float32"), artifact, Silent())

    def case() -> LitertCase:
        return LitertCase(open_litertlm(artifact), open_checkpoint(folder / "checkpoint"))

    path = questions.write(folder / "checkpoint", case(), COUNT)
    first = case()
    (rung,) = climb(first, ("4",))
    assert rung.evidence.accuracy is not None, f"{rung.why} {rung.checks}"
    alike = rung.evidence.accuracy.system(table.ARTIFACT).correct & rung.evidence.accuracy.reference.correct  # type: ignore[union-attr]
    lines = path.read_text("utf-8").splitlines()
    path.write_text("".join(line + "\n" for line, same in zip(lines, alike, strict=True) if same), "utf-8")
    second = case()
    second.__dict__["reference"] = first.reference
    (rung,) = climb(second, ("4",))
    return Made(folder / "checkpoint", artifact, second, rung)


@pytest.fixture(scope="session")
def mobile(mobile_e2b: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(mobile_e2b, tmp_path_factory.mktemp("task_mobile"))


@pytest.fixture(scope="session")
def q4_0(q4_0_e2b: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(q4_0_e2b, tmp_path_factory.mktemp("task_q4_0"))


def mutated(found: Made, folder: Path, mutate: Callable[[Patient], None]) -> Path:
    patient = Patient(found.artifact)
    mutate(patient)
    assert patient.bytes != found.artifact.read_bytes(), "the mutation changed nothing"
    target = folder / "mutated.litertlm"
    target.write_bytes(patient.bytes)
    return target


def test_an_untouched_artifact_answers_as_the_reference_does(q4_0: Made) -> None:
    assert (q4_0.rung.status, q4_0.rung.why) == ("pass", "")
    assert len(table_of(q4_0.rung).families) >= COUNT / 2
    differ = q4_0.check(q4_0.rung, "answers differ")
    assert (differ.found, differ.limit) == (0, 0)
    assert q4_0.check(q4_0.rung, "tokens certain enough").found > 20


def test_a_question_on_which_the_engine_gives_up_is_named(q4_0: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def giving_up(request: Request, **options: Any) -> Answer:
        return replace(ask(request, **options), failed=["prompt 3: gave up"])

    monkeypatch.setattr(task, "ask", giving_up)
    _, rung = q4_0.again()
    assert [(item.name, item.note) for item in rung.checks if not item.passed] == [
        ("the engine answers every question", "prompt 3: gave up")
    ]


def test_the_mobile_format_passes_and_states_what_dropping_activations_costs(mobile: Made) -> None:
    assert (mobile.rung.status, mobile.rung.why) == ("pass", "")
    assert mobile.check(mobile.rung, "cost of leaving out static activations").found > 20


def test_a_wrong_activation_scale_costs_answers(mobile: Made, tmp_path: Path) -> None:
    def mutate(patient: Patient) -> None:
        for graph in patient.model(DECODER).subgraphs:
            weight = graph.by_name.get("layers.1.mlp.down_proj.weight")
            for op in graph.consumers.get(weight.index, []) if weight else []:
                made = graph.tensors[op.outputs[0]]
                assert made.quantization is not None
                made.quantization.scales[0] *= 2

    _, rung = mobile.again(mutated(mobile, tmp_path, mutate))
    assert "chance that artifact and reference are as good as each other: McNemar" in failing(rung)


def test_two_swapped_matrices_cost_answers_and_change_certain_text(q4_0: Made, tmp_path: Path) -> None:
    def mutate(patient: Patient) -> None:
        model = patient.model(DECODER)
        graph = model.subgraph("decode")
        first, second = (model.buffer(graph.by_name[f"layers.{i}.mlp.down_proj.weight"].buffer) for i in (0, 1))
        first[:], second[:] = second.copy(), first.copy()

    _, rung = q4_0.again(mutated(q4_0, tmp_path, mutate))
    said = failing(rung)
    assert "answers differ from the reference's before a near-tie: q" in said
    assert "artifact away from the reference" in said


def test_wrong_answers_count_as_wrong_for_everybody(q4_0: Made, tmp_path: Path) -> None:
    lines = (q4_0.folder / "evaluation.jsonl").read_text("utf-8").splitlines()
    spoiled = [json.dumps(json.loads(line) | {"answer": "nobody says so"}) for line in lines[:4]]
    path = tmp_path / "other.jsonl"
    path.write_text("\n".join([*spoiled, *lines[4:]]) + "\n", "utf-8")
    _, rung = q4_0.again(evaluation=path)
    assert rung.status == "pass"
    assert table_of(rung).reference.correct.tolist() == [False] * 4 + [True] * (len(lines) - 4)


def test_questions_that_nobody_answers_prove_nothing(q4_0: Made, tmp_path: Path) -> None:
    """The checkpoint's own are a fault then; a set from elsewhere may be beyond the model, and the report says so."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(q4_0.folder, folder)
    line = (folder / "evaluation.jsonl").read_text("utf-8").splitlines()[0]
    path = tmp_path / "other.jsonl"
    for target, answer in ((path, "nobody says that"), (folder / "evaluation.jsonl", "nobody says so")):
        target.write_text(json.dumps(json.loads(line) | {"answer": answer}) + "\n", "utf-8")
    own = Made(folder, q4_0.artifact, q4_0.case, q4_0.rung)
    _, rung = own.again()
    assert "answered by the reference" in failing(rung)
    case, rung = own.again(evaluation=path)
    assert rung.status == "pass"
    said = own.check(rung, "answered by the reference")
    assert (said.sense, said.found) == ("stated", 0)
    assert said.note == "it takes a loss of 6 to be more than chance: these questions prove nothing about right answers"
    assert case.own is not None
    assert case.own.questions[0].answer == "nobody says so", "the goldens stay the checkpoint's own"


def test_a_few_of_the_questions_are_no_fault_though_they_show_less(q4_0: Made, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(q4_0.folder, folder)
    count = len((folder / "evaluation.jsonl").read_text("utf-8").splitlines())
    questions.record(folder, float="1" * count, ptq="1" * count)
    own = Made(folder, q4_0.artifact, q4_0.case, q4_0.rung)
    _, rung = own.again(questions=5)
    assert rung.status == "pass"
    assert any(check.name == "questions" and check.note == f"drawn from {count}" for check in rung.checks)
    assert own.check(rung, "answered by the reference").note.endswith("prove nothing about right answers")
    assert own.check(rung, "chance that PTQ").sense == "stated"
    assert len(table_of(rung).families) == 5


def test_recorded_systems_stand_in_the_table_and_are_judged(mobile: Made, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(mobile.folder, folder)
    count = len((folder / "evaluation.jsonl").read_text("utf-8").splitlines())
    questions.record(folder, float="1" * count, ptq="0" * count)
    case, rung = Made(folder, mobile.artifact, mobile.case, mobile.rung).again()
    assert rung.status == "pass"
    parity = report.report(case, [rung], None, ("4",))
    assert parity.accuracy is not None
    assert [(item.name, item.source) for item in parity.accuracy.systems] == [
        ("float", "recorded"),
        ("ptq", "recorded"),
        ("reference", "measured"),
        ("reference, activations in float", "measured"),
        ("artifact", "measured"),
    ]
    assert parity.checkpoint.files.keys() >= {"evaluation.jsonl", "accuracy.json"}
    questions.record(folder, float="1" * count, ptq="1" * count)
    _, rung = Made(folder, mobile.artifact, mobile.case, mobile.rung).again()
    assert failing(rung).startswith("chance that PTQ is as good as QAT")


@pytest.fixture(scope="session")
def float_model(mobile: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mobile checkpoint's weights as a plain float model, as if quantization had never been."""
    import transformers

    folder = tmp_path_factory.mktemp("float")
    reference = mobile.case.reference
    config = transformers.AutoConfig.from_pretrained(mobile.folder).get_text_config()
    config.__dict__.pop("quantization_config", None)
    plain = type(reference.model)(config)
    state = {name: value for name, value in reference.model.state_dict().items() if "quantized" not in name}
    state = {name: value for name, value in state.items() if not name.endswith("_scale")}
    for name, module in reference.model.named_modules():
        if hasattr(module, "weight_scale"):
            state[f"{name}.weight"] = module._dequantize_weights()
        elif hasattr(module, "embedding_scale"):
            state[f"{name}.weight"] = module.weight
    missing = plain.load_state_dict(state, strict=False).missing_keys
    assert not [name for name in missing if name.endswith("weight")]
    plain.save_pretrained(folder)
    return folder


def test_a_float_model_that_is_given_is_measured_and_requantized(mobile: Made, float_model: Path) -> None:
    _, rung = mobile.again(float_model=float_model)
    plain, dropped = table_of(rung).system(table.FLOAT), table_of(rung).system(table.NO_STATIC)
    assert plain is not None
    assert dropped is not None
    assert plain.source == "measured"
    # The same weights, and no activation is rounded in either: the same answers, up to the last bit of a sum.
    assert (plain.correct == dropped.correct).mean() >= 0.9
    ptq = table_of(rung).system(table.PTQ)
    assert ptq is not None
    assert "rounded to the checkpoint's bits" in ptq.description
    assert mobile.check(rung, "chance that PTQ is as good as QAT").passed


def test_without_questions_the_rung_counts_only_for_who_asked_for_it(mobile: Made, mobile_e2b: Path) -> None:
    case = LitertCase(open_litertlm(mobile.artifact), open_checkpoint(mobile_e2b))
    rungs = climb(case, ("4",))
    assert [(rung.status, rung.why) for rung in rungs] == [("not run", NO_QUESTIONS)]
    good = [Rung(name, "?", "pass", "", ()) for name in asked(case, None)]
    assert [rung.name for rung in good] == ["0", "1", "2a", "2b", "3"]
    assert passed([*good, *rungs], asked(case, None))
    assert not passed([*good, *rungs], asked(case, ("3", "4")))
    assert not passed(good[:-1], asked(case, None))


def test_a_report_of_some_rungs_may_pass_and_still_allows_no_publication(mobile: Made, mobile_e2b: Path) -> None:
    """Whoever publishes reads the report alone, and it has one rule: what applies must have passed."""
    case = LitertCase(open_litertlm(mobile.artifact), open_checkpoint(mobile_e2b))
    case.__dict__["floor"] = None
    good = [Rung(name, "?", "pass", "", ()) for name in asked(case, None)]
    for rungs, names, verdict, allowed in (
        (good, None, "pass", True),
        (good[:3], ("0", "1", "2a"), "pass", False),
        (good[:-1], None, "fail", False),
        ([*good, Rung("arm64", "?", "fail", "", ())], None, "fail", False),
    ):
        made = report.report(case, rungs, None, names)
        assert made.publication is not None
        assert made.publication.required == ["0", "1", "2a", "2b", "3"]
        assert (made.verdict, made.publication.allowed) == (verdict, allowed)


def test_questions_beyond_the_context_are_left_out_and_counted(q4_0: Made, tmp_path: Path) -> None:
    lines = (q4_0.folder / "evaluation.jsonl").read_text("utf-8").splitlines()
    long = json.loads(lines[0])
    long["messages"][-1]["content"] = "What is one and one? " * 60
    path = tmp_path / "other.jsonl"
    path.write_text("\n".join([json.dumps(long | {"id": "long"}), *lines[1:]]) + "\n", "utf-8")
    _, rung = q4_0.again(evaluation=path)
    assert (table_of(rung).left_out, len(table_of(rung).families)) == (1, len(lines) - 1)
    path.write_text(json.dumps(long) + "\n", "utf-8")
    _, rung = q4_0.again(evaluation=path)
    assert (rung.status, rung.why) == ("not run", "none of the 1 questions fits a context of 160 tokens")


def test_a_batch_gives_what_one_prompt_alone_gives(q4_0: Made) -> None:
    case = q4_0.case
    prompts = [np.array([case.start, *case.tokenize("one two three " * n)], np.int32) for n in (1, 4, 2)]
    stops = frozenset(case.stops)
    for prompt, found in zip(prompts, answers(case.reference, prompts, [8] * 3, stops), strict=True):
        alone, logits = greedy(case.reference, prompt, 8, stops)
        assert found.new.tolist() == alone.tolist()
        best = np.sort(logits.astype(np.float64), axis=-1)
        assert found.margins == pytest.approx(best[:, -1] - best[:, -2], abs=1e-3)


def test_weights_that_are_kept_as_integers_give_the_same_answers(mobile: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = mobile.case.reference
    prompts, linear = [np.array([2, *range(300, 330)], np.int32)], reference.decoder.layers[0].mlp.up_proj
    before, floats = linear.weight, answers(reference, prompts, [8], frozenset())
    monkeypatch.setattr("runtime_tests.reference.answers.KEPT_BYTES", 0)
    with kept_weights(reference):
        assert (linear.num_bits, linear.weight.shape) == (8, (linear.out_features, linear.in_features))
    codes = answers(reference, prompts, [8], frozenset())
    assert linear.weight is before
    assert codes[0].new.tolist() == floats[0].new.tolist()
    np.testing.assert_array_equal(codes[0].margins, floats[0].margins)


def test_the_floor_is_far_higher_where_activations_are_static(q4_0: Made, mobile: Made) -> None:
    prompt = np.array([2, *range(300, 330)], np.int32)
    floors = []
    for found in (q4_0, mobile):
        reference = found.case.reference
        floors.append(disturbance(reference, answers(reference, [prompt], [8], frozenset())))
    assert 0 < floors[0] < 1e-2 < floors[1]


def test_the_rounding_of_stored_weights_is_part_of_the_floor_of_q4_0(q4_0: Made) -> None:
    reference = q4_0.case.reference
    found = answers(reference, [np.array([2, *range(300, 330)], np.int32)], [8], frozenset())
    assert disturbance(reference, found, q4_0.case.on_lattice) > 5 * disturbance(reference, found)


def test_a_larger_floor_never_makes_more_tokens_certain() -> None:
    drawn = np.random.default_rng(3).exponential(1.0, 20)
    item = Greedy(np.zeros(1, np.int32), np.zeros(20, np.int32), drawn)
    sure = [certain(item, floor) for floor in (0.0, 0.01, 0.1, 0.5, 5.0)]
    assert sure == sorted(sure, reverse=True)
    assert (sure[0], sure[-1]) == (20, 0)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_row_on_the_grid_of_its_largest_code_survives_rounding(bits: int) -> None:
    top = 2 ** (bits - 1) - 1
    codes = np.random.default_rng(bits).integers(-top, top + 1, (6, 32)).astype(np.float32)
    codes[:, 0] = top
    for recipe in ("absmax", "least squares"):
        assert np.allclose(rounded(codes * 0.25, bits, 1, recipe), codes * 0.25)


def test_least_squares_is_never_further_off_than_absmax() -> None:
    weight = np.random.default_rng(1).normal(0, 1, (8, 64)).astype(np.float32)
    for bits in (2, 4, 8):
        errors = [np.square(rounded(weight, bits, 2, recipe) - weight).sum() for recipe in ("least squares", "absmax")]
        assert errors[0] <= errors[1]


class KilledError(Exception):
    """What a kill is to the judge in these tests."""


def test_a_run_that_was_killed_goes_on_where_it_was(
    q4_0: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine is asked only what is not known, and the figures are those of a run at one go."""
    asked_for: list[int] = []

    def counted(request: Request, **options: Any) -> Answer:
        asked_for.append(len(request.prompts))
        heard = options["heard"]

        def killed(place: int, *answer: Any) -> None:
            heard(place, *answer)
            if place == 4 and len(asked_for) == 1:
                raise KilledError

        return ask(request, heard=killed)

    def many(sequences: Any, *rest: Any) -> Any:
        read.append(len(sequences))
        if len(read) == 1:
            yield next(whole(sequences, *rest))
            raise KilledError
        yield from whole(sequences, *rest)

    read: list[int] = []
    whole = q4_0.case.reference.many
    monkeypatch.setattr(task, "ask", counted)
    monkeypatch.setattr(q4_0.case.reference, "many", many)
    path, count = tmp_path / ".answers", len(table_of(q4_0.rung).families)
    for _ in range(4):
        case = LitertCase(open_litertlm(q4_0.artifact), open_checkpoint(q4_0.folder))
        case.__dict__["reference"] = q4_0.case.reference
        case.kept_at = path
        try:
            (rung,) = climb(case, ("4",))
        except KilledError:
            assert path.is_file()
            continue
        assert rung.checks == q4_0.rung.checks
    assert asked_for == [count, count - 5], "from the third time on everything is known"
    # A batch that was killed is read again; then the answers once, and each time what the floor is made of.
    assert len(read) == 1 + (1 + 2) + 2


def test_every_answer_is_the_references_own_whatever_is_drafted(q4_0: Made) -> None:
    """The reference generates only where it parts from a draft, and then from there on."""
    case, stops = q4_0.case, frozenset(q4_0.case.stops)
    prompts = [np.array([case.start, *case.tokenize("one two three " * n)], np.int32) for n in (1, 4, 2, 3, 5)]
    limits = [8, 3, 8, 5, 1]
    own = answers(case.reference, prompts, limits, stops)
    right = [item.new for item in own]
    other = np.array([7], np.int32)
    drafts = {
        "all right": right,
        "nothing": [other[:0]] * 5,
        "wrong at once": [other] * 5,
        "wrong at the end": [np.concatenate([new[:-1], other]) for new in right],
        "cut short": [new[: len(new) // 2] for new in right],
        "gone on": [np.concatenate([new, other, other]) for new in right],
        "stopped early": [np.array([*new[:1], case.stops[0]], np.int32) for new in right],
    }
    generated = []
    for name, given in drafts.items():
        calls: list[int] = []

        def counting(reference: Any, begun: Any, *rest: Any, calls: list[int] = calls) -> Any:
            calls.append(len(begun))
            return answers(reference, begun, *rest)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(answers_of, "answers", counting)
            found = answers_of.follow(case.reference, prompts, given, limits, stops)
        for item, expected in zip(found, own, strict=True):
            assert item.new.tolist() == expected.new.tolist(), name
            assert item.margins == pytest.approx(expected.margins, abs=1e-3), name
        generated.append((name, sum(calls)))
    assert generated[0] == ("all right", 0)
    assert generated[5] == ("gone on", 0)
    assert all(count for _, count in generated[1:3])
