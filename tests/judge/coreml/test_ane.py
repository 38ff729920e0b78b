"""Profile ``ane`` has its own constants, and its bars are as sharp as any: faults in such packages, and in their judge.

The model is small and calm: of a right program hardly one int8 output in 100,000 differs from the reference, so what
differs is the fault's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runtime_tests.budgets import budget_for
from runtime_tests.coreml import constants
from runtime_tests.coreml.budgets import coreml_budget
from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.session import Feed
from runtime_tests.kinds import open_case
from runtime_tests.ladder import climb
from runtime_tests.measures import metrics
from runtime_tests.reference.model import Reference
from runtime_tests.results import Rung
from runtime_tests.rungs.continuations import continue_greedily
from tests.mutants.catalogue.checkpoint import PREFIX, data
from tests.mutants.catalogue.coreml.program import not_kept, row_written_one_late
from tests.support.checkpoints.shapes import SMALL_E2B, Temper
from tests.support.coreml.patient import Patient

# Two owners, a sliding and a full one, and two layers that share their keys and values.
SHAPE = replace(
    SMALL_E2B,
    vocab=503,
    hidden=96,
    intermediate=160,
    layers=4,
    sliding_run=1,
    kv_shared=2,
    temper=Temper((0.1, 0.3), 0.5),
)
# Rows that hardly anything comes from: their scales lie below the lowest power of two that stays with the codes.
TINY = (("layers.0.mlp.up_proj", 3, 2.0**-15), ("layers.1.mlp.down_proj", 2, 1e-7), ("layers.2.mlp.up_proj", 2, 3e-5))
DOWN, HALF = "layers_1_mlp_down_proj", np.float16
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"
Change = Callable[[Patient], None]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> CoremlCase:
    """The untouched package; what the references say is made once for all."""
    from convert.checkpoint import open_checkpoint
    from convert.progress import Silent
    from convert.targets.coreml import CoremlOptions, convert, rows
    from tests.support.checkpoints.write import write_checkpoint

    checkpoint, folder = tmp_path_factory.mktemp("checkpoints") / "calm", tmp_path_factory.mktemp("package")
    write_checkpoint(checkpoint, SHAPE, "mobile", 7)
    for key, row, scale in TINY:
        data(f"{PREFIX}{key}.weight_scale", 4 * row, lambda _, scale=scale: np.float32(scale).tobytes(), 4)(checkpoint)  # type: ignore[misc]
    opened = open_checkpoint(checkpoint)
    convert(opened, CoremlOptions(160, (32,), "float16", "ane"), folder / "Model.mlpackage", Silent())
    rows.write(opened, folder, lambda n: None)
    case = open_case(folder / "Model.mlpackage", checkpoint)
    assert isinstance(case, CoremlCase)
    return case


def judge(good: CoremlCase, name: str, folder: Path | None = None, change: Change | None = None, **other: Any) -> Rung:
    """One rung of a changed copy, or of the package itself with something else in the judge's place."""
    path = good.package.path
    if change is not None:
        assert folder is not None
        patient = Patient(path, folder)
        change(patient)
        path = patient.close()
    case = open_case(path, good.folder.path)
    assert isinstance(case, CoremlCase)
    assert (case.artifact.sha256() == good.artifact.sha256()) == (change is None)
    known = {"reference", "feed", "_measured", "profiled", "trace", "_profile_measured"} - other.keys()
    for part in known - ({"trace", "_profile_measured"} if "profiled" in other else set()):
        setattr(case, part, getattr(good, part))
    for part, value in other.items():
        setattr(case, part, value)
    (result,) = climb(case, (name,))
    return result


def failing(result: Rung) -> str:
    """Names and notes of the failed checks."""
    assert result.why == ""
    return "\n".join(f"{check.name}: {check.note}" for check in result.checks if not check.passed)


def figure(result: Rung, name: str) -> float:
    return next(check.found for check in result.checks if check.name.startswith(name))


def gains(patient: Patient, linear: str) -> Any:
    """The stored bits of a linear's gains, uint16 ``[out]``, writable."""
    offset = patient.operation(f"{linear}_gain", "decode").attributes["val"].blobFileValue.offset
    file = np.memmap(patient.path / WEIGHTS, np.uint8, "r+")
    size, begin = (int(n) for n in file[offset + 8 : offset + 24].view(np.uint64))
    return file[begin : begin + size].view(np.uint16)


def test_a_right_program_gives_the_int8_outputs_of_its_own_reference(good: CoremlCase) -> None:
    weights, blocks, lowering = (judge(good, name) for name in ("0", "2a", "2b"))
    assert [rung.status for rung in (weights, blocks, lowering)] == ["pass"] * 3
    for name in ("prefill_32", "decode"):
        assert figure(blocks, f"{name}: int8 outputs equal") > 0.9999
    # The checkpoint's own reference is 20 dB away, and the bar, by the noise floor, lies at 15.
    assert figure(lowering, "logits") > 30


def test_what_the_constants_cost_is_stated_beside_and_counts_in_the_goldens_tolerance(
    good: CoremlCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Reference(good.folder.path, 1).logits(good.ids, first=good.prompt)
    assert metrics.snr_db(own, good.plain_logits) > 100  # rung 1 asks for the checkpoint's own
    cost = metrics.snr_db(own, good.profiled_logits)
    assert 10 < cost < 40
    stated = figure(judge(good, "2b"), "constants in float16: logits against the checkpoint's")
    assert stated == pytest.approx(cost, abs=0.1)
    (item,) = continue_greedily(good, [("The capital of", 4)])
    (most, usual), plain = good.arithmetic([item]), CoremlCase(good.package, good.folder).arithmetic
    assert 0 < usual <= most
    monkeypatch.setattr(CoremlCase, "_constants", lambda self, item: np.zeros(len(item.new)))
    assert most > plain([item])[0] > 0


def test_every_float_of_the_checkpoint_that_a_program_holds_is_rounded(good: CoremlCase) -> None:
    third = Reference(good.folder.path, 1)
    decoder, config = third.decoder, third.model.config
    layer = decoder.layers[1]
    held = [decoder.norm.weight, layer.self_attn.k_norm.weight, layer.layer_scalar]
    held.append(decoder.per_layer_model_projection.weight)
    for values in held:
        values.data.fill_(1 / 3)
    config.final_logit_softcapping = 100 / 3
    constants.round_constants(third)
    held = [decoder.norm.weight, layer.self_attn.k_norm.weight, layer.layer_scalar]
    held.append(decoder.per_layer_model_projection.weight)
    assert {float(value) for values in held for value in values.flatten()[:3]} == {float(HALF(1 / 3))}
    assert config.final_logit_softcapping == float(HALF(100 / 3))
    table, rounded = good.reference.decoder.embed_tokens, third.decoder.embed_tokens
    assert torch.equal(table.embedding_scale, rounded.embedding_scale)


def test_the_bars_are_those_of_the_other_profile_save_for_the_point_of_accuracy() -> None:
    found = coreml_budget(True, "integers", "ane")
    assert found.artifact_points == 1
    assert replace(found, artifact_points=budget_for(True, "integers").artifact_points) == coreml_budget(
        True, "integers"
    )
    assert found.disturbed_rows < 0.2


def a_gain_of_lm_head_by_two_ulp(patient: Patient) -> None:
    gains(patient, "lm_head")[3] += 2


def gains_of_two_rows_swapped(patient: Patient) -> None:
    found = gains(patient, DOWN)
    found[[3, 4]] = found[[4, 3]]


def gains_of_one_linear_by_an_ulp(patient: Patient) -> None:
    gains(patient, DOWN)[:] += 1


def a_power_of_two_moved_from_gain_to_codes(patient: Patient) -> None:
    """The row's scale is the same; its codes' products are not those that float16 is known to hold."""
    patient.bytes(f"{DOWN}_weight", "scale", "decode").view(HALF)[5] *= HALF(2)
    gains(patient, DOWN).view(HALF)[5] /= HALF(2)


@pytest.mark.parametrize("change", [a_gain_of_lm_head_by_two_ulp, a_power_of_two_moved_from_gain_to_codes])
def test_a_row_scale_other_than_the_checkpoints_rounded_once_is_named_by_the_weights_rung(
    good: CoremlCase, tmp_path: Path, change: Change
) -> None:
    assert "weight scales equal: " in failing(judge(good, "0", tmp_path / "copy", change))


def scaled(side: str) -> Change:
    """The activation scale of one side of a linear, 1 % larger in ``quantize`` and ``dequantize``."""

    def change(patient: Patient) -> None:
        scale = patient.operation(f"{DOWN}_{side}", "decode").inputs["scale"].arguments[0].name
        held = patient.constant(scale, "decode").bytes
        held.values = (np.frombuffer(held.values, HALF) * HALF(1.01)).tobytes()

    return change


def softcap_left_out(patient: Patient) -> None:
    (cap,) = (op for op in patient.block("decode").operations if op.type == "tanh")
    cap.type = "identity"


def factor_of_the_per_layer_inputs_by_an_ulp(patient: Patient) -> None:
    for function in ("prefill_32", "decode"):
        found = [op for op in patient.block(function).operations if op.type == "const"]
        held = [op.attributes["val"].immediateValue.tensor.bytes for op in found]
        (factor,) = (item for item in held if item.values == HALF(2**-0.5).tobytes())
        factor.values = np.nextafter(HALF(2**-0.5), HALF(1)).tobytes()


keys_not_kept = not_kept("keys", ("decode",))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (a_gain_of_lm_head_by_two_ulp, ["decode: logits, worst of 1"]),
        (gains_of_two_rows_swapped, [f"decode: largest difference: {DOWN}", "decode: mlp, worst"]),
        (gains_of_one_linear_by_an_ulp, [f"decode: tokens touched, worst linear: {DOWN}"]),
        (scaled("codes"), ["decode: int8 outputs equal", f"decode: tokens touched, worst linear: {DOWN}"]),
        (scaled("in"), ["decode: int8 outputs equal", f"decode: tokens touched, worst linear: {DOWN}"]),
        (softcap_left_out, ["decode: logits, worst of 1"]),
        (factor_of_the_per_layer_inputs_by_an_ulp, ["prefill_32: per_layer_input", "decode: per_layer_input"]),
        (row_written_one_late, ["decode: state rows written where they belong"]),
    ],
)
def test_a_fault_in_the_program_is_caught_by_the_blocks_rung(
    good: CoremlCase, tmp_path: Path, change: Change, expected: list[str]
) -> None:
    found = failing(judge(good, "2a", tmp_path / "copy", change))
    assert [name for name in expected if name not in found] == [], found


@pytest.mark.parametrize("change", [keys_not_kept, row_written_one_late])
def test_a_fault_in_a_state_is_caught_by_the_lowering_rung(good: CoremlCase, tmp_path: Path, change: Change) -> None:
    assert "logits: floor" in failing(judge(good, "2b", tmp_path / "copy", change))


@pytest.mark.parametrize("off", [-1, 1])
def test_a_window_one_off_is_caught_by_both_rungs(good: CoremlCase, off: int) -> None:
    feed = Feed(good.dims.window + off, good.feed.rotary)
    assert "decode: attention, worst" in failing(judge(good, "2a", feed=feed))
    assert "mean KL: floor" in failing(judge(good, "2b", feed=feed))


def test_a_package_that_does_not_say_its_profile_is_held_to_the_checkpoint(good: CoremlCase, tmp_path: Path) -> None:
    patient = Patient(good.package.path, tmp_path / "copy")
    patient.model.description.metadata.userDefined["gemma_bridge.profile"] = "gpu"
    case = open_case(patient.close(), good.folder.path)
    assert isinstance(case, CoremlCase)
    assert case.profiled is case.reference
    (result,) = climb(case, ("2a",))
    assert "decode: int8 outputs equal" in failing(result)


@pytest.mark.parametrize(
    ("part", "instead"), [("_with_gain", lambda x: x), ("_number", lambda x: x), ("ACTIVATIONS", ()), (None, None)]
)
def test_a_judge_that_does_not_round_the_constants_refuses_a_right_program(
    good: CoremlCase, monkeypatch: pytest.MonkeyPatch, part: str | None, instead: Any
) -> None:
    other = good.reference
    if part is not None:
        monkeypatch.setattr(constants, part, instead)
        other = Reference(good.folder.path, 1)
        constants.round_constants(other)
    assert failing(judge(good, "2a", profiled=other))


def test_the_norm_of_the_judges_reference_is_the_programs_on_rows_with_a_peak_and_on_tiny_ones(
    good: CoremlCase,
) -> None:
    rows = np.random.default_rng(3).normal(size=(3, SHAPE.hidden)).astype(np.float32)
    rows[1, 5], rows[2] = 3000.0, rows[2] * 1e-4
    function, evaluator = good.decode, good.evaluator("float64")
    (norm,) = (op.name for op in function.operations if function.one(op, "y") == "layers_0_input_layernorm_weight")
    zeros = np.zeros((1, SHAPE.layers, SHAPE.per_layer_width), np.float32)
    inputs = [good.feed.inputs(function, 0, row[None], zeros) for row in rows]
    state = evaluator.new_state("decode")
    found = [evaluator.run("decode", item, state, wanted=(norm,))[norm].numpy().reshape(-1) for item in inputs]
    with torch.no_grad():
        given = torch.from_numpy(rows)
        rounded, own = (r.decoder.layers[0].input_layernorm(given).numpy() for r in (good.profiled, good.reference))
    assert min(metrics.snr_db(*pair) for pair in zip(rounded, found, strict=True)) > 130
    plain, peak, tiny = (metrics.snr_db(*pair) for pair in zip(own, found, strict=True))
    assert plain > 120 > peak > tiny
