"""The catalogue of mutants: complete, declared, and a handful of it run; ``just mutants`` runs all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.mutants.bed import BEDS, Bed
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import REFUSED, Build
from tests.mutants.run import GOLDEN, control, run

HANDFUL = (
    "one_code_off_by_one",
    "wrong_owner_in_decode",
    "cache_accumulates",
    "softcap_left_out",
    "partial_rotary_ignored",
    "template_role_of_answers",
    "two_decoders",
    "activation_scale_on_disk",
)


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    return Bed("mobile", tmp_path_factory.mktemp("mutants"))


def test_the_catalogue_has_at_least_forty_distinct_faults() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) == len(set(names))
    assert len(MUTANTS) >= 40
    assert len({mutant.what for mutant in MUTANTS}) > len(names) - 5  # a few are repeated in another format


def test_every_fault_declares_who_has_to_catch_it() -> None:
    for mutant in MUTANTS:
        assert mutant.expected == (REFUSED,) or set(mutant.expected) <= {"0", "1", "2a", "2b", "3"}, mutant.name
        assert mutant.expected, mutant.name
        assert mutant.bed in BEDS, mutant.name
        assert mutant.what, mutant.name


def test_every_fault_in_the_converters_code_still_finds_the_line_that_it_changes() -> None:
    faults = [mutant.fault for mutant in MUTANTS if isinstance(mutant.fault, Build)]
    assert len(faults) > 40
    for fault in faults:
        with fault.fault():  # raises where the line does not stand in the module exactly once
            pass


def test_the_golden_lists_exactly_the_faults_of_the_catalogue_and_their_catchers() -> None:
    kept = json.loads(GOLDEN.read_text("utf-8"))
    assert {name: set(caught) for name, caught in kept.items()} == {m.name: set(m.expected) for m in MUTANTS}


@pytest.mark.slow
def test_the_sound_artifact_passes_and_a_handful_of_faults_is_caught_as_the_golden_says(bed: Bed) -> None:
    assert [(rung.name, rung.status) for rung in control(bed)] == [(n, "pass") for n in ("0", "1", "2a", "2b", "3")]
    kept = json.loads(GOLDEN.read_text("utf-8"))
    for mutant in (m for m in MUTANTS if m.name in HANDFUL):
        outcome = run(mutant, bed)
        assert outcome.ok, f"{mutant.name}: {outcome.caught} {outcome.crashed}"
        assert {name: outcome.caught[name] for name in mutant.expected} == kept[mutant.name], mutant.name


def test_a_fault_that_changes_nothing_is_no_mutant(bed: Bed) -> None:
    from tests.mutants.mutant import Edit, Mutant

    idle = Mutant("idle", "none", "mobile", "nothing", ("0",), Edit(lambda patient: None))
    with pytest.raises(AssertionError, match="idle changed nothing"):
        run(idle, bed)


def test_a_crash_of_the_judge_does_not_count_as_a_catch(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    from runtime_tests.litert.rungs import weights

    def crash(case: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(weights, "climb", crash)
    outcome = run(next(m for m in MUTANTS if m.name == "one_code_off_by_one"), bed)
    assert not outcome.ok
    assert "ZeroDivisionError: a defect" in outcome.crashed


def test_a_blind_judge_lets_a_fault_through(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    from runtime_tests.litert.rungs import weights
    from runtime_tests.results import none

    monkeypatch.setattr(weights, "climb", lambda case: [none("integers equal", [], "tensors", 1)])
    outcome = run(next(m for m in MUTANTS if m.name == "one_code_off_by_one"), bed)
    assert not outcome.ok
    assert outcome.missed == ["0"]


def test_a_mutant_that_is_text_of_the_source_says_when_the_source_has_moved_on() -> None:
    from tests.mutants.source import reads

    with (
        pytest.raises(AssertionError, match=r"decoder\.py has 'no such line' 0 times"),
        reads(("model.decoder", "no such line", ""))(),
    ):
        pass


def test_an_injected_fault_is_gone_afterwards() -> None:
    from convert.model import decoder
    from convert.targets.litert import decoder as lowered
    from tests.mutants.source import reads

    sound = decoder.Decoder
    with reads(("model.decoder", "if self.config.softcap is not None:", "if False:"))():
        assert lowered.Decoder is decoder.Decoder is not sound
    assert lowered.Decoder is decoder.Decoder is sound


def test_the_golden_is_small() -> None:
    assert Path(GOLDEN).stat().st_size < 50_000
