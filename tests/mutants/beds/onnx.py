"""A decoder and an embedding model to put faults into, with what lies beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from convert.targets.onnx import OnnxOptions
from tests.mutants.beds.bed import CONTEXT, Bed
from tests.support.onnx.patient import Patient

BEDS = {"mobile": "mobile", "q4_0": "q4_0", "images": "images"}
MAKES_ROWS = True
_MASKS = (  # the operator hides what must not be seen: there is no mask, and its window is an attribute: see graph.py
    *("window_one_too_long", "window_one_too_short"),
    *("mask_one_too_far", "mask_one_too_short", "decode_ignores_the_mask"),
    *("window_ignored", "window_everywhere", "window_of_the_chunk"),
)
_PIECES = (  # one graph for any number of tokens knows no first one, no half and no decode, and appends to caches
    *("rope_position_off_in_decode", "rope_restarts_in_every_chunk", "rope_rows_of_the_next"),
    *("cache_written_one_late", "prefill_rows_out_of_order", "prefill_without_an_mlp"),
)
OTHERWISE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*_MASKS, *_PIECES), ()),
    "values_not_normed": ("refused",),  # ONNX Runtime moves the rounding behind the reshape and then trips over it
    "values_from_keys": (),  # no weight is there twice under one name
    "stops_of_the_base_model": ("0",),
    "template_of_another_model": ("0",),
}


@dataclass(frozen=True)
class TargetBed(Bed):
    """The demo or a small checkpoint."""

    target: ClassVar[str] = "onnx"

    @property
    def options(self) -> OnnxOptions:
        if self.name == "images":
            return OnnxOptions(context=2 * CONTEXT, prefill=(512,), image_tokens="70")
        return OnnxOptions(context=CONTEXT, prefill=(512,))

    def edit(self, change: Callable[[Patient], None], folder: Path) -> Path:
        folder.rmdir()  # the copy makes it
        patient = Patient(self.artifact, folder)
        change(patient)
        return patient.save()
