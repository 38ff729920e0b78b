"""Faults in a TFLite tower's numbers, in its projection's, and in what the engine is told about images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from litert_lm_builder.runtime.proto import llm_metadata_pb2

from runtime_tests.litert.case import ADAPTER, ENCODER, IMAGE_END
from tests.mutants.catalogue.towers import BED, KIND, PROJECTION
from tests.mutants.mutant import Build, Edit, Mutant
from tests.mutants.patient import Patient
from tests.mutants.wrap import wrapped

LAYER = "vision_tower.encoder.layers.1"
DOWN = f"{LAYER}.mlp.down_proj.linear"
PIXELS = "vision_tower.patch_embedder.input_proj.weight"
TABLE = "vision_tower.patch_embedder.position_embedding_table"
LLM = "LlmMetadataProto"


def _floats(name: str, change: Callable[[Any], Any], section: str = ENCODER) -> Callable[[Patient], None]:
    def apply(patient: Patient) -> None:
        values = patient.array(name, section).view(np.float32)
        values[:] = change(values.copy())

    return apply


def _code(patient: Patient) -> None:
    patient.array(f"{DOWN}.weight", ENCODER)[17] ^= 1


def _scale(name: str) -> Callable[[Patient], None]:
    def apply(patient: Patient) -> None:
        for scales in patient.scales(name, ENCODER):
            scales[0] = np.nextafter(scales[0], np.float32(1))

    return apply


def _told(change: Callable[[Any], None]) -> Callable[[Patient], None]:
    def apply(patient: Patient) -> None:
        message = llm_metadata_pb2.LlmMetadata.FromString(patient.content(LLM))
        change(message.llm_model_type.gemma4)
        patient.rebuild({LLM: message.SerializeToString(deterministic=True)})

    return apply


def _fewer_patches(gemma: Any) -> None:
    gemma.max_num_patches -= 9


def _no_end(gemma: Any) -> None:
    gemma.ClearField("end_of_image_token")


def _coarser_pool(gemma: Any) -> None:
    gemma.pooling_kernel_size = 2


def _gathered_backwards(sound: Any, ops: Any, pieces: Any, key: str) -> Any:
    """What is worked on in pieces is put together the other way round."""
    found = [piece.narrow(1, at, 315) for piece in pieces for at in (315, 0)]
    return sound(ops, found, key)


def _edit(name: str, what: str, change: Callable[[Patient], None], *expected: str) -> Mutant:
    return Mutant(name, KIND, BED, what, expected or ("0",), Edit(change))


MUTANTS = (
    Mutant(
        "image_pieces_backwards",
        KIND,
        BED,
        "the pieces of an MLP are put together in another order",
        ("2a",),
        Build(wrapped("convert.targets.litert.vision.TowerOps.gather", _gathered_backwards)),
    ),
    _edit("image_code_off_by_one", "one bit of one code of the tower", _code),
    _edit("image_weight_scale_one_ulp", "a weight's scale moved by one ulp", _scale(f"{DOWN}.weight")),
    _edit("image_activation_scale_one_ulp", "an activation's scale moved by one ulp", _scale(f"{DOWN}/codes")),
    _edit(
        "image_blue_first",
        "the patch embedder takes blue for red",
        _floats(PIXELS, lambda x: x.reshape(-1, 3)[:, ::-1].reshape(-1)),
    ),
    _edit(
        "image_table_moved", "the table of columns is off by one row", _floats(f"{TABLE}.x", lambda x: np.roll(x, 96))
    ),
    _edit(
        "image_projection_one_ulp",
        "one weight of the projection moved by one ulp",
        _floats(f"{PROJECTION}.weight", lambda x: np.concatenate([np.nextafter(x[:1], np.float32(9)), x[1:]]), ADAPTER),
    ),
    _edit(
        "image_end_moved",
        "the row behind an image is another's",
        _floats("embed_tokens.row", lambda x: np.roll(x, 1), IMAGE_END),
        "2a",
    ),
    _edit("image_end_missing", "no section for the token behind an image", lambda p: p.rebuild({IMAGE_END: None})),
    _edit("image_end_not_told", "the engine is not told which token stands behind an image", _told(_no_end)),
    _edit("image_fewer_patches_told", "the engine is told of one soft token fewer", _told(_fewer_patches)),
    _edit("image_pool_told_otherwise", "the engine is told to pool 2 by 2 patches", _told(_coarser_pool)),
)
