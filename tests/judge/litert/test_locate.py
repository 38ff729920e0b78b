"""Localization: for faults placed in known layers, the right layer and sub-block is named, and not its victims."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from convert import demo
from runtime_tests.cli import app
from runtime_tests.litert.case import DECODER, PER_LAYER, LitertCase
from runtime_tests.litert.cuts.stages import chains
from runtime_tests.litert.rungs.locate import locate
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.readers.litert.tflite import Subgraph, Tensor, Tflite
from runtime_tests.rungs.located import Located
from tests.support.litert.patient import Patient

Mutation = Callable[[Patient], None]


@pytest.fixture(scope="module")
def known(demo_file: Path) -> LitertCase:
    """A case of the intact file; what it holds of the reference serves the mutated ones."""
    case = LitertCase(open_litertlm(demo_file), open_checkpoint(demo.folder()))
    assert len(case.trace.norm())
    return case


def located(path: Path, known: LitertCase) -> Located:
    case = LitertCase(open_litertlm(path), known.folder)
    case.__dict__.update(reference=known.reference, trace=known.trace)
    return locate(case)


def scales(name: str, factor: float) -> Mutation:
    """The weight scales of some rows, in every signature."""

    def mutate(patient: Patient) -> None:
        for tensor in _everywhere(patient.model(DECODER), f"{name}.weight"):
            assert tensor.quantization is not None
            tensor.quantization.scales[::7] *= np.float32(factor)

    return mutate


def code(name: str) -> Mutation:
    """The top bit of one packed byte."""

    def mutate(patient: Patient) -> None:
        model = patient.model(DECODER)
        model.buffer(_everywhere(model, f"{name}.weight")[0].buffer)[11] ^= 0x80

    return mutate


def constant(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Mutation:
    """The values of a float constant."""

    def mutate(patient: Patient) -> None:
        model = patient.model(DECODER)
        values = model.buffer(_everywhere(model, name)[0].buffer).view(np.float32)
        values[:] = change(values)

    return mutate


def exchanged(one: str, other: str) -> Mutation:
    """Codes and scales of two matrices of one shape."""

    def mutate(patient: Patient) -> None:
        model = patient.model(DECODER)
        pairs = list(zip(_everywhere(model, f"{one}.weight"), _everywhere(model, f"{other}.weight"), strict=True))
        for a, b in pairs:
            assert a.quantization is not None
            assert b.quantization is not None
            _swap(a.quantization.scales, b.quantization.scales)
        _swap(*(model.buffer(tensor.buffer) for tensor in pairs[0]))

    return mutate


def activation(name: str) -> Mutation:
    """The static scale of a linear's output, halved."""

    def mutate(patient: Patient) -> None:
        for graph in patient.model(DECODER).subgraphs:
            weight = graph.by_name.get(f"{name}.weight")
            for op in graph.consumers.get(weight.index, []) if weight else []:
                made = graph.tensors[op.outputs[0]]
                assert made.quantization is not None
                made.quantization.scales[0] /= 2

    return mutate


def query_rope(layer: int) -> Mutation:
    """The queries of one layer turn the other way."""

    def mutate(patient: Patient) -> None:
        model = patient.model(DECODER)
        for graph in (g for g in model.subgraphs if f"layers.{layer}.self_attn.q_norm.weight" in g.by_name):
            (norm,) = graph.consumers[graph.by_name[f"layers.{layer}.self_attn.q_norm.weight"].index]
            turned = [op for op in _after(graph, norm.outputs[0], 4) if op.code in ("SUB", "NEG")]
            raw = model.raw.subgraphs[graph.index].operators
            subtraction = next(op for op in turned if op.code == "SUB")
            left, right = subtraction.inputs
            raw[subtraction.index].inputs[0], raw[subtraction.index].inputs[1] = right, left

    return mutate


def caches(one: int, other: int) -> Mutation:
    """Decode hands out two caches under each other's names."""

    def mutate(patient: Patient) -> None:
        model = patient.model(DECODER)
        graph, entry = model.subgraph("decode"), model.signatures["decode"]
        a, b = (entry.outputs[f"kv_cache_v_{i}"] for i in (one, other))
        assert graph.tensors[a].shape == graph.tensors[b].shape
        for op in model.raw.subgraphs[graph.index].operators:
            if op.outputs[0] in (a, b):
                op.outputs[0] = b if op.outputs[0] == a else a
        for op in graph.operators:  # readers follow their owner, so that only the names are wrong
            for i, index in enumerate(op.inputs):
                if index in (a, b):
                    model.raw.subgraphs[graph.index].operators[op.index].inputs[i] = b if index == a else a

    return mutate


def softcap(patient: Patient) -> None:
    model = patient.model(DECODER)
    graph = model.subgraph("decode")
    tanh = next(op for op in reversed(graph.operators) if op.code == "TANH")
    (after,) = graph.consumers[tanh.outputs[0]]
    raw = model.raw.subgraphs[graph.index].operators[after.index]
    raw.inputs[list(raw.inputs).index(tanh.outputs[0])] = tanh.inputs[0]


def groups(patient: Patient) -> None:
    (graph,) = patient.model(PER_LAYER).subgraphs
    quantization = graph.by_name["embed_tokens_per_layer.weight"].quantization
    assert quantization is not None
    quantization.scales[:] = np.roll(quantization.scales, 1)


def _everywhere(model: Tflite, name: str) -> list[Tensor]:
    return [graph.by_name[name] for graph in model.subgraphs if name in graph.by_name]


def _after(graph: Subgraph, index: int, depth: int) -> list:
    found = graph.consumers.get(index, [])
    return [*found, *(op for near in found if depth for i in near.outputs for op in _after(graph, i, depth - 1))]


def _swap(a: np.ndarray, b: np.ndarray) -> None:
    a[:], b[:] = b.copy(), a.copy()


FAULTS = [
    ("scales of a down projection", scales("layers.3.mlp.down_proj", 1.25), 3, "mlp"),
    ("one code of a query projection", code("layers.1.self_attn.q_proj"), 1, "attention"),
    ("weight of a key norm", constant("layers.2.self_attn.k_norm.weight", lambda w: w * 1.1), 2, "attention"),
    ("a layer's scalar", constant("layers.6.layer_scalar", lambda w: w * 1.05), 6, "layer scalar"),
    ("gate and up swapped", exchanged("layers.7.mlp.gate_proj", "layers.7.mlp.up_proj"), 7, "mlp"),
    ("rotation of the queries", query_rope(5), 5, "attention"),
    ("scales of a per-layer projection", scales("layers.8.per_layer_projection", 0.8), 8, "per-layer input"),
    ("activation scale of a value projection", activation("layers.0.self_attn.v_proj"), 0, "kv"),
    ("scales of a key projection", scales("layers.4.self_attn.k_proj", 1.25), 4, "kv"),
    ("a cache under another's name", caches(1, 3), 1, "kv"),
    ("norm weight plus one", constant("layers.9.post_feedforward_layernorm.weight", lambda w: w + 1), 9, "mlp"),
    ("weight of the last norm", constant("norm.weight", lambda w: w[::-1].copy()), None, "head"),
    ("softcap left out", softcap, None, "head"),
    ("scale groups of the per-layer table", groups, None, "embedding"),
]


@pytest.mark.parametrize(("mutate", "layer", "block"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_the_first_departure_is_the_layer_and_the_block_that_was_damaged(
    demo_file: Path, known: LitertCase, tmp_path: Path, mutate: Mutation, layer: int | None, block: str
) -> None:
    patient = Patient(demo_file)
    mutate(patient)
    assert patient.bytes != demo_file.read_bytes(), "the mutation changed nothing"
    path = tmp_path / "mutated.litertlm"
    path.write_bytes(patient.bytes)
    found = located(path, known)
    assert (found.places[0].layer, found.places[0].block) == (layer, block), found.places
    assert len(found.places) == (2 if "cache" in found.places[0].stage else 1), found.places  # no victim is named
    assert found.places[0].before_db > found.places[0].after_db


BLOCKWISE = [
    ("layers.2.mlp.gate_proj.weight_scale", 2, "mlp"),
    ("layers.1.self_attn.v_proj.weight_scale", 1, "kv"),
    ("layers.6.self_attn.o_proj.weight_scale", 6, "attention"),
]


def test_faults_of_a_block_quantized_artifact_are_placed_too(q4_0_e2b: Path, tmp_path: Path) -> None:
    """Without static activations there are no int8 outputs: the linears' float outputs tell."""
    from convert.checkpoint import open_checkpoint as read
    from convert.progress import Silent
    from convert.targets.litert import LitertOptions, convert

    healthy = tmp_path / "model.litertlm"
    convert(read(q4_0_e2b), LitertOptions(context=224, prefill=(64,), cache="float32"), healthy, Silent())
    known = LitertCase(open_litertlm(healthy), open_checkpoint(q4_0_e2b))
    assert located(healthy, known).places == ()
    for name, layer, block in BLOCKWISE:
        patient = Patient(healthy)
        model = patient.model(DECODER)
        model.buffer(_everywhere(model, name)[0].buffer).view(np.float16)[::9] *= np.float16(1.25)
        path = tmp_path / "mutated.litertlm"
        path.write_bytes(patient.bytes)
        assert [(p.layer, p.block) for p in located(path, known).places] == [(layer, block)]


def test_an_intact_file_departs_nowhere_and_every_stage_was_looked_at(demo_file: Path, known: LitertCase) -> None:
    found = located(demo_file, known)
    assert found.places == ()
    layers, owners = known.dims.layers, {owner.layer for owner in known.dims.owners}
    stages = {stage.name for layer in range(layers) for chain in chains(layer, True) for stage in chain}
    own = (".self_attn.k_proj", ".self_attn.k_norm", ".self_attn.v_proj", "/key", "/value", "/cache")
    unowned = {f"layers.{layer}{name}" for layer in set(range(layers)) - owners for name in own}
    assert stages - unowned <= found.compared
    assert {"norm", "logits", "per_layer_model_projection", PER_LAYER} <= found.compared


def test_a_failed_lowering_rung_is_followed_by_the_localization(demo_file: Path, tmp_path: Path) -> None:
    patient = Patient(demo_file)
    scales("layers.3.mlp.down_proj", 3.0)(patient)
    (tmp_path / "mutated.litertlm").write_bytes(patient.bytes)
    report, page = tmp_path / "parity.json", tmp_path / "parity.html"
    command = ["verify", str(tmp_path / "mutated.litertlm"), "--checkpoint", str(demo.folder()), "--rungs", "2b"]
    outcome = CliRunner().invoke(app, [*command, "--json", str(report), "--html", str(page)])
    assert outcome.exit_code == 1
    assert report.stat().st_size < 200_000
    found = json.loads(report.read_text("utf-8"))["localization"]
    assert (found["first"]["layer"], found["first"]["block"], found["others"]) == (3, "mlp", [])
    assert "first departure: layer 3, mlp: layers.3.mlp.down_proj" in outcome.stdout
    carried = [row["attention"] for row in (found["forced_db"], found["free_db"])]
    assert carried[0][9] > 100 > carried[1][9], "a victim is wrong only when the artifact runs by itself"
    assert "layers.3.mlp.down_proj" in page.read_text("utf-8")
