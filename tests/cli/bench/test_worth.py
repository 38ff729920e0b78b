"""``just bench drafter``: from which share of right drafts on drafting pays."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.__main__ import _command
from tests.bench.engine.worth import least_chance, least_share, said, tokens


def test_a_step_gives_the_accepted_drafts_and_one_token_more() -> None:
    """Against as many steps drawn as it takes."""
    assert (tokens(0.0, 4), tokens(1.0, 4)) == (1.0, 5.0)
    right = np.random.default_rng(1).random((100_000, 4)) < 0.7
    assert tokens(0.7, 4) == pytest.approx(1 + np.cumprod(right, axis=1).sum() / len(right), abs=0.02)


@pytest.mark.parametrize("step", [1.01, 2.0, 3.5, 4.99])
def test_at_the_least_chance_a_step_gives_as_many_tokens_as_decoding_in_its_time(step: float) -> None:
    assert tokens(least_chance(step, 4), 4) == pytest.approx(step)
    share = least_share(step, 4)
    assert share is not None
    assert 1 + 4 * share == pytest.approx(step)


def test_a_step_that_takes_longer_than_all_it_can_give_never_pays_and_a_short_one_always() -> None:
    assert least_share(5.0, 4) is None
    assert least_share(0.8, 4) == 0
    takes, pays = said("wall time", 5.5, 4).rsplit(": ", 1)
    assert takes == "wall time: 4 drafts and verify take as long as 5.50 decoded tokens"
    assert pays == "drafting never pays, for it gives 5 at most\n"


def test_the_lines_name_the_share_the_chance_and_the_gain() -> None:
    lines = said("wall time", 2.0, 4).splitlines()
    assert (
        "more than 25% of the drafts are accepted, that is where each is right by itself more often than 52%"
        in lines[0]
    )
    assert "1.39 at 70%" in lines[1]


def test_a_model_without_its_drafter_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _command(["drafter", "demo"])
    assert ended.value.code == 2
    assert "drafter wants a model and its drafter" in capsys.readouterr().err
