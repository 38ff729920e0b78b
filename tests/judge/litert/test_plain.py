"""Where XNNPACK's sums are coarse, plain kernels say whether it is the file: right ones pass, wrong ones do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from runtime_tests.budgets import Budget, budget_for
from runtime_tests.ladder import climb
from runtime_tests.litert.budgets import agreement_for
from runtime_tests.litert.case import DECODER, LitertCase
from runtime_tests.litert.rungs import plain, second
from runtime_tests.litert.rungs.second import Mine, agreement
from runtime_tests.litert.runners.protocol import Arrays, Call, Tape
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.results import Rung
from runtime_tests.rungs.bars import lattice_check
from tests.support.litert.patient import Patient, failing

WIDE = 6144  # columns of a down_proj: XNNPACK leaves some 91 dB of it on a processor with AVX512-VNNI
KEY = "layers.1.mlp.down_proj"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """q4_0, hidden size as small as ever, with an MLP as wide as E2B's first ones."""
    from tests.support.checkpoints.shapes import SMALL
    from tests.support.checkpoints.write import write_checkpoint

    shape = replace(SMALL["e2b"], intermediate=WIDE, double_wide=False, layers=5, kv_shared=0)
    folder = tmp_path_factory.mktemp("wide") / "q4_0"
    write_checkpoint(folder, shape, "q4_0", 7)
    return folder


@pytest.fixture(scope="module")
def artifact(checkpoint: Path) -> Path:
    from convert.checkpoint import open_checkpoint as read
    from convert.progress import Silent
    from convert.targets.litert import LitertOptions, convert

    out = checkpoint.parent / "model.litertlm"
    convert(read(checkpoint), LitertOptions(context=160, prefill=(8, 64)), out, Silent())
    return out


@pytest.fixture
def judged(artifact: Path, checkpoint: Path, tmp_path: Path) -> Callable[[Callable[[Patient], None], str], Rung]:
    def run(mutate: Callable[[Patient], None], name: str) -> Rung:
        patient = Patient(artifact)
        mutate(patient)
        target = tmp_path / "mutated.litertlm"
        target.write_bytes(patient.bytes)
        (result,) = climb(LitertCase(open_litertlm(target), open_checkpoint(checkpoint)), (name,))
        return result

    return run


Judged = Callable[[Callable[[Patient], None], str], Rung]


def _nothing(_: Patient) -> None:
    pass


def _scale(patient: Patient) -> None:
    """One block of one row, off by 2**-7 of itself: some 90 dB of the whole product."""
    model = patient.model(DECODER)
    tensor = next(t for graph in model.subgraphs for t in graph.tensors if t.name == f"{KEY}.weight_scale")
    scales = model.buffer(tensor.buffer).view(np.uint16)
    scales[3] += 1 << 3


def _second_term(patient: Patient) -> None:
    """In the long prefill alone, the second term of the activations is taken away instead of added."""
    model = patient.model(DECODER)
    graph = model.subgraph("prefill_64")
    product = next(op for op in graph.operators if _weight(graph, op) == f"{KEY}.weight")
    slices = [op.outputs[0] for op in graph.consumers[product.outputs[0]]]
    (addition,) = graph.consumers[slices[1]]
    raw = model.raw.subgraphs[graph.index].operators[addition.index]
    raw.inputs[list(raw.inputs).index(slices[1])] = slices[0]


def _weight(graph: Any, op: Any) -> str:
    return str(graph.tensors[op.inputs[1]].name) if op.code == "FULLY_CONNECTED" else ""


def test_a_right_model_whose_products_are_wide_passes(judged: Judged) -> None:
    blocks, lowering = judged(_nothing, "2a"), judged(_nothing, "2b")
    assert (blocks.status, lowering.status) == ("pass", "pass"), failing(blocks) + failing(lowering)
    asked = [check for check in blocks.checks if "by plain kernels" in check.name]
    if not asked:
        pytest.skip("not run: the sums of this machine's XNNPACK are as good as float32's")
    assert {check.name.split(":")[0] for check in asked} == {"prefill_8", "decode"}
    assert {check.limit for check in asked} == {_budget().block_db}
    found = {check.name.partition(", worst")[0]: check for check in blocks.checks}
    for name in ("prefill_8", "prefill_64", "decode"):
        check = found[f"{name}: mlp"]
        assert cast(float, _budget().kernel_db) <= cast(float, check.limit) <= check.found < _budget().block_db


def test_a_fault_below_xnnpacks_own_sums_is_caught_by_plain_kernels(judged: Judged) -> None:
    caught = failing(judged(_scale, "2a"))
    assert "decode: mlp by plain kernels" in caught or "decode: mlp, worst" in caught


def test_a_fault_of_the_long_prefill_alone_is_caught_there(judged: Judged) -> None:
    caught = failing(judged(_second_term, "2a"))
    assert "prefill_64: mlp, worst" in caught
    assert "decode" not in caught


@pytest.fixture
def weighed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, list[tuple[float, float, float | None]]]]:
    """``plain.weigh`` of one output, with what plain kernels would say."""

    def run(found: dict[str, float], theirs: float = 115.0, static: bool = False) -> Any:
        asked: list[str] = []

        def ask(case: Any, part: Any, name: str, *rest: Any) -> dict[str, float]:
            asked.append(name)
            return {"layers.0/mlp": theirs}

        monkeypatch.setattr(plain, "_plain", ask)
        case, names = cast(LitertCase, SimpleNamespace(budget=budget_for(static, "integers"))), dict.fromkeys(found, 1)
        floats = {name: {"layers.0/mlp": quality} for name, quality in found.items()}
        out = plain.weigh(case, 0, names, cast(Any, dict.fromkeys(found)), cast(Any, None), floats)
        return {name: [(item.quality, item.bar, item.plain) for item in items] for name, items in out.items()}, asked

    return run


def test_what_reaches_its_bar_is_not_asked_again(weighed: Callable[..., Any]) -> None:
    out, asked = weighed({"prefill_8": 111.0, "prefill_64": 110.0, "decode": 130.0})
    assert out == {"prefill_8": [(111, 110, None)], "prefill_64": [(110, 110, None)], "decode": [(130, 110, None)]}
    assert asked == []


@pytest.mark.parametrize(
    ("found", "bars"),
    [
        ({"prefill_8": 90.0, "prefill_64": 87.0, "decode": 92.0}, (84, 84, 84)),  # 6 dB below the worse of the two
        ({"prefill_8": 82.0, "prefill_64": 81.0, "decode": 92.0}, (80, 80, 80)),  # never below what the sums are for
        ({"prefill_8": 118.0, "prefill_64": 60.0, "decode": 119.0}, (110, 110, 110)),  # one that is alone has no excuse
    ],
)
def test_the_bar_of_coarse_sums(weighed: Callable[..., Any], found: dict[str, float], bars: tuple[int, ...]) -> None:
    out, asked = weighed(found)
    assert tuple(out[name][0][1] for name in found) == bars
    assert asked == ["prefill_8", "decode"]
    assert (out["prefill_8"][0][2], out["prefill_64"][0][2], out["decode"][0][2]) == (115.0, None, 115.0)


def test_a_format_of_integers_has_no_such_excuse(weighed: Callable[..., Any]) -> None:
    out, asked = weighed({"prefill_8": 30.0, "decode": 44.0}, static=True)
    assert (out, asked) == ({"prefill_8": [(30, 45, None)], "decode": [(44, 45, None)]}, [])


def _floored(snr_db: float) -> LitertCase:
    return cast(LitertCase, SimpleNamespace(budget=_budget(), stored_floor=SimpleNamespace(snr_db=snr_db)))


def _budget() -> Budget:
    return budget_for(False, "rounded lattice")


@pytest.mark.parametrize(
    ("own", "residual", "bar"),
    [(103.0, None, 97.0), (103.0, 130.0, 97.0), (103.0, 100.0, 77.0), (140.0, None, 100.0), (140.0, 115.0, 100.0)],
)
def test_the_whole_is_held_to_what_the_sums_of_every_layer_do_to_it(
    own: float, residual: float | None, bar: float
) -> None:
    check = lattice_check(_floored(own), "logits", 98.0, residual)
    assert cast(float, check.limit) == pytest.approx(bar, abs=0.05)
    assert check.passed == (bar < 98.0)


class Says:
    """A runtime that gives what it was made with."""

    name, runtime = "another", "builtin"

    def __init__(self, kept: list[list[Arrays]]) -> None:
        self.kept = kept

    def play(self, tapes: Sequence[Tape], threads: int) -> list[list[Arrays]]:
        return self.kept


def test_a_runtime_may_agree_with_the_reference_where_xnnpack_is_coarse() -> None:
    random, name = np.random.default_rng(1), "layers.0/mlp"
    expected = [{name: random.standard_normal(500).astype(np.float32)} for _ in range(3)]

    def noisy(relative: float) -> list[Arrays]:
        return [{name: call[name] * np.float32(1 + relative)} for call in expected]

    mine = Mine((Tape(b"", (Call("forced", {}, (), (name,)),) * 3),), (noisy(1e-5),), (tuple(expected),), "", "", "no")
    case = cast(LitertCase, SimpleNamespace(folder=SimpleNamespace(static_activations=False), threads=1))
    bar = agreement_for("builtin", False).block_db
    for theirs, passes in ((noisy(1e-7), True), (noisy(1e-5 + 1e-7), True), (noisy(-1e-5), False)):
        check = agreement(case, mine, Says([theirs]))[1]
        assert (check.limit, check.passed) == (bar, passes)


def test_a_block_without_a_place_is_judged_by_its_best_token_and_attention_by_all() -> None:
    expected = np.random.default_rng(1).standard_normal((4, 500)).astype(np.float32)
    found = expected * (1 + np.array([[1e-4], [1e-6], [1e-4], [1e-4]], np.float32))
    assert plain.best_token("layers.0/mlp", expected, found) == pytest.approx(120, abs=1)
    assert plain.best_token("layers.0/attention", expected, found) == pytest.approx(81, abs=1)
    wrong = expected * np.float32(1 + 1e-5)
    assert plain.best_token("layers.0/mlp", expected, wrong) == pytest.approx(100, abs=1), "wrong at every token"


@pytest.mark.parametrize(
    ("qualities", "kind", "found", "calls"),
    [
        ([112.0], "mlp", 112.0, 1),
        ([95.0, 104.0, 113.0, 90.0], "mlp", 113.0, 3),
        ([95.0] * 8, "mlp", 95.0, 8),
        ([95.0, 113.0], "attention", 95.0, 1),
    ],
)
def test_plain_kernels_try_other_tokens_until_one_reaches_the_bar(
    monkeypatch: pytest.MonkeyPatch, qualities: list[float], kind: str, found: float, calls: int
) -> None:
    key, asked = f"layers.0/{kind}", list[Any]()

    def measure(case: Any, name: str, made: list[Any], *rest: Any) -> dict[str, float]:
        asked.extend(made)
        return {key: qualities[min(len(asked), len(qualities)) - 1]}

    forced = SimpleNamespace(interpreter=lambda *_: None, release=lambda: None)
    monkeypatch.setattr(plain, "measure", measure)
    monkeypatch.setattr(plain, "calls", lambda *_: [(i, 1) for i in range(50)])
    case = cast(LitertCase, SimpleNamespace(budget=_budget(), threads=1))
    cut = cast(Any, SimpleNamespace(part=lambda part: forced))
    assert plain._plain(case, 0, "decode", 1, cut, cast(Any, None), {key}) == {key: found}
    assert (len(asked), len(set(asked)), asked[0]) == (calls, calls, (25, 1))


@pytest.mark.parametrize(
    ("runtime", "static", "passes"), [("builtin", False, True), ("other build", False, False), ("builtin", True, False)]
)
def test_only_plain_kernels_of_float_activations_are_judged_by_their_best_token(
    runtime: str, static: bool, passes: bool
) -> None:
    name, relative = "layers.0/mlp", 1e-5 if not static else 0.3
    expected = [{name: np.random.default_rng(i).standard_normal(500).astype(np.float32)} for i in range(3)]
    far = [{name: call[name] * np.float32(2)} for call in expected]
    noisy = [{name: call[name] * np.float32(1 + (0 if i == 1 else relative))} for i, call in enumerate(expected)]
    mine = Mine((Tape(b"", (Call("forced", {}, (), (name,)),) * 3),), (far,), (tuple(expected),), "", "", "no")
    case = cast(LitertCase, SimpleNamespace(folder=SimpleNamespace(static_activations=static), threads=1))
    says = Says([noisy])
    says.runtime = runtime
    (check,) = [one for one in agreement(case, mine, says) if "boundaries" in one.name]
    assert check.passed == passes


def test_what_xnnpacks_sums_move_is_told_from_plain_kernels_and_not_from_what_a_fault_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random, name = np.random.default_rng(1), "layers.0/mlp"
    expected = [{name: random.standard_normal(500).astype(np.float32)} for _ in range(3)]

    def noisy(relative: float) -> list[Arrays]:
        return [{name: call[name] * np.float32(1 + relative)} for call in expected]

    def residual(ours: float, theirs: float) -> float | None:
        tape = Tape(b"", (Call("forced", {}, (), (name,)),) * 3)
        mine = Mine((tape,), (noisy(ours),), (tuple(expected),), "", "", "no")
        monkeypatch.setattr(second, "record", lambda case: mine)
        case = SimpleNamespace(folder=SimpleNamespace(static_activations=False), threads=1)
        return second.opinions(cast(LitertCase, case), [Says([noisy(theirs)])]).residual_db

    assert residual(1e-5, 0.0) == pytest.approx(100, abs=1), "coarse sums of XNNPACK alone"
    fault = residual(1e-3, 1e-3)
    assert fault is not None
    assert fault >= 130, "a fault of the file, which both have, lowers no bar"
    assert residual(1e-5, 1e-3) is None, "plain kernels that keep no limit excuse nobody"
