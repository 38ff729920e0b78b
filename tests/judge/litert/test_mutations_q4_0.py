"""The judge against damage of block-quantized artifacts: codes, scales, offsets, embedding rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runtime_tests.ladder import climb
from runtime_tests.litert.case import DECODER, LitertCase
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from tests.support.litert.patient import Patient, failing

KEY = "layers.3.mlp.down_proj"


@pytest.fixture(scope="module")
def artifact(q4_0_e2b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from convert.checkpoint import open_checkpoint as read
    from convert.progress import Silent
    from convert.targets.litert import LitertOptions, convert

    out = tmp_path_factory.mktemp("judged") / "model.litertlm"
    convert(read(q4_0_e2b), LitertOptions(context=160, prefill=(32,)), out, Silent())
    return out


def buffer(patient: Patient, name: str, section: str = DECODER) -> np.ndarray:
    model = patient.model(section)
    tensor = next(t for graph in model.subgraphs for t in graph.tensors if t.name == name)
    return model.buffer(tensor.buffer)


def _code(patient: Patient) -> None:
    buffer(patient, f"{KEY}.weight")[17] ^= 1


def _scale(patient: Patient) -> None:
    buffer(patient, f"{KEY}.weight_scale").view(np.uint16)[3] += 1


def _offset(patient: Patient) -> None:
    offsets = buffer(patient, f"{KEY}.weight_offset").view(np.uint16)
    offsets[np.flatnonzero(offsets)[0]] = 0


def _embedding(patient: Patient) -> None:
    buffer(patient, "embed_tokens.weight", "tf_lite_embedder")[10] ^= 1


@pytest.mark.parametrize(
    ("mutate", "named"),
    [(_code, KEY), (_scale, KEY), (_offset, KEY), (_embedding, "embed_tokens")],
    ids=["code", "scale", "offset", "embedding"],
)
def test_one_changed_number_is_caught_by_the_weights_rung(
    artifact: Path, q4_0_e2b: Path, tmp_path: Path, mutate: Callable[[Patient], None], named: str
) -> None:
    patient = Patient(artifact)
    mutate(patient)
    assert patient.bytes != artifact.read_bytes(), "the mutation changed nothing"
    target = tmp_path / "mutated.litertlm"
    target.write_bytes(patient.bytes)
    (result,) = climb(LitertCase(open_litertlm(target), open_checkpoint(q4_0_e2b)), ("0",))
    assert named in failing(result)
