"""The judge on files of other makers: rounded again, or with names of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from convert.checkpoint import open_checkpoint as read
from convert.demo import folder as demo
from convert.progress import Silent
from convert.targets.litert import LitertOptions, convert
from runtime_tests.ladder import climb
from runtime_tests.litert.case import DECODER, LitertCase
from runtime_tests.litert.weights.match import recognize
from runtime_tests.litert.weights.matrices import drift, matrices
from runtime_tests.litert.weights.stored import Stored
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.readers.litert.tflite import open_tflite
from runtime_tests.results import Check, Rung
from tests.support.changed.requantize import forget_names, reround

NOT_REROUNDED = "layers.2.self_attn.q_proj"


def converted(checkpoint: Path, out: Path) -> Path:
    convert(read(checkpoint), LitertOptions(context=160, prefill=(32,), cache="float32"), out, Silent())
    return out


@pytest.fixture(scope="module")
def artifact(mobile_e2b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(mobile_e2b, tmp_path_factory.mktemp("own") / "model.litertlm")


@pytest.fixture(scope="module")
def rounded(mobile_e2b: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """A file whose MLPs were rounded again, and the module paths of those."""
    folder = tmp_path_factory.mktemp("rounded")
    done = reround(mobile_e2b, folder / "checkpoint", only="mlp")
    return converted(folder / "checkpoint", folder / "model.litertlm"), done


def nameless(file: Path, folder: Path) -> Path:
    target = Path(shutil.copy(file, folder / "nameless.litertlm"))
    assert forget_names(target) > 100
    return target


def judged(file: Path, checkpoint: Path, *names: str) -> list[Rung]:
    return climb(LitertCase(open_litertlm(file), open_checkpoint(checkpoint)), names)


def check(rung: Rung, name: str) -> Check:
    return next(item for item in rung.checks if item.name == name)


def test_a_rounded_file_fails_and_every_changed_matrix_is_named_with_its_figures(
    rounded: tuple[Path, set[str]], mobile_e2b: Path
) -> None:
    file, done = rounded
    weights, lowering = judged(file, mobile_e2b, "0", "2b")
    assert (weights.status, lowering.status) == ("fail", "fail")
    found = check(weights, "matrices re-rounded")
    assert (found.found, found.passed) == (len(done), False)
    told = [item for item in weights.checks if item.name.startswith("re-rounded: mlp.")]
    assert [item.name for item in told] == [
        f"re-rounded: mlp.{kind}_proj, worst of 10" for kind in ("down", "gate", "up")
    ]
    assert all(f"layers.{i} " in item.note for item in told for i in range(10))
    assert all(0.5 < item.found < 40 for item in told), "4 and 2 bits, rounded by min and max"
    assert NOT_REROUNDED not in "".join(item.note for item in weights.checks)


def test_a_naively_rounded_demo_fails_and_the_task_shows_what_it_lost(tmp_path: Path) -> None:
    done = reround(demo(), tmp_path / "checkpoint")
    file = converted(tmp_path / "checkpoint", tmp_path / "model.litertlm")
    weights, task = judged(file, demo(), "0", "4")
    assert (weights.status, task.status) == ("fail", "fail")
    assert check(weights, "matrices re-rounded").found == len(done)
    told = " ".join(f"{item.name} {item.note}" for item in weights.checks if item.name.startswith("re-rounded: "))
    kinds = {key.rpartition(".")[2] for key in done}
    assert all(kind in told for kind in kinds)
    lost = check(task, "artifact away from the reference")
    assert lost.limit is not None
    assert lost.found > 10 * lost.limit
    assert not check(task, "chance that artifact and reference are as good as each other").passed
    assert not check(task, "artifact outside the reference's interval").passed


@pytest.mark.parametrize("strip", [False, True])
def test_the_figures_of_a_rounded_matrix_are_those_worked_out_by_hand(
    rounded: tuple[Path, set[str]], mobile_e2b: Path, tmp_path: Path, strip: bool
) -> None:
    file, _ = rounded
    file = nameless(file, tmp_path) if strip else file
    before, after = read(mobile_e2b), read(rounded[0].parent / "checkpoint")
    case = LitertCase(open_litertlm(file), open_checkpoint(mobile_e2b))
    name, model = "layers.4.mlp.up_proj", case.model(DECODER)
    matrix = next(item for item in matrices(case.folder) if item.name == f"{name}.weight")
    graph = model.subgraph("decode")
    found = drift(matrix, Stored(model, graph, graph.by_name[matrix.name]))
    (a, b), (old, new) = ([], []), ([], [])
    for opened, values, codes in ((before, a, old), (after, b, new)):
        quant = opened.text.quants[name]
        codes.append(quant.codes(0, quant.rows))
        values.append(codes[0].astype(np.float64) * quant.scales(0, quant.rows))
    expected = 10 * np.log10(np.sum(a[0] ** 2) / np.sum((a[0] - b[0]) ** 2))
    assert found.snr_db == pytest.approx(expected, abs=1e-3)
    assert found.changed == pytest.approx(np.mean(old[0] != new[0]))
    assert found.gain == 1.0


def test_an_equal_file_with_names_of_its_own_is_recognized_by_its_values(
    artifact: Path, mobile_e2b: Path, tmp_path: Path
) -> None:
    weights, decoder, blocks, lowering = judged(nameless(artifact, tmp_path), mobile_e2b, "0", "1", "2a", "2b")
    assert [item.name for item in weights.checks if not item.passed] == []
    folder = open_checkpoint(mobile_e2b)
    assert check(weights, "matrices recognized by their values").found == len(matrices(folder))
    equal = check(weights, "vectors and scalars with equal values")
    assert equal.note == ""
    assert lowering.status == "pass"
    assert decoder.why == "it judges this project's own decoder, and the file was not made by it"
    assert blocks.why == "prefill_32 names no boundaries such as layers.0/attention"
    assert (decoder.status, blocks.status) == ("not run", "not run"), "what did not run is no pass"


def test_a_rounded_file_with_names_of_its_own_is_told_by_the_checkpoints_names(
    rounded: tuple[Path, set[str]], mobile_e2b: Path, tmp_path: Path
) -> None:
    file, done = rounded
    (weights,) = judged(nameless(file, tmp_path), mobile_e2b, "0")
    assert check(weights, "matrices that cannot be recognized").passed
    assert check(weights, "matrices re-rounded").found == len(done)
    assert "layers.7 " in check(weights, "re-rounded: mlp.down_proj, worst of 10").note
    assert not check(weights, "integers equal").passed


def test_one_code_changed_in_a_nameless_file_is_found(artifact: Path, mobile_e2b: Path, tmp_path: Path) -> None:
    file = nameless(artifact, tmp_path)
    section = open_litertlm(artifact).model(DECODER)
    model = open_tflite(section.data, "own")
    place = model.raw.buffers[model.subgraph("decode").by_name["layers.3.mlp.down_proj.weight"].buffer].offset
    with file.open("r+b") as stream:
        stream.seek(section.begin + place + 17)
        (byte,) = stream.read(1)
        stream.seek(section.begin + place + 17)
        stream.write(bytes([byte ^ 1]))
    (weights,) = judged(file, mobile_e2b, "0")
    assert check(weights, "integers equal").note == "layers.3.mlp.down_proj: 1 codes differ"
    assert check(weights, "matrices re-rounded").found == 1


def test_weights_of_another_model_resemble_nothing(artifact: Path, mobile_e2b: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(mobile_e2b, tmp_path / "other"))
    tensors = load_file(other / "model.safetensors")
    rolled = {name: value.roll((5, 3), (0, 1)) if value.ndim == 2 else value for name, value in tensors.items()}
    save_file(rolled, other / "model.safetensors", {"format": "pt"})
    model = open_tflite(open_litertlm(artifact).model(DECODER).data, "other")
    assert recognize(model, open_checkpoint(other)).found == {}
    assert len(recognize(model, open_checkpoint(mobile_e2b)).found) > 80


def test_a_file_without_what_the_engine_needs_is_judged_as_far_as_it_goes(
    artifact: Path, mobile_e2b: Path, tmp_path: Path
) -> None:
    file = nameless(artifact, tmp_path)
    data = file.read_bytes()
    assert data.count(b"mask\0") > 0
    file.write_bytes(data.replace(b"mask\0", b"mark\0"))
    weights, lowering = judged(file, mobile_e2b, "0", "2b")
    assert check(weights, "integers equal").passed
    assert check(weights, "signatures and KV layout").note == "nameless.litertlm: decode has no input mask"
    assert (lowering.status, lowering.why) == ("not run", "nameless.litertlm: decode has no input mask")
