"""The judge of ONNX models against damage: each mutation is caught by the rung that should."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runtime_tests.errors import InputError
from runtime_tests.ladder import climb
from runtime_tests.onnx.case import OnnxCase, open_pair
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.results import Rung
from tests.support.onnx.patient import Patient

Judged = Callable[[Callable[[Patient], None], str], Rung]


@pytest.fixture(scope="session")
def artifact(mobile_e2b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small mobile checkpoint, converted once."""
    return converted(mobile_e2b, tmp_path_factory.mktemp("judged"))


def converted(folder: Path, out: Path) -> Path:
    from convert.checkpoint import open_checkpoint as read
    from convert.progress import Silent
    from convert.targets.onnx import OnnxOptions, convert

    convert(read(folder), OnnxOptions(context=192, prefill=(512,)), out / "model.onnx", Silent())
    return out / "model.onnx"


@pytest.fixture
def judged(artifact: Path, mobile_e2b: Path, tmp_path: Path) -> Judged:
    """Mutates a copy and climbs one rung."""

    def run(mutate: Callable[[Patient], None], name: str) -> Rung:
        patient = Patient(artifact, tmp_path / "spoilt")
        mutate(patient)
        (result,) = climb(OnnxCase(open_pair(patient.save()), open_checkpoint(mobile_e2b)), (name,))
        return result

    return run


def failing(rung: Rung) -> str:
    return "; ".join(f"{check.name}: {check.note}" for check in rung.checks if not check.passed)


def test_each_small_checkpoint_passes(any_checkpoint: Path, tmp_path: Path) -> None:
    case = OnnxCase(open_pair(converted(any_checkpoint, tmp_path)), open_checkpoint(any_checkpoint))
    rungs = climb(case, ("0", "2a", "2b", "3"))
    assert [(rung.name, rung.status, failing(rung), rung.why) for rung in rungs] == [
        (name, "pass", "", "") for name in ("0", "2a", "2b", "3")
    ]
    found = {check.name: check.found for rung in rungs for check in rung.checks}
    if case.folder.storage == "rounded lattice":
        assert found["logits, weights before their rounding to bfloat16"] >= 90
    else:
        assert found["int8 outputs equal"] >= 0.999


def test_a_flipped_code(judged: Judged) -> None:
    def mutate(patient: Patient) -> None:
        patient.weight("layers.3.mlp.down_proj.codes", "u1")[17] ^= 1

    assert "layers.3.mlp.down_proj: 1 codes differ" in failing(judged(mutate, "0"))


def test_a_scale_off_by_an_ulp(judged: Judged) -> None:
    def mutate(patient: Patient) -> None:
        patient.weight("layers.2.self_attn.v_proj.scales", "u4")[5] += 1

    assert "layers.2.self_attn.v_proj: 1 scales differ" in failing(judged(mutate, "0"))


def test_a_row_of_the_per_layer_table(judged: Judged) -> None:
    def mutate(patient: Patient) -> None:
        patient.weight("embed_tokens_per_layer.codes", "u1")[1000] ^= 0x10

    assert "embed_tokens_per_layer: 1 codes, 0 scales differ" in failing(judged(mutate, "0"))


@pytest.mark.parametrize("type", ["QuantizeLinear", "DequantizeLinear"])
def test_an_activation_scale_off_by_an_ulp(judged: Judged, type: str) -> None:
    def mutate(patient: Patient) -> None:
        made = "layers.1.mlp.gate_proj/codes"
        node = patient.node(made) if type == "QuantizeLinear" else patient.users(made)[0]
        from onnx import numpy_helper

        value = numpy_helper.to_array(patient.constant(node.input[1]))
        patient.own(node, 1, np.nextafter(value, np.float32(1)))

    assert "layers.1.mlp.gate_proj: output scale" in failing(judged(mutate, "0"))


def test_an_input_scale_that_comes_back_otherwise(judged: Judged) -> None:
    def mutate(patient: Patient) -> None:
        product = next(node for node in patient.proto.graph.node if "layers.1.mlp.down_proj.codes" in node.input)
        gained = patient.users(product.output[0])[0]
        back = patient.users(gained.output[0])[0]
        at = 1 if back.input[0] == gained.output[0] else 0
        patient.own(back, at, np.float32(0.5))

    assert "layers.1.mlp.down_proj: input codes go in" in failing(judged(mutate, "0"))


def test_a_window_off_by_one(judged: Judged) -> None:
    def mutate(patient: Patient) -> None:
        node = next(node for node in patient.proto.graph.node if node.op_type == "GroupQueryAttention")
        window = next(item.i for item in node.attribute if item.name == "local_window_size")
        patient.attribute(node, "local_window_size", window - 1)

    assert "layer 0" in failing(judged(mutate, "0"))


def test_a_layer_that_reads_another_ones_cache(judged: Judged) -> None:
    def mutate(patient: Patient) -> None:
        nodes = [node for node in patient.proto.graph.node if node.op_type == "GroupQueryAttention"]
        nodes[1].input[3], nodes[1].input[4] = nodes[0].input[3], nodes[0].input[4]

    assert "layer 1 reads past_key_values.0.key" in failing(judged(mutate, "0"))


@pytest.mark.parametrize("output", ["layers.2/mlp", "layers.7/attention", "layers.4/output"])
def test_a_block_that_adds_the_wrong_thing_is_named(judged: Judged, output: str) -> None:
    """A residual counts five per cent too much."""

    def mutate(patient: Patient) -> None:
        import onnx

        node = patient.node(output)
        patient.proto.graph.node.insert(
            list(patient.proto.graph.node).index(node),
            onnx.helper.make_node("Mul", [node.input[1], "much"], ["too_much"], name="too_much"),
        )
        patient.proto.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1.05), "much"))
        node = patient.node(output)
        node.input[1] = "too_much"

    assert output in failing(judged(mutate, "2a"))


def test_a_softcap_that_is_missing(judged: Judged) -> None:
    def mutate(patient: Patient) -> None:
        last = patient.node("logits")  # tanh(x / cap) * cap
        tanh = next(node for node in patient.proto.graph.node if node.op_type == "Tanh")
        tanh.op_type = "Identity"
        assert tanh.output[0] in last.input

    assert "logits" in failing(judged(mutate, "2a"))


def test_the_wrong_rotary_base(judged: Judged) -> None:
    def mutate(patient: Patient) -> None:
        node = next(node for node in patient.proto.graph.node if node.op_type in ("Cos",))
        angle = next(one for one in patient.proto.graph.node if node.input[0] in one.output)
        at = next(i for i, name in enumerate(angle.input) if name.startswith("const"))
        from onnx import numpy_helper

        patient.own(angle, at, numpy_helper.to_array(patient.constant(angle.input[at])) * np.float32(1.1))

    assert "attention" in failing(judged(mutate, "2a"))


def test_end_to_end_scales_with_the_wrong_sign_are_beyond_the_floor(judged: Judged) -> None:
    def mutate(patient: Patient) -> None:
        for layer in range(4):
            patient.weight(f"layers.{layer}.mlp.down_proj.scales", "f4")[::2] *= -1  # of all, a norm would undo much

    assert "logits" in failing(judged(mutate, "2b"))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("location", "../model.onnx.data", "not the plain name of a file"),
        ("location", "/etc/passwd", "not the plain name of a file"),
        ("offset", "99999999999", "it ends at"),
        ("length", "12", "12 bytes for"),
        ("offset", "-4096", "offset '-4096'"),
    ],
)
def test_a_reference_out_of_the_data_is_refused(
    artifact: Path, tmp_path: Path, key: str, value: str, said: str
) -> None:
    patient = Patient(artifact, tmp_path / "spoilt")
    tensor = patient.constant("layers.0.mlp.up_proj.codes")
    (item,) = [one for one in tensor.external_data if one.key == key]
    item.value = value
    with pytest.raises(InputError, match=said):
        open_pair(patient.save())


def test_a_file_that_is_no_model_is_refused(artifact: Path, tmp_path: Path) -> None:
    patient = Patient(artifact, tmp_path / "spoilt")
    for text in (b"", b"\x00" * 64, b"not a model at all"):
        patient.path.write_bytes(text)
        with pytest.raises(InputError, match=r"model\.onnx: "):
            open_pair(patient.path)
