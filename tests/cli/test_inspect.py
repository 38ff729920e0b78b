"""Inspection: it says what is there, reads no weights, and refuses what it cannot read."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from convert import demo
from convert.checkpoint import open_checkpoint
from convert.errors import ArtifactError
from convert.inspection.report import Report
from convert.inspection.weights import Share, component, histogram, merge
from convert.look import CheckpointReport, look
from convert.targets.litert import LitertOptions
from convert.targets.litert.inspect import inspect
from convert.targets.litert.signature import signatures
from convert.targets.litert.sizes import cache_bytes
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.readers.litert.tflite import open_tflite
from tests.support.commands import convert

CONTEXT, PREFILL = 96, 8


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inspect") / "demo.litertlm"
    ran = convert("convert", "demo", path, "--context", CONTEXT, "--prefill", PREFILL, "--modalities", "text")
    assert ran.code == 0, ran.err
    return path


@pytest.fixture(scope="module")
def report(file: Path) -> Report:
    return inspect(file)


def test_sections_cover_the_file(report: Report) -> None:
    last = report.sections[-1]
    assert last.begin + last.bytes <= report.bytes
    assert {"tf_lite_prefill_decode", "tf_lite_embedder", "tf_lite_per_layer_embedder"} <= {
        section.kind for section in report.sections
    }


def test_signatures_are_those_that_the_model_declares(report: Report) -> None:
    declared = signatures(open_checkpoint("demo").text.config, CONTEXT, (PREFILL,), "float32")
    found = {s.name: s for s in report.signatures if s.section == "tf_lite_prefill_decode"}
    assert found.keys() == {signature.name for signature in declared}
    for signature in declared:
        for mine, theirs in (
            (signature.inputs, found[signature.name].inputs),
            (signature.outputs, found[signature.name].outputs),
        ):
            assert {(t.name, t.shape, t.dtype) for t in mine} == {(t.name, t.shape, t.dtype) for t in theirs}


def test_the_cache_is_counted_as_the_plan_counts_it(report: Report) -> None:
    assert report.cache is not None
    assert (report.cache.dtype, report.cache.context, report.cache.pairs) == ("float32", CONTEXT, 5)
    assert report.cache.bytes == cache_bytes(open_checkpoint("demo"), LitertOptions(CONTEXT, (8,)))


def test_quantized_weights_of_the_file_are_those_of_the_checkpoint(report: Report) -> None:
    def counts(shares: tuple[Share, ...]) -> dict[tuple[str, int], tuple[int, int, int]]:
        return {(s.component, s.bits): (s.tensors, s.parameters, s.code_bytes) for s in shares if s.bits <= 8}

    assert counts(report.weights) == counts(histogram(open_checkpoint("demo")))


def test_block_scales_are_counted_once_and_with_their_weights(q4_0_e4b: Path, tmp_path: Path) -> None:
    path = tmp_path / "q4_0.litertlm"
    assert (
        convert("convert", q4_0_e4b, path, "--context", CONTEXT, "--prefill", PREFILL, "--modalities", "text").code == 0
    )
    there = {s.component: s for s in histogram(open_checkpoint(q4_0_e4b)) if s.bits == 4}
    found = {s.component: s for s in inspect(path).weights if s.bits == 4}
    assert found.keys() == there.keys() == {"attention", "mlp", "per-layer input"}
    for name, share in found.items():
        assert (share.scales, share.code_bytes) == ("per 32 columns", there[name].code_bytes)
        assert share.scale_bytes * 2 == there[name].scale_bytes  # float16 in the file, counted as float32 there
    floats = {s.component: s.code_bytes for s in inspect(path).weights if s.bits == 16}
    assert floats["block offsets"] == sum(share.scale_bytes for share in found.values())  # one for each scale
    assert floats.get("graph constants", 0) < floats["block offsets"] / 10


def test_reading_in_place_finds_what_unpacking_finds(file: Path, report: Report) -> None:
    for kind, section in open_litertlm(file).models().items():
        unpacked = open_tflite(section.data, kind)
        codes = Counter(operator.code for graph in unpacked.subgraphs for operator in graph.operators)
        assert report.operators[kind] == dict(codes)
        assert {s.name for s in report.signatures if s.section == kind} == set(unpacked.signatures)


def test_a_tflite_file_is_read_on_its_own(file: Path, report: Report, tmp_path: Path) -> None:
    alone = tmp_path / "tf_lite_prefill_decode.tflite"
    alone.write_bytes(open_litertlm(file).model("tf_lite_prefill_decode").data)
    found = look(str(alone))
    assert isinstance(found, Report)
    assert found.cache == report.cache
    assert found.operators == {"tf_lite_prefill_decode": report.operators["tf_lite_prefill_decode"]}


def test_a_checkpoint_is_described_without_its_weights(any_checkpoint: Path) -> None:
    found = look(str(any_checkpoint))
    assert isinstance(found, CheckpointReport)
    checkpoint = open_checkpoint(any_checkpoint)
    assert found.format == any_checkpoint.name.rpartition("_")[0]
    assert [layer.layer for layer in found.cache] == [layer.index for layer in checkpoint.text.config.owners]
    assert sum(len(layer.read_by) for layer in found.cache) + len(found.cache) == found.layers
    assert sum(s.tensors for s in found.weights) == len(checkpoint.text.quants) + len(checkpoint.text.floats)


def test_table_and_json_speak_of_the_same_file(file: Path) -> None:
    as_json = json.loads(convert("inspect", file, "--json").out)
    table = convert("inspect", file).out
    assert as_json["file"] == "demo.litertlm"
    for section in as_json["sections"]:
        assert section["kind"] in table


def test_a_bundle_without_its_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"the bundle has 0 models"):
        look(str(tmp_path))


def test_a_file_of_another_kind_is_refused_by_its_kind() -> None:
    with pytest.raises(ArtifactError, match=r"a file of kind '\.json' was found"):
        look(str(demo.folder() / "config.json"))


@pytest.mark.parametrize("name", ["model.litertlm", "model.tflite"])
@pytest.mark.parametrize("content", [b"", b"TFL3", bytes(64), b"\x08\0\0\0TFL3" + b"\xff" * 64])
def test_a_damaged_file_is_one_line_and_exit_code_2(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactError, match="inspect"):
        look(str(tmp_path / name))


def test_a_truncated_file_is_refused(file: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.litertlm"
    short.write_bytes(file.read_bytes()[:-100_000])
    with pytest.raises(ArtifactError, match=r"short\.litertlm: section \d"):
        inspect(short)


def test_shares_stored_alike_are_added_up() -> None:
    a, b = Share("mlp", 4, "per row", 1, 100, 50, 8), Share("mlp", 4, "per row", 2, 10, 5, 4)
    assert merge([a, b]) == (Share("mlp", 4, "per row", 3, 110, 55, 12),)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("embed_tokens_per_layer", "per-layer embedding"),
        ("embed_tokens.weight", "embedding"),
        ("per_layer_model_projection.weight", "per-layer input"),
        ("per_layer_projection_norm.weight", "norms and scalars"),
        ("layers.3.layer_scalar", "norms and scalars"),
        ("layers.3.self_attn.q_proj", "attention"),
        ("norm.weight", "norms and scalars"),
    ],
)
def test_a_tensor_belongs_to_its_component(key: str, name: str) -> None:
    assert component(key) == name
