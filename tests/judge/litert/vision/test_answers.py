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
from runtime_tests.questions.images import FEWER, QUESTIONS
from runtime_tests.reference.vision.patches import make, widest
from runtime_tests.reference.vision.pictures import FEW, pictures
from runtime_tests.reference.vision.whole import Whole
from runtime_tests.results import rung
from tests.judge.litert.vision.bed import ROWS, Bed, faults, opened
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


def test_of_a_large_file_two_conversations_show_the_same_four_ways(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(bed.case), "large", True)
    found = compare_answers(bed.case)
    assert rung("3", "", found).status == "pass"
    (same,) = (check for check in found if check.name == TEXT)
    assert same.note == "2 compared"
    parts = [(item, [part["type"] for part in item.messages[-1]["content"]]) for item in FEWER]
    for ways in (
        [given for _, given in parts if given.index("image") < given.index("text")],
        [given for _, given in parts if given[-1] == "image" != given[-2]],
        [given for _, given in parts if given.count("image") > 1],
        [given for item, given in parts if len(item.messages) > 1],
    ):
        assert ways


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
    case = bed.case
    whole: Any = Whole(case.folder.path, case.reference, case.tower)
    ids = case.ids[:60]
    import torch

    with torch.no_grad():
        out = whole._model(input_ids=torch.from_numpy(ids.astype(np.int64))[None]).logits[0].numpy()
    assert np.allclose(out, case.reference.logits(ids), rtol=0, atol=1e-4)


def test_prompts_that_are_read_together_are_read_as_alone(bed: Bed) -> None:
    """Undisturbed and disturbed, with the end's own row and without."""
    case = bed.case
    whole = Whole(case.folder.path, case.reference, case.tower)
    image = make(FEW[0], pictures(widest(ROWS, case.tower.sizes))[FEW[0]](), ROWS, case.tower.sizes)
    ids = whole.spread([case.start, 9, whole.image, 11, 12, 13], [image])
    first = len(ids) - 3
    with whole.plain_ends(after=1):
        own, plain, drawn = whole.together([ids] * 3, [[image]] * 3, first, (0, 0, 1))
    assert np.allclose(own, whole.logits(ids, [image], first), rtol=0, atol=1e-3)
    with whole.plain_ends():
        assert np.allclose(plain, whole.logits(ids, [image], first), rtol=0, atol=1e-3)
        assert np.allclose(drawn, whole.logits(ids, [image], first, 1), rtol=0, atol=1e-3)
    for other in (plain, drawn):
        assert not np.allclose(own, other, rtol=0, atol=1e-3)
    assert not np.allclose(plain, drawn, rtol=0, atol=1e-5)


def test_no_pass_makes_the_whole_table_for_one_row_of_it(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    case = bed.case
    whole, table = Whole(case.folder.path, case.reference, case.tower), case.reference.decoder.embed_tokens
    kept, made = table.weight[whole.padding, :], list[int]()

    def counted(self: Any, rows: Any, scales: Any) -> Any:
        made.append(rows.numel() // rows.shape[-1])
        return sound(self, rows, scales)

    sound = type(table)._dequantize_weights
    monkeypatch.setattr(type(table), "_dequantize_weights", counted)
    seen = []
    forward = type(case.reference.decoder).get_per_layer_inputs

    def asked(self: Any, ids: Any, embeds: Any = None) -> Any:
        seen.append(embeds)
        return forward(self, ids, embeds)

    monkeypatch.setattr(type(case.reference.decoder), "get_per_layer_inputs", asked)
    image = make(FEW[0], pictures(widest(ROWS, case.tower.sizes))[FEW[0]](), ROWS, case.tower.sizes)
    ids = whole.spread([case.start, whole.image, 11], [image])
    whole.logits(ids, [image], len(ids) - 1)
    assert 1 in made
    assert max(made) <= len(ids) < case.dims.vocab
    assert np.array_equal(seen[0][0, ids == whole.image].numpy(), np.repeat(kept[None].numpy(), image.rows, axis=0))
    monkeypatch.undo()
    assert len(table.weight) == case.dims.vocab  # outside it is transformers' own


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
