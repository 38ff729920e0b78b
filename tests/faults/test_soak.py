"""The soak: what a seed stands for is always the same, and a small draw of it; ``just soak`` draws more."""

from __future__ import annotations

import faulthandler
import os
import signal
from collections import Counter

import pytest

from convert.demo.writing.layout import linears
from convert.demo.writing.shape import FULL, SLIDING
from tests.mutants.mutant import Build, Edit
from tests.soak import checkpoint
from tests.soak.draw import draw
from tests.soak.faults import ANDROID, IOS, KINDS, Fault, choose, faults
from tests.soak.judge import PUBLISHED, REFUSED, TOO_NERVOUS, JudgeError, Stand, Told, apart
from tests.soak.run import Model, Outcome, summary
from tests.support.checkpoints.layout import tensors
from tests.support.checkpoints.values import BLOCK

SEEDS = range(300)


def test_a_seed_always_stands_for_the_same_model_and_the_same_fault() -> None:
    for seed in range(20):
        assert draw(seed) == draw(seed)
        for platform in (ANDROID, IOS):
            once, again = choose(draw(seed), platform), choose(draw(seed), platform)
            assert (once.kind, once.what) == (again.kind, again.what)


def test_draws_reach_both_formats_shapes_and_tempers_and_all_depths() -> None:
    drawn = [draw(seed) for seed in SEEDS]
    assert min(Counter((item.format, item.size) for item in drawn).values()) > 40
    depths = {item.shape.layers for item in drawn}
    assert min(depths) == 6
    assert max(depths) == 42
    assert {item.shape.temper.scalars for item in drawn} == {(0.35, 0.95), (0.6, 1.0), (0.6, 1.1)}
    assert {item.shape.softcap for item in drawn} == {30.0, 15.0, None}
    assert len({item.template for item in drawn}) == 6
    assert len({item.shape.head_dim for item in drawn}) > 10


def test_every_drawn_shape_is_one_that_its_format_can_hold() -> None:
    for drawn in map(draw, SEEDS):
        shape = drawn.shape
        assert tensors(shape, drawn.format)
        for matrix in linears(shape):
            whole = BLOCK if drawn.format == "q4_0" else 8 // matrix.bits
            assert matrix.columns % whole == 0, (drawn.seed, matrix)
        assert shape.heads % shape.kv_heads == 0
        assert shape.window < drawn.context
        owners = {shape.kind(i) for i in range(shape.layers) if shape.owns_kv(i)}
        assert owners == {SLIDING, FULL}, drawn.seed


def test_every_kind_of_fault_is_drawn_on_each_platform_that_has_it() -> None:
    on_android = Counter(choose(draw(seed), ANDROID).kind for seed in SEEDS)
    assert set(on_android) == set(KINDS)
    # Masks come from the app there.
    assert {choose(draw(seed), IOS).kind for seed in SEEDS} == set(KINDS) - {"window"}


def test_a_fault_that_slips_through_and_a_right_model_that_is_refused_are_failures_with_a_seed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = Model(1, "good", outcomes=[Outcome(ANDROID, Told(PUBLISHED), "weights")])
    slipped = Model(2, "slipped", outcomes=[Outcome(ANDROID, Told(PUBLISHED), "weights", slipped=True)])
    refused = Model(3, "refused", outcomes=[Outcome(IOS, Told(REFUSED, "rung 1"), failed=True)])
    assert summary([good], 0, 1)
    assert not summary([good, slipped, refused], 2, 3, " --layers 12")
    said = capsys.readouterr().out
    assert "android: 2 of 2 right ones published, 1 of 2 faults caught" in said
    assert "ios: 0 of 1 right ones published, 0 of 0 faults caught" in said
    assert "run again: just soak 1 --seed 2 --layers 12" in said
    assert "run again: just soak 1 --seed 3" in said
    assert "2 more were too nervous" in said
    assert not summary([good], 8, 2)  # nobody was left to be judged


@pytest.fixture(scope="module", params=[(ANDROID, 7), (IOS, 10)], ids=lambda pair: f"{pair[0]} {pair[1]}")
def stand(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stand:
    """A shallow drawn model: q4_0 on android, mobile on ios."""
    platform, seed = request.param
    work = tmp_path_factory.mktemp("soak")
    drawn = draw(seed, deepest=8)
    (work / platform).mkdir()
    return Stand(drawn, platform, checkpoint.write(drawn, work), work / platform)


@pytest.mark.slow
def test_a_drawn_model_is_right_and_its_fault_is_caught(stand: Stand) -> None:
    found = stand.judge(stand.artifact)
    assert found.verdict == PUBLISHED, found.why
    assert found.floor_db is not None
    fault = choose(stand.drawn, stand.platform)
    spoilt = stand.spoil(fault)
    assert spoilt.verdict == REFUSED, fault.what
    assert spoilt.why


def test_a_fault_that_changes_nothing_is_a_defect_of_the_soak(stand: Stand) -> None:
    one = next(fault for fault in faults(stand.drawn, stand.platform) if not isinstance(fault.how, Edit | Build))
    nothing = Fault(one.kind, "nothing", type(one.how)(lambda _: None))  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="nothing: changed nothing"):
        stand.spoil(nothing)


def test_a_reference_that_does_not_agree_with_itself_makes_a_model_nervous() -> None:
    model = Model(1, "nervous", outcomes=[Outcome(ANDROID, Told(TOO_NERVOUS, "36 %"))])
    assert model.nervous
    assert "android nervous [36 %]" in str(model)


def test_a_runtime_that_aborts_on_a_faulty_file_takes_only_its_own_process_with_it() -> None:
    assert apart(lambda: Told(PUBLISHED, floor_db=3.0)) == Told(PUBLISHED, floor_db=3.0)

    assert apart(lambda: _dies(signal.SIGABRT)) == Told(REFUSED, "the judge's process was ended by SIGABRT")


def test_a_process_that_is_killed_from_outside_says_nothing_of_the_file() -> None:
    with pytest.raises(JudgeError, match=r"ended with -9 and told nothing"):
        apart(lambda: _dies(signal.SIGKILL))


def _dies(how: signal.Signals) -> Told:
    faulthandler.disable()  # it is meant to die
    os.kill(os.getpid(), how)
    raise AssertionError


def test_an_exception_of_the_judge_is_a_finding_and_no_refusal() -> None:
    with pytest.raises(JudgeError, match="ZeroDivisionError"):
        apart(lambda: Told(PUBLISHED, floor_db=1 / 0))
