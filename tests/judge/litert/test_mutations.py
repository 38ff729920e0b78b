"""The judge against damage: each mutation of a good artifact is caught, by the rung that should."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runtime_tests.ladder import climb
from runtime_tests.litert.case import DECODER, PER_LAYER, LitertCase
from runtime_tests.litert.engine.metadata import compare_metadata
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.results import Rung
from tests.support.litert.patient import Patient, failing

SLIDING_THETA, FULL_THETA = 1e4, 1e6


@pytest.fixture(scope="session")
def artifact(mobile_e2b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small mobile checkpoint, converted once."""
    from convert.checkpoint import open_checkpoint as read
    from convert.progress import Silent
    from convert.targets.litert import LitertOptions, convert

    out = tmp_path_factory.mktemp("judged") / "model.litertlm"
    convert(read(mobile_e2b), LitertOptions(context=160, prefill=(32,), cache="float32"), out, Silent())
    return out


@pytest.fixture
def judged(artifact: Path, mobile_e2b: Path, tmp_path: Path) -> Callable[[Callable[[Patient], None], str], Rung]:
    """Mutates a copy and climbs one rung."""

    def run(mutate: Callable[[Patient], None], name: str) -> Rung:
        patient = Patient(artifact)
        mutate(patient)
        assert patient.bytes != artifact.read_bytes(), "the mutation changed nothing"
        target = tmp_path / "mutated.litertlm"
        target.write_bytes(patient.bytes)
        (result,) = climb(LitertCase(open_litertlm(target), open_checkpoint(mobile_e2b)), (name,))
        return result

    return run


Judged = Callable[[Callable[[Patient], None], str], Rung]


@pytest.mark.slow
def test_an_untouched_artifact_passes_every_rung(artifact: Path, mobile_e2b: Path) -> None:
    rungs = climb(LitertCase(open_litertlm(artifact), open_checkpoint(mobile_e2b)))
    assert [(rung.name, rung.status, rung.why) for rung in rungs] == [
        *((name, "pass", "") for name in ("0", "1", "2a", "2b", "3")),
        ("4", "not run", "the checkpoint brings no evaluation questions, and none were given with --evaluation"),
    ]


def test_one_flipped_code_is_caught_by_the_weights_rung(judged: Judged) -> None:
    def mutate(patient: Patient) -> None:
        model = patient.model(DECODER)
        tensor = model.subgraph("decode").by_name["layers.3.mlp.down_proj.weight"]
        model.buffer(tensor.buffer)[17] ^= 1

    assert "layers.3.mlp.down_proj: 1 codes differ" in failing(judged(mutate, "0"))


def test_one_scale_off_by_one_ulp_is_caught_by_the_weights_rung(judged: Judged) -> None:
    def mutate(patient: Patient) -> None:
        for graph in patient.model(DECODER).subgraphs:
            if tensor := graph.by_name.get("layers.2.self_attn.v_proj.weight"):
                assert tensor.quantization is not None
                tensor.quantization.scales.view(np.uint32)[5] += 1

    assert "layers.2.self_attn.v_proj: 1 scales differ" in failing(judged(mutate, "0"))


def test_a_doubled_activation_scale_is_caught_by_the_weights_rung(judged: Judged) -> None:
    assert "layers.1.mlp.down_proj: output scale" in failing(judged(_double_activation, "0"))


def test_a_doubled_activation_scale_is_caught_by_the_blocks_rung(judged: Judged) -> None:
    assert "layers.1.mlp.down_proj" in failing(judged(_double_activation, "2a"))


def _double_activation(patient: Patient) -> None:
    for graph in patient.model(DECODER).subgraphs:
        weight = graph.by_name.get("layers.1.mlp.down_proj.weight")
        for op in graph.consumers.get(weight.index, []) if weight else []:
            made = graph.tensors[op.outputs[0]]
            assert made.quantization is not None
            made.quantization.scales[0] *= 2


def test_a_missing_softcap_is_caught_by_the_blocks_rung(judged: Judged) -> None:
    def mutate(patient: Patient) -> None:
        model = patient.model(DECODER)
        graph = model.subgraph("decode")
        tanh = next(op for op in reversed(graph.operators) if op.code == "TANH")
        (after,) = graph.consumers[tanh.outputs[0]]
        raw = model.raw.subgraphs[graph.index].operators[after.index]
        raw.inputs[list(raw.inputs).index(tanh.outputs[0])] = tanh.inputs[0]

    assert "decode: logits" in failing(judged(mutate, "2a"))


def test_the_rope_theta_of_the_other_layer_kind_is_caught_by_the_blocks_rung(judged: Judged) -> None:
    def mutate(patient: Patient) -> None:
        model = patient.model(DECODER)
        for found in (t for graph in model.subgraphs for t in graph.tensors if t.type == "FLOAT32"):
            values = model.buffer(found.buffer).view(np.float32) if len(model.buffer(found.buffer)) else np.zeros(0)
            pairs = np.arange(values.size) / max(1, values.size)
            if values.size >= 8 and np.allclose(values, SLIDING_THETA**-pairs, rtol=1e-4):
                values[:] = FULL_THETA**-pairs

    assert "key" in failing(judged(mutate, "2a"))


@pytest.mark.parametrize("off", [-1, 1])
def test_a_window_off_by_one_is_caught_by_the_blocks_rung(judged: Judged, off: int) -> None:
    def mutate(patient: Patient) -> None:
        model, window = patient.model(DECODER), 24
        done: set[int] = set()
        for graph in model.subgraphs:
            for op in (op for op in graph.operators if op.code in ("SUB", "LESS")):
                for tensor in (graph.tensors[i] for i in op.inputs if graph.tensors[i].type == "INT32"):
                    data = model.buffer(tensor.buffer)
                    if len(data) == 4 and tensor.buffer not in done and data.view(np.int32)[0] in (window - 1, window):
                        data.view(np.int32)[0] += off
                        done.add(tensor.buffer)

    assert "attention" in failing(judged(mutate, "2a"))


def test_a_shared_layer_that_reads_the_wrong_owner_is_caught_by_the_blocks_rung(judged: Judged) -> None:
    def mutate(patient: Patient) -> None:
        model = patient.model(DECODER)
        graph, entry = model.subgraph("decode"), model.signatures["decode"]
        right, wrong = entry.outputs["kv_cache_k_3"], entry.outputs["kv_cache_k_2"]
        readers = [op.index for op in graph.operators if op.code == "BATCH_MATMUL" and right in op.inputs]
        raw = model.raw.subgraphs[graph.index].operators[readers[-1]]
        raw.inputs[list(raw.inputs).index(right)] = wrong

    assert "layers.8" in failing(judged(mutate, "2a"))


LOST = {
    "layers.3/attention": 2,
    "layers.8/output": 1,  # prefill ends before it
    "layers.2.self_attn.o_proj.weight": 2,
}


def test_names_that_a_graph_lost_fail_the_blocks_rung_in_every_signature(judged: Judged) -> None:
    """The values are right: without its name nothing of them was compared."""

    def mutate(patient: Patient) -> None:
        for name, times in LOST.items():
            assert patient.bytes.count(name.encode()) == times, name
            patient.bytes[:] = patient.bytes.replace(name.encode(), b"~" + name[1:].encode())

    found = judged(mutate, "2a")
    check = next(check for check in found.checks if not check.passed)
    assert (check.name, check.found) == ("boundaries and int8 outputs that a signature does not name", 5)
    assert check.note == (
        "prefill_32: layers.2.self_attn.o_proj; prefill_32: layers.3/attention; "
        "decode: layers.2.self_attn.o_proj; and 2 more"
    )


def test_a_graph_that_names_nothing_of_a_layer_fails_the_blocks_rung(judged: Judged) -> None:
    def mutate(patient: Patient) -> None:
        patient.bytes[:] = patient.bytes.replace(b"layers.9", b"layerz.9")

    assert "decode: layers.9.mlp.down_proj; decode: layers.9.mlp.gate_proj" in failing(judged(mutate, "2a"))


def test_a_boundary_that_the_model_does_not_have_is_named(judged: Judged) -> None:
    """Layer 8 reads another layer's keys."""

    def mutate(patient: Patient) -> None:
        patient.bytes[:] = patient.bytes.replace(b"layers.8/mlp", b"layers.8/key")

    found = judged(mutate, "2a")
    said = "decode names a boundary layers.8/key, which the model does not have"
    assert (found.status, found.why) == ("not run", said)


def test_shifted_scale_groups_of_the_per_layer_embedding_are_caught_by_the_weights_rung(judged: Judged) -> None:
    assert "embed_tokens_per_layer" in failing(judged(_shift_groups, "0"))


def test_shifted_scale_groups_of_the_per_layer_embedding_are_caught_by_the_blocks_rung(judged: Judged) -> None:
    assert "per_layer_embedder" in failing(judged(_shift_groups, "2a"))


def _shift_groups(patient: Patient) -> None:
    (graph,) = patient.model(PER_LAYER).subgraphs
    quantization = graph.by_name["embed_tokens_per_layer.weight"].quantization
    assert quantization is not None
    quantization.scales[:] = np.roll(quantization.scales, 1)


def test_a_missing_stop_token_is_caught_by_the_engine_rung(judged: Judged) -> None:
    def mutate(patient: Patient) -> None:
        from litert_lm_builder.runtime.proto import llm_metadata_pb2

        where = patient.section("LlmMetadataProto")
        message = llm_metadata_pb2.LlmMetadata.FromString(bytes(patient.bytes[where]))
        next(stop for stop in message.stop_tokens if stop.token_ids.ids[0] == 106).token_ids.ids[0] = 50
        patient.bytes[where] = message.SerializeToString()

    said = "stop tokens: 106 is missing, which generation_config.json eos_token_id and config.json eos_token_id and"
    assert said in failing(judged(mutate, "3"))


def test_a_changed_tokenizer_is_caught_by_the_engine_rung(artifact: Path, mobile_e2b: Path, tmp_path: Path) -> None:
    other = tmp_path / "checkpoint"
    shutil.copytree(mobile_e2b, other)
    with (other / "tokenizer.json").open("a", encoding="utf-8") as file:
        file.write(" ")
    checks = compare_metadata(LitertCase(open_litertlm(artifact), open_checkpoint(other)))
    assert [check.note for check in checks if not check.passed] == ["not the bytes of tokenizer.json"]
