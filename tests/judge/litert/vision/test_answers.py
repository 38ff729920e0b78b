"""What the engine says about images: the stock engine beside the same file in the interpreter, and transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime_tests.errors import CannotRunError, InputError
from runtime_tests.litert.case import ADAPTER
from runtime_tests.litert.vision import answers
from runtime_tests.litert.vision.answers import compare_answers
from runtime_tests.litert.vision.budgets import lengths
from runtime_tests.litert.vision.rows import compare_rows
from runtime_tests.litert.vision.weights import compare_vision
from runtime_tests.questions.images import QUESTIONS
from runtime_tests.results import rung
from tests.judge.litert.vision.bed import Bed, faults, opened
from tests.judge.litert.vision.test_tower import other_start, told
from tests.mutants.patient import Patient
from tests.support.checkpoints.small import write

TEXT = "images: text differs from the same file in the interpreter"


def test_the_engine_says_what_the_interpreter_says_from_the_same_patches(bed: Bed) -> None:
    found = compare_answers(bed.case)
    result = rung("3", "", found)
    assert result.status == "pass", [f"{check.name}: {check.note}" for check in found if not check.passed]
    (same,) = (check for check in found if check.name == TEXT)
    assert same.note == f"{len(QUESTIONS)} compared"
    (other,) = (check for check in found if check.name == "images: answers that another image changes")
    assert other.found == 1  # else equal answers would be no evidence


@pytest.mark.parametrize("fault", ["start", "pixels"])
def test_what_the_engine_does_otherwise_is_caught(fault: str, bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another token in front of an image; and patches whose last bit is not the engine's."""
    case = bed.edited(told(other_start)) if fault == "start" else bed.case
    if fault == "pixels":
        monkeypatch.setattr(answers, "_cut", lambda patches: patches)
    monkeypatch.setattr(answers, "_against_reference", lambda *_: [])
    assert TEXT in faults(compare_answers(case))


def test_a_checkpoint_without_a_tower_is_told_in_one_line(bed: Bed, tmp_path: Path) -> None:
    write(tmp_path, "mobile", "e2b")
    case = opened(bed.model, tmp_path)
    with pytest.raises(InputError, match=r"config\.json: no vision_config, so nothing to hold an image encoder to"):
        compare_vision(case)


def test_sections_that_the_engine_could_not_call_are_told(bed: Bed) -> None:
    def renamed(patient: Patient) -> None:
        content = patient.content(ADAPTER).replace(b"vision_adapter_70", b"vision_adapter_71")
        patient.rebuild({ADAPTER: content})

    case = bed.edited(renamed)
    assert "budgets [71] of the adapter, [70] of the encoder" in faults(compare_vision(case))
    with pytest.raises(CannotRunError, match=r"tf_lite_vision_adapter, signature vision_adapter_70: \[\] to \[\]"):
        compare_rows(case)


def test_the_reference_answers_by_transformers_own_masks(bed: Bed) -> None:
    """A whole model over the loaded decoder gives its logits where there is no image to see."""
    from runtime_tests.reference.vision.whole import Whole

    case = bed.case
    whole: Any = Whole(case.folder.path, case.reference, case.tower)
    ids = case.ids[:60]
    import torch

    with torch.no_grad():
        out = whole._model(input_ids=torch.from_numpy(ids.astype(np.int64))[None]).logits[0].numpy()
    assert np.allclose(out, case.reference.logits(ids), rtol=0, atol=1e-4)


def test_a_budget_of_no_image_is_refused(bed: Bed) -> None:
    def renamed(patient: Patient) -> None:
        content = patient.content(ADAPTER).replace(b"vision_adapter_70", b"vision_adapter_99")
        patient.rebuild({ADAPTER: content})

    model = bed.edited(renamed).model(ADAPTER)
    model.signatures["vision_adapter_9999999"] = model.signatures["vision_adapter_99"]
    with pytest.raises(InputError, match=r"signature vision_adapter_9999999, expected 1 to 8192 rows of an image"):
        lengths(model, "vision_adapter_")


def test_a_file_of_another_maker_is_not_held_to_names(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    case = bed.edited(lambda patient: patient.rebuild({ADAPTER: None}))
    monkeypatch.setattr(type(case), "foreign", True)
    (told,) = compare_rows(case)
    assert (told.sense, told.note) == (
        "stated",
        f"not judged: damaged.litertlm: no section {ADAPTER}; it has {', '.join(sorted(case.artifact.models()))}",
    )
