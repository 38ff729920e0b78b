"""Programs cut down to the first positions of the cache, stacks of sequences, updates in place: nothing changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.greedy import answers, reach
from runtime_tests.coreml.program.evaluator import Evaluator
from runtime_tests.coreml.program.shorter import shorten
from runtime_tests.errors import CannotRunError
from runtime_tests.kinds import open_case
from runtime_tests.readers.coreml.mlpackage import open_mlpackage
from tests.support.coreml.mil_tools import builder, save, spec, state


@pytest.fixture(scope="module")
def case(mobile_e4b: Path, tmp_path_factory: pytest.TempPathFactory) -> CoremlCase:
    from convert.checkpoint import open_checkpoint
    from convert.progress import Silent
    from convert.targets.coreml import CoremlOptions, convert, rows

    folder, opened = tmp_path_factory.mktemp("package"), open_checkpoint(mobile_e4b)
    convert(opened, CoremlOptions(context=256, prefill=(8, 32)), folder / "Model.mlpackage", Silent())
    rows.write(opened, folder, lambda n: None)
    made = open_case(folder / "Model.mlpackage", mobile_e4b)
    assert isinstance(made, CoremlCase)
    return made


def forced(case: CoremlCase, evaluator: Evaluator, count: int) -> np.ndarray:
    """Logits of a chunk's last token and some steps, the window of 24 behind them."""
    session = case.session(evaluator)
    first, second = case.lookup(case.ids[:count])
    assert second is not None
    session.prefill(first[:30], second[:30])
    return np.stack([session.decode(first[i : i + 1], second[i : i + 1]) for i in range(30, count)])


def test_the_first_positions_give_what_the_whole_cache_gives(case: CoremlCase) -> None:
    whole, cut = (forced(case, case.evaluator("float64", positions=n), 40) for n in (None, 64))
    assert np.abs(whole - cut).max() <= 1e-9 * np.abs(whole).max()  # sums in another order
    cut_types = case.evaluator("float64", positions=64).function("decode").inputs
    assert cut_types["keys_full"].shape[2] == cut_types["mask_full"].shape[3] == 64
    assert cut_types["keys_sliding"].shape[2] == 32  # a ring is no longer than it must be


def test_functions_of_more_tokens_than_positions_are_left_out(case: CoremlCase) -> None:
    assert set(shorten(case.package, 24).functions) == {"decode", "prefill_8"}
    with pytest.raises(CannotRunError, match="512 positions of a cache of 256"):
        shorten(case.package, 512)


def test_a_program_whose_positions_cannot_be_followed_is_not_cut(case: CoremlCase) -> None:
    decode = case.package.functions["decode"]
    odd = [op for op in decode.operations if op.kind == "softmax"][-1]  # of a layer that sees all positions
    changed = tuple(replace(op, kind="cumsum") if op is odd else op for op in decode.operations)
    package = replace(case.package, functions={"decode": replace(decode, operations=changed)})
    with pytest.raises(CannotRunError, match=rf"operation {odd.name} \(cumsum\): positions cannot be followed"):
        shorten(package, 64)


def test_answers_of_many_lengths_together_are_those_one_by_one(case: CoremlCase) -> None:
    prompts = [case.ids[:n] for n in (3, 11, 12, 12, 40, 55)]
    positions = reach(case, prompts, 6)
    plain = answers(case, case.evaluator(positions=positions), prompts[:1], 6, frozenset())
    stops = frozenset({int(plain[0][1])})  # so that one ends early
    together = answers(case, case.evaluator(positions=positions), prompts, 6, stops)
    single = [answers(case, case.evaluator(), [ids], 6, stops)[0] for ids in prompts]
    assert positions == 64
    assert [new.tolist() for new in together] == [new.tolist() for new in single]
    assert len({len(new) for new in together}) > 1


def test_a_prompt_that_does_not_fit_is_refused(case: CoremlCase) -> None:
    with pytest.raises(CannotRunError, match="a prompt of 250 tokens and 10 more do not fit a context of 256"):
        reach(case, [np.zeros(250, np.int32)], 10)


def updates(evaluator: Evaluator) -> list[str]:
    return [step.reuse for step in evaluator._steps["decode"] if step.op.kind == "slice_update"]


def test_the_callers_states_are_never_written_into(case: CoremlCase) -> None:
    evaluator = case.evaluator()
    states = {f"{name}_{kind}" for name in ("keys", "values") for kind in ("full", "sliding")}
    assert set(updates(evaluator)) == states
    first, second = case.lookup(case.ids[:1])
    inputs = case.feed.inputs(case.decode, 5, first, second)
    kept = evaluator.new_state("decode")
    before, given = {name: value.clone() for name, value in kept.items()}, dict(kept)
    evaluator.run("decode", inputs, given)
    assert all(torch.equal(kept[name], before[name]) for name in kept)
    assert not torch.equal(given["keys_full"], kept["keys_full"])


def test_an_update_that_an_older_reader_would_see_is_made_in_a_copy(tmp_path: Path) -> None:
    mb = builder()

    def program(x, rows):  # type: ignore[no-untyped-def]
        corner = {"begin": [0, 0], "end": [1, 4]}
        first = mb.slice_update(x=mb.read_state(input=rows), update=x, **corner)
        mb.coreml_update_state(state=rows, value=first)
        old = mb.slice_by_index(x=first, begin=[0, 0], end=[1, 4])
        second = mb.slice_update(x=first, update=mb.mul(x=x, y=np.float16(2)), **corner)
        mb.coreml_update_state(state=rows, value=second)
        return mb.add(x=old, y=old, name="sum")

    x = np.ones((1, 4), np.float16)
    path = save(tmp_path / "x.mlpackage", program, [spec(x), state((2, 4))])
    evaluator = Evaluator(open_mlpackage(path))
    kept = evaluator.new_state("main")
    (found,) = evaluator.run("main", {"x": x}, kept).values()
    assert found.tolist() == [[2.0] * 4]
    assert kept["rows"][0].tolist() == [2.0] * 4
