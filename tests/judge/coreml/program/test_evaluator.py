"""The evaluator: rounding to declared types, states, given values, refusals by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_tests.coreml.program.evaluator import Evaluator
from runtime_tests.coreml.program.ops.index import slice_by_index
from runtime_tests.coreml.program.values import Weights
from runtime_tests.errors import CannotRunError
from runtime_tests.readers.coreml.mlpackage import open_mlpackage
from tests.support.coreml.mil_tools import builder, save, spec, state
from tests.support.coreml.patient import Patient

X = np.random.default_rng(1).normal(size=(1, 3, 64)).astype(np.float16)
WEIGHT = np.random.default_rng(2).normal(size=(64, 64)).astype(np.float16)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float16 program: quantized input, a linear, tanh gelu, rows written into a state at a position."""
    mb = builder()

    def build(x, position, rows):  # type: ignore[no-untyped-def]
        codes = mb.quantize(input=x, scale=np.float16(0.125), output_dtype="int8", name="codes")
        grid = mb.dequantize(input=codes, scale=np.float16(0.125), name="grid")
        product = mb.linear(x=grid, weight=WEIGHT, name="product")
        active = mb.gelu(x=product, mode="TANH_APPROXIMATION", name="active")
        after = mb.add(x=position, y=np.int32(3))
        zero, one, wide = (np.array([n], np.int32) for n in (0, 1, 64))
        begin = mb.concat(values=(zero, position, zero), axis=0)
        end = mb.concat(values=(one, after, wide), axis=0)
        old = mb.read_state(input=rows)
        mb.coreml_update_state(state=rows, value=mb.slice_update(x=old, update=active, begin=begin, end=end))
        return mb.reduce_sum(x=mb.mul(x=active, y=active, name="square"), axes=[-1], name="total")

    specs = [spec(X), spec(np.zeros(1, np.int32)), state((1, 16, 64))]
    return save(tmp_path_factory.mktemp("run") / "Small.mlpackage", build, specs)


@pytest.fixture
def patient(package: Path, tmp_path: Path) -> Patient:
    return Patient(package, tmp_path / "copy")


def run(evaluator: Evaluator, position: int = 0, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    states = more.pop("states", None) or evaluator.new_state("main")
    return evaluator.run("main", {"x": X, "position": np.array([position])}, states, **more), states


def test_each_result_is_rounded_to_its_declared_type_and_sums_are_not(package: Path) -> None:
    wanted = ("grid", "product", "active", "square", "total")
    made = {name: value.numpy() for name, value in run(Evaluator(open_mlpackage(package)), wanted=wanted)[0].items()}
    exact = made["grid"].astype(np.float64) @ WEIGHT.T.astype(np.float64)
    # One rounding of the whole sum: half a unit in the last place of float16, and float32's own error.
    assert (np.abs(made["product"] - exact) <= np.spacing(exact.astype(np.float16)) * 0.51).all()
    for name, value in made.items():
        np.testing.assert_array_equal(value, value.astype(np.float16).astype(np.float32), err_msg=name)
    np.testing.assert_array_equal(made["square"], (made["active"] * made["active"]).astype(np.float16))


def test_float64_rounds_nothing_but_the_quantization(package: Path) -> None:
    made, _ = run(Evaluator(open_mlpackage(package), "float64"), wanted=("codes", "product"))
    codes = np.clip(np.rint(X.astype(np.float64) / 0.125), -128, 127)
    np.testing.assert_array_equal(made["codes"].numpy(), codes)
    np.testing.assert_allclose(made["product"].numpy(), codes * 0.125 @ WEIGHT.T.astype(np.float64), rtol=1e-13)


def test_without_activations_the_pair_hands_its_input_on(package: Path) -> None:
    made, _ = run(Evaluator(open_mlpackage(package), activations=False), wanted=("grid",))
    np.testing.assert_array_equal(made["grid"].numpy(), X.astype(np.float32))


def test_states_are_carried_across_calls_and_only_their_rows_change(package: Path) -> None:
    evaluator = Evaluator(open_mlpackage(package))
    first, states = run(evaluator, 2, wanted=("active",))
    second, _ = run(evaluator, 5, states=states, wanted=("active",))
    expected = np.zeros((1, 16, 64), np.float32)
    expected[:, 2:5], expected[:, 5:8] = first["active"].numpy(), second["active"].numpy()
    np.testing.assert_array_equal(states["rows"].numpy(), expected)


def test_a_given_value_is_what_later_operations_read_and_the_made_one_is_handed_back(package: Path) -> None:
    evaluator, ones = Evaluator(open_mlpackage(package)), np.ones((1, 3, 64), np.float32)
    made, states = run(evaluator, given={"active": ones}, wanted=("active",))
    plain, _ = run(evaluator, wanted=("active",))
    np.testing.assert_array_equal(made["active"], plain["active"])
    assert made["total"].tolist() == [[64.0, 64.0, 64.0]]
    np.testing.assert_array_equal(states["rows"][0, :3].numpy(), ones[0])


def test_an_unknown_operation_is_refused_by_name(patient: Patient) -> None:
    patient.operation("active").type = "swoosh"
    with pytest.raises(CannotRunError, match="op swoosh is not known to the evaluator"):
        Evaluator(open_mlpackage(patient.close()))


def test_an_unknown_parameter_is_refused_by_name(patient: Patient) -> None:
    op = patient.operation("active")
    op.inputs["sharpness"].CopyFrom(op.inputs["mode"])
    with pytest.raises(CannotRunError, match="op gelu has the parameter 'sharpness', which is not known"):
        Evaluator(open_mlpackage(patient.close()))


def test_an_unknown_mode_of_gelu_is_refused(patient: Patient) -> None:
    name = patient.operation("active").inputs["mode"].arguments[0].name
    patient.constant(name).strings.values[0] = "FAST"
    with pytest.raises(CannotRunError, match="operation active: gelu of mode 'FAST'"):
        run(Evaluator(open_mlpackage(patient.close())))


def test_a_result_of_another_shape_than_declared_is_refused_by_name(patient: Patient) -> None:
    patient.operation("product").outputs[0].type.tensorType.dimensions[1].constant.size = 4
    with pytest.raises(CannotRunError, match=r"operation product \(linear\) gives shape \[1, 3, 64\], declared"):
        run(Evaluator(open_mlpackage(patient.close())))


def test_a_position_past_the_end_of_a_state_is_refused(package: Path) -> None:
    with pytest.raises(CannotRunError, match="slice"):
        run(Evaluator(open_mlpackage(package)), 14)


def test_missing_inputs_and_functions_are_named(package: Path) -> None:
    evaluator = Evaluator(open_mlpackage(package))
    with pytest.raises(CannotRunError, match="position is missing"):
        evaluator.run("main", {"x": X})
    with pytest.raises(CannotRunError, match="no function decode; the program has main"):
        evaluator.new_state("decode")


def test_tables_taken_in_parts_are_those_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from runtime_tests.coreml.program.ops import quantized

    indices, table = torch.randint(0, 4, (7, 5), dtype=torch.uint8), torch.randn(7, 1, 4, 1)
    whole = quantized.constexpr_lut_to_dense(indices, table)
    monkeypatch.setattr(quantized, "AT_ONCE", 10)
    assert torch.equal(quantized.constexpr_lut_to_dense(indices, table), whole)
    assert whole[3, 2] == table[3, 0, int(indices[3, 2]), 0]


def test_weights_beyond_the_room_are_made_again() -> None:
    store, made = Weights(torch.float32, room=1000), []

    def make(key: str) -> torch.Tensor:
        return store.get((key,), lambda: made.append(key) or torch.zeros(150))  # type: ignore[func-returns-value]

    for key in "aba":
        make(key)
    assert (made, store.held) == (["a", "b", "a"], 600)


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_slices_are_those_of_numpy(data: st.DataObject) -> None:
    x = np.arange(4 * 5).reshape(4, 5)
    bounds, masks = st.integers(-4, 4), st.booleans()
    begin, end = (tuple(data.draw(st.lists(bounds, min_size=2, max_size=2))) for _ in range(2))
    stride = tuple(data.draw(st.lists(st.sampled_from([-2, -1, 1, 2]), min_size=2, max_size=2)))
    first, last = (tuple(data.draw(st.lists(masks, min_size=2, max_size=2))) for _ in range(2))
    where = tuple(slice(None if first[i] else begin[i], None if last[i] else end[i], stride[i]) for i in range(2))
    found = slice_by_index(torch.from_numpy(x), begin, end, stride, first, last)
    np.testing.assert_array_equal(found.numpy(), x[where])
