"""The judge against damaged packages: each fault is caught, by the rung that should, and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from runtime_tests.case import Case
from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.greedy import answers
from runtime_tests.coreml.rungs.blocks import _calls
from runtime_tests.coreml.session import Feed
from runtime_tests.errors import InputError
from runtime_tests.kinds import open_case
from runtime_tests.ladder import climb
from runtime_tests.measures import accuracy as table
from runtime_tests.results import Rung
from tests.support import questions
from tests.support.coreml.patient import Patient

KEY, NAME = "layers.3.mlp.down_proj", "layers_3_mlp_down_proj"
CRUMBS = "layers.7.mlp.up_proj"
FUNCTIONS = ("prefill_32", "decode")
Judged = Callable[[Callable[[Patient], None], str], Rung]


def build(checkpoint: Path, folder: Path, precision: str) -> Path:
    """A package with its row tables beside it."""
    from convert.checkpoint import open_checkpoint
    from convert.progress import Silent
    from convert.targets.coreml import CoremlOptions, convert, rows

    opened, out = open_checkpoint(checkpoint), folder / "Model.mlpackage"
    convert(opened, CoremlOptions(context=160, prefill=(32,), precision=precision), out, Silent())  # type: ignore[arg-type]
    rows.write(opened, folder, lambda n: None)
    return out


@pytest.fixture(scope="module")
def package(mobile_e2b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(mobile_e2b, tmp_path_factory.mktemp("package"), "float32")


@pytest.fixture(scope="module")
def good(package: Path, mobile_e2b: Path) -> CoremlCase:
    """The untouched package; the reference's runs are made once for all."""
    case = open_case(package, mobile_e2b)
    assert isinstance(case, CoremlCase)
    return case


@pytest.fixture(scope="module")
def sharp(q4_0_e2b: Path, tmp_path_factory: pytest.TempPathFactory) -> CoremlCase:
    """q4_0: nothing is quantized between the weights, so that small faults stand out."""
    case = open_case(build(q4_0_e2b, tmp_path_factory.mktemp("sharp"), "float32"), q4_0_e2b)
    assert isinstance(case, CoremlCase)
    return case


def take_over(good: CoremlCase, case: Case, *parts: str) -> None:
    """What the reference has said once; there is no lattice of a mobile checkpoint."""
    for part in parts:
        if part != "lattice_logits" or good.folder.format == "q4_0":
            setattr(case, part, getattr(good, part))


def judge(good: CoremlCase, folder: Path, change: Callable[[Patient], None], name: str) -> Rung:
    """Changes a copy and climbs one rung; what the reference has said to the untouched package is taken over."""
    patient = Patient(good.package.path, folder)
    before = good.artifact.sha256(), {file.name: file.read_bytes() for file in good.package.path.parent.glob("*.rows")}
    change(patient)
    case = open_case(patient.close(), good.folder.path)
    after = case.artifact.sha256(), {file.name: file.read_bytes() for file in folder.glob("*.rows")}
    assert after != before, "the mutation changed nothing"
    if name != "0":
        take_over(good, case, "reference", "feed", "trace", "_measured", "lattice_logits")
    (result,) = climb(case, (name,))
    return result


@pytest.fixture
def judged(good: CoremlCase, tmp_path: Path) -> Judged:
    return lambda change, name: judge(good, tmp_path / "copy", change, name)


def failing(result: Rung) -> str:
    """Names and notes of the failed checks."""
    assert result.status == "fail", f"rung {result.name}: {result.status} {result.why}"
    return "\n".join(f"{check.name}: {check.note}" for check in result.checks if not check.passed)


@pytest.mark.slow
def test_an_untouched_package_passes_the_rungs_of_the_evaluator(good: CoremlCase) -> None:
    rungs = climb(good, ("0", "2a", "2b", "3"))
    assert [(rung.name, rung.status) for rung in rungs[:3]] == [(name, "pass") for name in ("0", "2a", "2b")]
    assert rungs[3].why.startswith("Core ML exists on macOS")


@pytest.fixture(scope="module")
def half(q4_0_e2b: Path, tmp_path_factory: pytest.TempPathFactory) -> CoremlCase:
    """As a device gets it: float16."""
    case = open_case(build(q4_0_e2b, tmp_path_factory.mktemp("half"), "float16"), q4_0_e2b)
    assert isinstance(case, CoremlCase)
    return case


@pytest.mark.slow
def test_a_float16_package_of_q4_0_passes_too(half: CoremlCase) -> None:
    rungs = climb(half, ("0", "2a", "2b"))
    assert [rung.status for rung in rungs] == ["pass"] * 3
    found = {check.name: check.found for check in rungs[2].checks}
    assert found["logits, weights before their rounding to bfloat16"] > 90
    assert found["float16: steps certain enough to be compared"] > 0.5
    assert "64 decode steps past the wrap" in rungs[2].checks[0].note
    assert any("not the Neural Engine" in name for name in found)


def test_a_float32_program_is_the_reference_to_90_db_and_a_mobile_one_to_the_noise_floor(
    sharp: CoremlCase, good: CoremlCase
) -> None:
    for case, name, least in ((sharp, "logits, weights before their rounding to bfloat16", 90.0), (good, "logits", 0)):
        (rung,) = climb(case, ("2b",))
        assert rung.status == "pass"
        check = next(check for check in rung.checks if check.name == name)
        assert check.limit is not None
        assert check.found >= check.limit >= least


def fed(good: CoremlCase, feed: Feed) -> CoremlCase:
    """The same package with other inputs."""
    case = open_case(good.package.path, good.folder.path)
    assert isinstance(case, CoremlCase)
    take_over(good, case, "reference", "trace", "_measured", "lattice_logits")
    case.feed = feed
    return case


@pytest.mark.parametrize("off", [-1, 1])
def test_a_window_that_is_one_token_off_is_caught_by_the_lowering_rung(sharp: CoremlCase, off: int) -> None:
    """The mask is the app's to make: an app that turns the window over one token too late would be seen."""
    found = fed(sharp, Feed(sharp.dims.window + off, sharp.feed.rotary))
    (rung,) = climb(found, ("2b",))
    assert "logits, weights before their rounding" in failing(rung)


@pytest.mark.parametrize("name", ["keys", "values"])
def test_a_state_that_decode_does_not_carry_is_caught_by_the_lowering_rung(
    half: CoremlCase, tmp_path: Path, name: str
) -> None:
    def change(patient: Patient) -> None:
        operations = patient.block("decode").operations
        for i in reversed(range(len(operations))):
            op = operations[i]
            if op.type == "write_state" and op.inputs["input"].arguments[0].name.startswith(name):
                del operations[i]

    found = failing(judge(half, tmp_path / "copy", change, "2b"))
    assert "logits, weights before their rounding" in found
    assert "float16: best token differs, near-ties aside" in found


def test_one_changed_code_is_named_by_the_weights_rung(judged: Judged) -> None:
    def change(patient: Patient) -> None:
        patient.bytes(f"{NAME}_weight", "data", "decode")[17] ^= 1

    assert f"integers equal: {KEY}: 1 codes differ" in failing(judged(change, "0"))


def test_one_changed_crumb_is_named_by_the_weights_rung(judged: Judged) -> None:
    def change(patient: Patient) -> None:
        patient.bytes("layers_7_mlp_up_proj_weight", "indices", "decode")[5] ^= 4

    assert f"integers equal: {CRUMBS}: 1 codes differ" in failing(judged(change, "0"))


def test_one_changed_table_entry_is_named_by_the_weights_rung(judged: Judged) -> None:
    def change(patient: Patient) -> None:
        patient.bytes("layers_7_mlp_up_proj_weight", "lut", "decode").view(np.uint32)[4] += 1

    assert f"weight scales equal: {CRUMBS}: 1 scales differ" in failing(judged(change, "0"))


def test_one_scale_off_by_one_ulp_is_named_by_the_weights_rung(judged: Judged) -> None:
    def change(patient: Patient) -> None:
        patient.bytes(f"{NAME}_weight", "scale", "decode").view(np.uint32)[5] += 1

    assert f"weight scales equal: {KEY}: 1 scales differ" in failing(judged(change, "0"))


@pytest.mark.parametrize("table", ["embed_tokens", "embed_tokens_per_layer"])
def test_one_changed_code_of_a_row_table_is_named_by_the_weights_rung(judged: Judged, table: str) -> None:
    def change(patient: Patient) -> None:
        file = np.memmap(patient.path.parent / f"{table}.rows", np.uint8, "r+")
        file[4096 + 10] ^= 1

    assert f"row tables equal: {table}: 1 codes, 0 scales differ" in failing(judged(change, "0"))


def test_one_changed_weight_of_q4_0_is_named_by_the_weights_rung(sharp: CoremlCase, tmp_path: Path) -> None:
    def change(patient: Patient) -> None:
        patient.bytes(f"{NAME}_weight", "data", "decode")[17] ^= 1
        np.memmap(patient.path.parent / "embed_tokens.rows", np.uint8, "r+")[4096 + 10] ^= 1

    found = failing(judge(sharp, tmp_path / "copy", change, "0"))
    assert f"weights equal: {KEY}.weight: 1 weights differ" in found
    assert "row tables equal: embed_tokens: 1 values differ" in found


def test_a_missing_row_table_is_bad_input(judged: Judged) -> None:
    with pytest.raises(InputError, match=r"embed_tokens\.rows: cannot be read .*beside the package"):
        judged(lambda patient: (patient.path.parent / "embed_tokens.rows").unlink(), "0")


def test_a_doubled_activation_scale_is_named_by_the_weights_rung(judged: Judged) -> None:
    assert f"{KEY}: output scale of" in failing(judged(_double, "0"))


def test_a_doubled_activation_scale_is_caught_by_the_blocks_rung(judged: Judged) -> None:
    assert f"{NAME}_codes" in failing(judged(_double, "2a"))


def _double(patient: Patient) -> None:
    for function in FUNCTIONS:
        op = patient.operation(f"{NAME}_codes", function)
        scale = op.inputs["scale"].arguments[0]
        held = scale.value.immediateValue.tensor if scale.WhichOneof("binding") == "value" else None
        (held or patient.constant(scale.name, function)).floats.values[0] *= 2


def test_an_exact_gelu_in_place_of_the_tanh_one_is_caught_by_the_blocks_rung(sharp: CoremlCase, tmp_path: Path) -> None:
    def change(patient: Patient) -> None:
        for function in FUNCTIONS:
            for op in patient.block(function).operations:
                if op.type == "gelu":
                    mode = op.inputs["mode"].arguments[0]
                    held = mode.value.immediateValue.tensor if mode.WhichOneof("binding") == "value" else None
                    (held or patient.constant(mode.name, function)).strings.values[0] = "EXACT"

    found = failing(judge(sharp, tmp_path / "copy", change, "2a"))
    assert "decode: mlp, worst of" in found
    assert "decode: key, worst of" not in found


def test_a_write_into_another_layers_state_is_caught_by_the_lowering_rung(sharp: CoremlCase, tmp_path: Path) -> None:
    def change(patient: Patient) -> None:
        """In decode alone, the second owner's keys go where the first one's rows lie."""
        updates = [op for op in patient.block("decode").operations if op.type == "slice_update"]
        for corner in ("begin", "end"):
            updates[2].inputs[corner].CopyFrom(updates[0].inputs[corner])

    assert "logits, weights before their rounding" in failing(judge(sharp, tmp_path / "copy", change, "2b"))


def test_a_state_that_a_function_does_not_write_is_caught_by_the_blocks_rung(judged: Judged) -> None:
    def change(patient: Patient) -> None:
        operations = patient.block("prefill_32").operations
        write = next(i for i, op in enumerate(operations) if op.type == "write_state")
        del operations[write]

    assert "prefill_32: state rows written where they belong" in failing(judged(change, "2a"))


def test_answers_in_a_stack_are_those_one_by_one(good: CoremlCase) -> None:
    prompts = [np.array(ids, np.int32) for ids in ([2, 5, 9, 700], [2, 40, 41], [2, 6, 10, 11], [2, *range(30, 80)])]
    found = answers(good, good.evaluator(), prompts, 4, frozenset({1}))
    for ids, new in zip(prompts, found, strict=True):
        session, chosen, last = good.session(good.evaluator()), [], 0
        first, second = good.lookup(ids)
        for i in range(len(ids)):
            last = int(session.decode(first[i : i + 1], None if second is None else second[i : i + 1]).argmax())
        while len(chosen) < 4 and (not chosen or chosen[-1] != 1):
            chosen.append(last)
            first, second = good.lookup(np.array([last], np.int32))
            last = int(session.decode(first, second).argmax())
        assert new.tolist() == chosen


@pytest.mark.slow
def test_the_task_rung_asks_the_package_with_and_without_its_activation_quantization(
    mobile_e2b: Path, tmp_path: Path
) -> None:
    folder = questions.talkative(mobile_e2b, tmp_path / "checkpoint")
    (tmp_path / "package").mkdir()
    package = build(folder, tmp_path / "package", "float32")
    questions.write(folder, open_case(package, folder), 12)
    case = open_case(package, folder)
    (rung,) = climb(case, ("4",))
    assert rung.status != "not run", rung.why
    accuracy = rung.evidence.accuracy
    assert accuracy is not None
    artifact, reference = accuracy.system(table.ARTIFACT), accuracy.reference
    assert artifact is not None
    assert "not a device" in artifact.description
    assert reference.accuracy > 0.5
    # A model of random weights is chaotic, yet most answers agree; without the static grid hardly any does.
    assert artifact.accuracy > reference.accuracy - 0.35
    plain = next(check for check in rung.checks if check.name == "package without its activation quantization")
    assert plain.found < 100 * artifact.accuracy - 20


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (128, [(0, 13), (13, 7), (20, 25), (429, 128), (685, 92)]),
        (1024, [(45, 732)]),
    ],
)
def test_at_real_size_blocks_run_over_odd_chunks_across_the_window_and_at_the_end(
    length: int, expected: list[tuple[int, int]]
) -> None:
    case = SimpleNamespace(ids=range(777), dims=SimpleNamespace(window=512), context=2048)
    function = SimpleNamespace(name=f"prefill_{length}")
    found = _calls(case, function, length)  # type: ignore[arg-type]
    assert found == expected
    assert any(start <= 512 < start + length for start, _ in found)
    assert sum(found[-1]) == 777


def test_a_boundary_of_a_layer_that_the_model_does_not_have_is_named(good: CoremlCase, tmp_path: Path) -> None:
    def change(patient: Patient) -> None:
        for function in FUNCTIONS:
            for op in patient.block(function).operations:
                for items in (op.outputs, *(argument.arguments for argument in op.inputs.values())):
                    for item in items:
                        if item.name == "layers_3_mlp":
                            item.name = "layers_33_mlp"

    found = judge(good, tmp_path / "copy", change, "2a")
    assert (found.status, found.why) == (
        "not run",
        "prefill_32 names a boundary layers_33_mlp, which the model does not have",
    )


def test_names_that_a_program_lost_fail_the_blocks_rung_in_every_function(good: CoremlCase, tmp_path: Path) -> None:
    """The values are right: without its name nothing of them was compared."""
    lost = {"layers_3_attention", "layers_8_mlp", "layers_2_self_attn_o_proj_codes", "layers_1_per_layer_input"}

    def change(patient: Patient) -> None:
        for function in FUNCTIONS:
            for op in patient.block(function).operations:
                for items in (op.outputs, *(argument.arguments for argument in op.inputs.values())):
                    for item in items:
                        if item.name in lost:
                            item.name = f"lost_{item.name}"

    found = judge(good, tmp_path / "copy", change, "2a")
    check = next(check for check in found.checks if not check.passed)
    assert (check.name, check.found) == ("boundaries and int8 outputs that a function does not name", 7)
    assert check.note == (
        "prefill_32: layers_1_per_layer_input; prefill_32: layers_2_self_attn_o_proj_codes; "
        "prefill_32: layers_3_attention; and 4 more"
    )
