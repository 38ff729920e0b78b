"""The catalogue of mutants: complete, declared, and a drawn sample of it run; ``just mutants`` runs all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.mutants import golden
from tests.mutants.beds import adapters, open_bed
from tests.mutants.beds.bed import Bed
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import FIRST, OTHERS, REFUSED, Build, Edit, Mutant
from tests.mutants.run import control, run, rungs_of
from tests.mutants.sample import BED, SIZE, sample
from tests.mutants.wrap import OPERATIONS, PLACES, wrapped, wraps

DRAWN = sample(MUTANTS)


@pytest.fixture(scope="module")
def beds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bed]:
    """The demo as a model of each target."""
    return {target: open_bed(target, BED, tmp_path_factory.mktemp("mutants")) for target in adapters()}


@pytest.fixture(scope="module")
def bed(beds: dict[str, Bed]) -> Bed:
    return beds["litert"]


def test_every_fault_has_one_name_in_a_target_and_the_same_one_in_all() -> None:
    assert len({mutant.path for mutant in MUTANTS}) == len(MUTANTS)
    for target in (FIRST, *OTHERS):
        whats = [mutant.what for mutant in MUTANTS if mutant.target == target]
        assert len(whats) >= 100
        assert len(set(whats)) > len(whats) - 8  # a few are repeated in another format
    by_name: dict[str, set[str]] = {}
    for mutant in MUTANTS:
        by_name.setdefault(mutant.name, set()).add(mutant.target)
    assert sum(len(targets) == 1 + len(OTHERS) for targets in by_name.values()) > 60


def test_every_target_that_has_faults_has_beds_and_the_other_way_round() -> None:
    assert {*adapters()} == {FIRST, *OTHERS} == {mutant.target for mutant in MUTANTS}
    for target, adapter in adapters().items():
        assert {mutant.bed for mutant in MUTANTS if mutant.target == target} == {*adapter.BEDS}


def test_every_fault_declares_who_has_to_catch_it() -> None:
    for mutant in MUTANTS:
        assert mutant.expected == (REFUSED,) or set(mutant.expected) <= {"0", "1", "2a", "2b", "3"}, mutant.path
        assert mutant.expected, mutant.path
        assert mutant.what, mutant.path
        assert mutant.target == FIRST or "1" not in mutant.expected, mutant.path


def test_every_fault_in_the_converters_code_still_finds_the_operation_that_it_wraps() -> None:
    faults = [mutant.fault for mutant in MUTANTS if isinstance(mutant.fault, Build)]
    assert len(faults) > 80
    for fault in faults:
        with fault.fault():  # raises where there is no such operation
            pass


def test_the_goldens_list_exactly_the_faults_of_the_catalogue_and_their_catchers() -> None:
    for target in (FIRST, *OTHERS):
        kept = {name: set(caught) for name, caught in golden.read(target).items()}
        assert kept == {m.name: set(m.expected) for m in MUTANTS if m.target == target}


def test_the_sample_has_every_target_every_kind_that_grows_on_its_bed_and_every_way_of_making_a_fault() -> None:
    assert len(DRAWN) == SIZE >= 30
    assert sample(reversed(MUTANTS))[::-1] == DRAWN
    for target in (FIRST, *OTHERS):
        mine = [mutant for mutant in DRAWN if mutant.target == target]
        assert len(mine) >= 15
        assert {m.kind for m in mine} == {m.kind for m in MUTANTS if (m.target, m.bed) == (target, BED)}
        assert {"0", "2a", REFUSED} <= {rung for mutant in mine for rung in mutant.expected}
    assert {type(mutant.fault) for mutant in DRAWN} == {type(mutant.fault) for mutant in MUTANTS}


def test_a_new_fault_takes_the_place_of_one_of_the_sample_at_most() -> None:
    for kind in ("blocks", "records", "a new kind"):
        more = [*MUTANTS, Mutant("one_more", kind, BED, "one more", ("0",), DRAWN[0].fault, "coreml")]
        assert len({m.path for m in DRAWN} - {m.path for m in sample(more)}) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("target", [FIRST, *OTHERS])
def test_the_sound_model_passes_and_the_drawn_faults_are_caught_as_the_golden_says(
    beds: dict[str, Bed], target: str
) -> None:
    bed = beds[target]
    assert {(rung.name, rung.status) for rung in control(bed)} == {(name, "pass") for name in rungs_of(bed)}
    kept = golden.read(target)
    for mutant in (m for m in DRAWN if m.target == target):
        outcome = run(mutant, bed)
        assert outcome.ok, f"{mutant.path}: {outcome.caught} {outcome.crashed}"
        assert {name: outcome.caught[name] for name in mutant.expected} == kept[mutant.name], mutant.path


def test_the_bundle_that_faults_are_put_into_is_one_that_the_judge_opens(beds: dict[str, Bed]) -> None:
    for bed in beds.values():
        case = bed.judged(bed.bundle)
        assert case.feeding is not None
        assert case.artifact.sha256() == bed.control.artifact.sha256()


@pytest.mark.parametrize("target", [FIRST, *OTHERS])
def test_a_fault_that_changes_nothing_is_no_mutant(beds: dict[str, Bed], target: str) -> None:
    idle = Mutant("idle", "none", BED, "nothing", ("0",), Edit(lambda patient: None), target)
    with pytest.raises(AssertionError, match="idle changed nothing"):
        run(idle, beds[target])


@pytest.mark.parametrize("target", [FIRST, *OTHERS])
def test_an_operation_that_is_wrapped_and_does_the_same_makes_the_same_model(beds: dict[str, Bed], target: str) -> None:
    def same(sound, at, *args, **named):  # type: ignore[no-untyped-def]
        return sound(*args, **named)

    around = wraps(config=lambda config: config, **dict.fromkeys((*OPERATIONS, *PLACES), same))
    with pytest.raises(AssertionError, match="wrapped changed nothing"):
        run(Mutant("wrapped", "none", BED, "nothing", ("0",), Build(around), target), beds[target])


def test_a_crash_of_the_judge_does_not_count_as_a_catch(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    from runtime_tests.litert.rungs import weights

    def crash(case: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(weights, "climb", crash)
    outcome = run(_named("litert/one_code_off_by_one"), bed)
    assert not outcome.ok
    assert "ZeroDivisionError: a defect" in outcome.crashed


@pytest.mark.parametrize("target", [FIRST, *OTHERS])
def test_a_blind_judge_lets_a_fault_through(beds: dict[str, Bed], target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from runtime_tests.ladder import find
    from runtime_tests.results import none

    monkeypatch.setattr(find(target, "weights"), "climb", lambda case: [none("integers equal", [], "tensors", 1)])
    outcome = run(_named(f"{target}/one_code_off_by_one"), beds[target])
    assert not outcome.ok
    assert outcome.missed == ["0"]


@pytest.mark.parametrize("name", ["merge_removed", "template_role"])
def test_a_tokenizer_or_template_beside_a_package_that_is_not_the_checkpoints_is_caught(
    beds: dict[str, Bed], name: str
) -> None:
    outcome = run(_named(f"coreml/{name}"), beds["coreml"])
    assert outcome.caught == {"0": "tokenizer and chat template for the app"}


def test_a_fault_in_an_operation_that_is_not_there_says_so() -> None:
    with pytest.raises(AssertionError, match="the decoder has no operation convolve"):
        wraps(convolve=lambda sound, at, x: x)
    with (
        pytest.raises(AssertionError, match=r"there is no convert\.model\.rope\.turn"),
        wrapped("convert.model.rope.turn", lambda sound, x: x)(),
    ):
        pass


def test_an_injected_fault_is_gone_afterwards() -> None:
    from convert.model import decoder, rope
    from convert.targets.litert import decoder as lowered

    places = (decoder.Decoder, "__init__"), (decoder.Decoder, "layer"), (decoder, "rotate"), (rope, "rotate")
    sound = [getattr(*place) for place in (*places, (torch.nn.functional, "gelu"))]
    with wraps(rotate=lambda sound, at, x, cos, sin: x, gelu=lambda sound, at, x, approximate: x)():
        assert lowered.Decoder is decoder.Decoder
        assert decoder.rotate is rope.rotate
        changed = [getattr(*place) for place in (*places, (torch.nn.functional, "gelu"))]
        assert not any(new is old for new, old in zip(changed, sound, strict=True))
    assert [getattr(*place) for place in (*places, (torch.nn.functional, "gelu"))] == sound


def test_no_fault_reads_or_replaces_text_of_the_converters_sources() -> None:
    texts = [path.read_text("utf-8") for path in Path(golden.__file__).parents[1].rglob("*.py")]
    assert len(texts) > 15
    assert not [text for text in texts if "exec(" in text or "compile(" in text or "getsource" in text]


def test_the_goldens_are_small() -> None:
    assert sum(golden.path(target).stat().st_size for target in (FIRST, *OTHERS)) < 50_000


def _named(path: str) -> Mutant:
    return next(mutant for mutant in MUTANTS if mutant.path == path)
