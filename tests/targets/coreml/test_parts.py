"""Packages in parts, for the Neural Engine: where they are cut, what they hold, that together they are the whole."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from convert.bundle import papers
from convert.bundle.manifest import Parity
from convert.checkpoint import open_checkpoint, with_digests
from convert.progress import Silent
from convert.targets.coreml import TARGET, CoremlOptions, companions, convert, parts, rows, write_tables
from convert.targets.coreml.inspect import inspect_package
from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.compare.feeding import compare_feeding
from runtime_tests.coreml.forced import forced_logits
from runtime_tests.coreml.native import NativeRunner
from runtime_tests.coreml.room import find as find_package
from runtime_tests.errors import CannotRunError, InputError
from runtime_tests.kinds import open_case
from runtime_tests.ladder import climb
from runtime_tests.readers.coreml.parts import open_parts
from tests.support.checkpoints.layout import tensors
from tests.support.checkpoints.shapes import E2B, E4B, Shape
from tests.support.coreml.patient import Patient

NAMES = ["Model.mlpackage", "Model_2.mlpackage", "Model_3.mlpackage"]
Build = Callable[[int], CoremlCase]


@pytest.fixture(scope="module")
def build(mobile_e4b: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Profile ane, so many layers in a part; owners of keys and values lie in the first 6 of 12 layers."""
    made: dict[int, CoremlCase] = {}

    def get(layers: int) -> CoremlCase:
        if layers not in made:
            folder, opened = tmp_path_factory.mktemp("parts"), with_digests(open_checkpoint(mobile_e4b))
            options = CoremlOptions(160, (32,), "float16", "ane", layers)
            convert(opened, options, folder / NAMES[0], Silent())
            rows.write(opened, folder, lambda n: None)
            case = open_case(folder / NAMES[0], mobile_e4b)
            assert isinstance(case, CoremlCase)
            made[layers] = case
        return made[layers]

    return get


def test_parts_together_compute_what_one_package_computes(build: Build) -> None:
    whole, cut = build(12), build(4)
    assert [part.path.name for part in cut.package.parts] == NAMES
    assert whole.package.parts == ()
    ids = whole.ids[:46]  # the window is 24
    expected, found = (forced_logits(case, "declared", ids, 41) for case in (whole, cut))
    np.testing.assert_array_equal(expected, found)


def test_a_part_has_two_states_of_its_own_layers_or_none(build: Build) -> None:
    first, second, third = build(4).package.parts
    states = [
        {name: t.shape for name, t in part.functions["decode"].inputs.items() if t.state} for part in (first, second)
    ]
    assert states == [
        dict.fromkeys(("keys", "values"), (4, 2, 160, 64)),
        dict.fromkeys(("keys", "values"), (2, 2, 160, 128)),
    ]
    assert not any(type.state for type in third.functions["decode"].inputs.values())
    assert set(third.functions) == {"decode"}  # prefill is done when the last owner has its keys
    assert set(first.functions) == set(second.functions) == {"decode", "prefill_32"}
    assert third.functions["decode"].outputs == ("logits",)
    assert set(second.functions["decode"].outputs) == {
        "layers_7_output",
        *(f"layers_{layer}_{part}_cache" for layer in (4, 5) for part in ("key", "value")),
    }
    assert "per_layer_inputs" in first.functions["decode"].outputs


def test_every_weight_lies_in_one_part(build: Build) -> None:
    names = [
        {op.name for op in part.functions["decode"].operations if op.kind.startswith("constexpr_")}
        for part in build(4).package.parts
    ]
    assert sum(map(len, names)) == len(set().union(*names))
    sizes = [sum(file.stat().st_size for file in p.path.rglob("weight.bin")) for p in build(4).package.parts]
    (whole,) = (file.stat().st_size for file in build(12).package.path.rglob("weight.bin"))
    assert sum(sizes) <= 1.01 * whole


@pytest.mark.slow
def test_the_judge_passes_what_is_cut(build: Build) -> None:
    rungs = climb(build(4), ("0", "2a", "2b"))
    assert [rung.status for rung in rungs] == ["pass"] * 3, [c for r in rungs for c in r.checks if not c.passed]
    found = {check.name: check for check in rungs[0].checks}
    assert found["integers equal"].found == 0
    assert found["forms that the Neural Engine does not take"].found == 0
    assert (found["parts"].found, "rounded to float16 once" in found["parts"].note) == (3, True)


def test_a_wrong_code_in_a_later_part_is_found(build: Build, mobile_e4b: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    patient = Patient(build(4).package.parts[1].path, folder)
    patient.bytes("layers_6_mlp_up_proj_weight", "data", "decode")[7] ^= 1
    patient.close()
    (rung,) = climb(open_case(folder / NAMES[0], mobile_e4b), ("0",))
    failed = [f"{check.name}: {check.note}" for check in rung.checks if not check.passed]
    assert failed == ["integers equal: layers.6.mlp.up_proj: 1 codes differ"]


def test_a_scale_that_is_not_the_nearest_float16_is_found(build: Build, mobile_e4b: Path, tmp_path: Path) -> None:
    patient = Patient(build(4).package.path, tmp_path / "copy")
    op = patient.operation("layers_0_mlp_up_proj_gain", "decode")
    offset = op.attributes["val"].blobFileValue.offset
    file = np.memmap(patient.path / "Data/com.apple.CoreML/weights/weight.bin", np.uint8, "r+")
    begin = int(file[offset + 16 : offset + 24].view(np.uint64)[0])
    file[begin : begin + 2].view(np.uint16)[0] += 1
    (rung,) = climb(open_case(patient.close(), mobile_e4b), ("0",))
    failed = [f"{check.name}: {check.note}" for check in rung.checks if not check.passed]
    assert failed == ["weight scales equal: layers.0.mlp.up_proj: 1 scales differ"]


def test_a_missing_part_and_one_of_another_model_are_named(build: Build, mobile_e2b: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(build(4).package.path.parent, tmp_path / "copy")
    assert find_package(folder / NAMES[0]) == folder / NAMES[0]
    shutil.rmtree(folder / NAMES[2])
    with pytest.raises(InputError, match=r"Model_3\.mlpackage: no such folder"):
        open_parts(folder / NAMES[0])
    options = CoremlOptions(160, (32,), "float16", "ane", 4)
    convert(with_digests(open_checkpoint(mobile_e2b)), options, tmp_path / "other" / NAMES[0], Silent())
    shutil.copytree(tmp_path / "other" / NAMES[2], folder / NAMES[2])
    with pytest.raises(InputError, match=r"Model_3\.mlpackage: gemma_bridge\.inputs\.sha256 is not what part 3 of"):
        open_parts(folder / NAMES[0])


@pytest.mark.parametrize("said", ["0", "many", "65"])
def test_an_odd_number_of_parts_is_refused(build: Build, tmp_path: Path, said: str) -> None:
    patient = Patient(build(12).package.path, tmp_path / "copy")
    patient.model.description.metadata.userDefined["gemma_bridge.parts"] = said
    with pytest.raises(InputError, match=f"it says that it has '{said}' parts"):
        open_parts(patient.close())


def test_digest_and_inspection_speak_of_all_parts(build: Build) -> None:
    package = build(4).package
    assert [path.name for path in companions.packages(package.path)] == NAMES
    assert companions.digest(package.path) == package.sha256()
    report, whole = inspect_package(package.path), inspect_package(build(12).package.path)
    assert report.weights == whole.weights
    assert report.cache is not None
    assert report.cache.bytes == 2 * 2 * 2 * 160 * (4 * 64 + 2 * 128)  # two states, float16, two heads
    assert {s.section for s in report.signatures} == {"program", "program, part 2", "program, part 3"}


def test_coremltools_reads_every_part(build: Build) -> None:
    load = pytest.importorskip("coremltools.converters.mil.frontend.milproto.load")
    from coremltools.proto import Model_pb2

    for part in build(4).package.parts:
        root = part.path / "Data/com.apple.CoreML"
        model = Model_pb2.Model.FromString((root / "model.mlmodel").read_bytes())
        program = load.load(model, 9, str(root / "weights"))
        assert set(program.functions) == set(part.functions)
        described = {f.name: f for f in model.description.functions}
        for name, function in part.functions.items():
            assert [f.name for f in described[name].output] == list(function.outputs)
            assert all(f.shortDescription.endswith(".") for f in described[name].output)


def test_a_bundle_of_parts_lists_them_all_and_opens_as_one(mobile_e4b: Path, tmp_path: Path) -> None:
    checkpoint, folder = with_digests(open_checkpoint(mobile_e4b)), tmp_path / "bundle"
    convert(checkpoint, CoremlOptions(160, (32,), "float16", "ane", 4), folder / NAMES[0], Silent())
    write_tables(checkpoint, folder, Silent())
    companions.collect(checkpoint, folder)
    digest = companions.digest(folder / NAMES[0])
    for name in ("parity.json", "parity.html", "golden.json"):
        (folder / name).write_text(json.dumps({"artifact": {"sha256": digest}, "artifact_sha256": digest}))
    manifest = papers.finish(folder, "bundle", checkpoint, Parity(artifact_sha256=digest, rungs=[]), TARGET, "ios")
    weights = [f"{name}/Data/com.apple.CoreML/weights/weight.bin" for name in NAMES]
    assert {name for name in manifest.files if name.endswith("weight.bin")} == set(weights)
    assert manifest.memory.mapped_weights == sum(manifest.files[name].bytes for name in weights)
    assert [s.section for s in manifest.signatures if s.name == "decode"] == [
        "program",
        "program, part 2",
        "program, part 3",
    ]
    assert find_package(folder) == folder / NAMES[0]
    assert manifest.feeding.calls is not None
    parts = manifest.feeding.calls.parts
    assert [part.model for part in parts] == NAMES
    assert [part.functions.keys() for part in parts] == [{"decode", "prefill_32"}, {"decode", "prefill_32"}, {"decode"}]
    assert parts[0].functions["decode"].gives == ["per_layer_inputs", "layers_3_output"]
    assert {"per_layer_inputs", "layers_3_output"} <= {*parts[1].functions["decode"].takes}
    owners = [layer for part in parts for state in part.states if state.holds == "keys" for layer in state.layers]
    assert owners == manifest.kv_cache.owners
    case = open_case(folder, mobile_e4b)
    assert isinstance(case, CoremlCase)
    assert [check.name for check in compare_feeding(case) if not check.passed] == []
    shutil.copytree(folder / NAMES[1], folder / "Stray_2.mlpackage")
    with pytest.raises(InputError, match="2 packages; give the one to judge"):
        find_package(folder)


def test_core_ml_itself_is_led_through_the_parts(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a Mac; here with a stand-in for Core ML that notes what it is given."""
    case = build(4)  # before Core ML's messages are hidden
    calls: list[tuple[str, set[str], object]] = []

    class Model:
        def __init__(self, path: str, compute_units: object, function_name: str) -> None:
            part = next(part for part in case.package.parts if str(part.path) == path)
            self.name, self.function = part.path.name, part.functions[function_name]

        def make_state(self) -> str:
            return f"state of {self.name}"

        def predict(self, arrays: dict[str, Any], state: object) -> dict[str, Any]:
            expected = {name: type for name, type in self.function.inputs.items() if not type.state}
            assert {name: (a.shape, a.dtype.name) for name, a in arrays.items()} == {
                name: (type.shape, type.dtype) for name, type in expected.items()
            }
            calls.append((self.name, set(arrays), state))
            return {name: np.zeros(self.function.types[name].shape, np.float16) for name in self.function.outputs}

    stub = SimpleNamespace(models=SimpleNamespace(MLModel=Model), ComputeUnit={"CPU_ONLY": 0})
    monkeypatch.setitem(sys.modules, "coremltools", stub)  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "platform", "darwin")
    session = case.session(NativeRunner(case.package, "CPU_ONLY"))  # type: ignore[arg-type]
    first, second = case.lookup(case.ids[:1])
    assert session.decode(first, second).shape == (case.dims.vocab,)
    assert [(name, state) for name, _, state in calls] == [(name, f"state of {name}") for name in NAMES]
    assert "layers_7_output" in calls[2][1]
    session.prefill(first, second)
    assert [name for name, _, _ in calls[3:]] == NAMES[:2]
    runner = NativeRunner(case.package, "CPU_ONLY")
    with pytest.raises(CannotRunError, match="decode runs in part 3, of which there is no state"):
        runner.run("decode", case.feed.inputs(case.decode, 0, first, second), runner.new_state("prefill_32"))


def sized(shape: Shape) -> Any:
    """A checkpoint of which only sizes are known."""
    quants = {
        t.matrix.key: SimpleNamespace(rows=t.matrix.rows, columns=t.matrix.columns)
        for t in tensors(replace(shape, towers=None), "mobile")
        if t.part == "codes" and t.matrix is not None
    }
    config = SimpleNamespace(layers=range(shape.layers), vocab=shape.vocab, hidden=shape.hidden)
    return SimpleNamespace(text=SimpleNamespace(quants=quants, floats={}, config=config))


@pytest.mark.parametrize(("shape", "ends"), [(E2B, (14, 23, 32, 34)), (E4B, (7, 15, 23, 32, 40, 41))])
def test_real_sizes_are_cut_by_layers_and_by_bytes(shape: Shape, ends: tuple[int, ...]) -> None:
    checkpoint = sized(shape)
    assert parts.last_layers(checkpoint, CoremlOptions(2048, (128,))) == (shape.layers - 1,)
    found = parts.last_layers(checkpoint, CoremlOptions(2048, (128,), profile="ane"))
    sizes, starts = parts.layer_bytes(checkpoint), (0, *(end + 1 for end in found))
    held = [sum(sizes[start : end + 1]) for start, end in zip(starts, found, strict=False)]
    assert max(held) <= parts.PART_BYTES
    assert all(end - start < 15 for start, end in zip(starts, found, strict=False))
    assert found == ends
