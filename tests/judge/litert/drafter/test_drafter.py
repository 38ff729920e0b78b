"""The judge against damaged drafters: each fault is caught, by the rung that should."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from convert import demo
from convert.checkpoint import open_checkpoint as read
from convert.checkpoint import resolve
from convert.checkpoint.drafter import open_drafter
from convert.model.decoder import Decoder
from convert.model.drafter import Drafter
from convert.progress import Silent
from convert.targets.litert import LitertOptions, convert
from convert.targets.litert import decoder as decoder_graph
from convert.targets.litert import drafter as drafter_graph
from convert.targets.litert.ring import Kept
from runtime_tests.errors import InputError
from runtime_tests.kinds import open_case
from runtime_tests.ladder import climb
from runtime_tests.litert.case import DRAFTER, LitertCase
from runtime_tests.litert.drafter.drafts import compare_drafts
from runtime_tests.litert.drafter.weights import compare_drafter
from runtime_tests.litert.runners.engine import Request, ask
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.readers.modules.drafter import DrafterFolder
from runtime_tests.results import Rung, rung
from runtime_tests.rungs.asked import Asked
from tests.mutants.catalogue.litert import drafter as drafter_faults
from tests.mutants.mutant import Build
from tests.support.drafter.assistant import write_assistant
from tests.support.litert.patient import Patient, failing


@pytest.fixture(scope="module")
def assistant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_assistant(tmp_path_factory.mktemp("assistant") / "drafter", demo.folder())


def built(out: Path, assistant: Path, cache: str = "float32") -> Path:
    checkpoint = open_drafter(resolve(assistant), read(demo.folder()))
    convert(checkpoint, LitertOptions(context=224, prefill=(64,), cache=cache), out, Silent())
    return out


@pytest.fixture(scope="module")
def drafted(assistant: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("drafted") / "model.litertlm", assistant)


@pytest.fixture(scope="module")
def case(drafted: Path, assistant: Path) -> LitertCase:
    """The reference runs once, and is shared with the cases of damaged copies."""
    made = LitertCase(open_litertlm(drafted), open_checkpoint(demo.folder()))
    made.drafter = DrafterFolder(assistant)
    return made


def judged(model: Path, case: LitertCase, name: str) -> Rung:
    (result,) = climb(case.like(open_litertlm(model)), (name,))
    return result


def drafts_judged(model: Path, case: LitertCase) -> Rung:
    """The part of rung 2a that is about drafts."""
    return rung("2a", "", compare_drafts(case.like(open_litertlm(model))))


@pytest.mark.parametrize("name", ["0", "2a", "3"])
def test_an_untouched_drafter_passes(name: str, case: LitertCase) -> None:
    (result,) = climb(case, (name,))
    assert result.status == "pass", [f"{check.name}: {check.note}" for check in result.checks if not check.passed]
    assert any("draft" in check.name for check in result.checks)


def test_an_int8_cache_is_read_by_its_scales(case: LitertCase, assistant: Path, tmp_path: Path) -> None:
    found = drafts_judged(built(tmp_path / "model.litertlm", assistant, "int8"), case)
    assert found.status == "pass", failing(found)


def test_the_demo_s_own_drafter_is_worth_its_place(tmp_path: Path) -> None:
    """On held-out questions, in the engine: 2.8 of 4 drafts and more are the model's own tokens."""
    model = built(tmp_path / "model.litertlm", demo.drafter())
    case = LitertCase(open_litertlm(model), open_checkpoint(demo.folder()))
    assert case.own is not None
    asked = Asked(case, case.own.drawn(40))
    request = Request(str(model), asked.texts, tuple(limit + 5 for limit in asked.limits), (), (), 1, 1)
    plain, drafted = ask(request), ask(replace(request, drafted=True))
    assert drafted.texts == plain.texts
    assert plain.success is None
    assert drafted.success is not None
    assert drafted.success > 0.7


@pytest.mark.parametrize("lattice", [True, False])
def test_a_head_with_groups_of_tokens_drafts_what_transformers_drafts(
    lattice: bool, case: LitertCase, tmp_path: Path
) -> None:
    """On the lattice the whole head is scored, else the groups are looked up; the scored tokens are compared."""
    other = write_assistant(tmp_path / "drafter", demo.folder(), lattice=lattice, ordered=True)
    drafting = case.like(open_litertlm(built(tmp_path / "model.litertlm", other)))
    drafting.drafter = DrafterFolder(other)
    found = rung("2a", "", [*compare_drafts(drafting), *compare_drafter(drafting)])
    assert found.status == "pass", failing(found)
    grouped = "masked_embedding.token_ordering" in drafting.model(DRAFTER).subgraphs[0].by_name
    assert grouped == (not lattice)


def test_a_token_outside_the_scored_groups_that_wins_is_caught(case: LitertCase, tmp_path: Path) -> None:
    """Its logit is not transformers', which scores other tokens alone, but it must be below these."""
    fault = next(mutant.fault for mutant in drafter_faults.MUTANTS if mutant.name == "tokens_not_scored_win")
    assert isinstance(fault, Build)
    other = write_assistant(tmp_path / "drafter", demo.folder(), lattice=False, ordered=True)
    with fault.fault():
        drafting = case.like(open_litertlm(built(tmp_path / "model.litertlm", other)))
    drafting.drafter = DrafterFolder(other)
    failed = [check.name for check in compare_drafts(drafting) if not check.passed]
    assert failed == ["drafter: tokens of other groups not below"]


def test_one_flipped_code_is_caught_by_the_weights_rung(drafted: Path, case: LitertCase, tmp_path: Path) -> None:
    patient = Patient(drafted)
    model = patient.model(DRAFTER)
    model.buffer(model.subgraphs[0].by_name["layers.2.mlp.down_proj.weight"].buffer)[17] ^= 1
    (tmp_path / "model.litertlm").write_bytes(patient.bytes)
    found = judged(tmp_path / "model.litertlm", case, "0")
    assert "layers.2.mlp.down_proj.weight: 1 weights differ" in failing(found)


class OneEarlier(Drafter[Any, Any]):
    """Takes the last position that the caches hold for the last token's."""

    def __call__(self, activations: Any, input_pos: Any, masks: Any, caches: Any) -> Any:
        return super().__call__(activations, input_pos - 1, masks, caches)


class WiderWindow(Drafter[Any, Any]):
    """Sees a token more than the model."""

    def __init__(self, config: Any, ops: Any, head: Any) -> None:
        super().__init__(replace(config, text=replace(config.text, window=config.text.window + 1)), ops, head)


class TurnedValues(Drafter[Any, Any]):
    """Takes the first element of each value row of its sliding layers for the last."""

    def __call__(self, activations: Any, input_pos: Any, masks: Any, caches: Any) -> Any:
        owner = min(caches)
        keys, values = caches[owner]
        rows = values.seen
        turned = torch.cat([rows.narrow(2, 1, rows.shape[2] - 1), rows.narrow(2, 0, 1)], dim=2)
        caches = {**caches, owner: (keys, Kept(values.state, turned))}
        return super().__call__(activations, input_pos, masks, caches)


class BeforeTheNorm(Decoder[Any, Any]):
    """Gives the drafter the residual stream as it is."""

    def last(self, x: Any) -> Any:
        return x * 1.0

    def head(self, last: Any) -> Any:
        return super().head(super().last(last))


class OneRowLate(Decoder[Any, Any]):
    """Gives each token of several the logits of the token before."""

    def head(self, last: Any) -> Any:
        logits, count = super().head(last), last.shape[1]
        if count == 1:
            return logits
        return torch.cat([logits.narrow(1, 0, 1), logits.narrow(1, 0, count - 1)], dim=1)


@contextmanager
def patched(where: Any, name: str, what: Any) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, name, what)
        yield


@pytest.mark.parametrize(
    ("where", "fault", "part", "words"),
    [
        (drafter_graph, OneEarlier, "drafts", "drafter: logits"),
        (drafter_graph, WiderWindow, "drafts", "drafter: logits"),
        (drafter_graph, TurnedValues, "drafts", "drafter: logits"),
        (decoder_graph, BeforeTheNorm, "2a", "decode: activations"),
        (decoder_graph, OneRowLate, "2a", "verify: logits"),
        (decoder_graph, OneRowLate, "3", "text with the drafter differs from that without"),
    ],
)
def test_a_fault_of_the_graph_is_caught(
    where: Any, fault: type, part: str, words: str, case: LitertCase, assistant: Path, tmp_path: Path
) -> None:
    name = "Drafter" if where is drafter_graph else "Decoder"
    with patched(where, name, fault):
        model = built(tmp_path / "model.litertlm", assistant)
    assert words in failing(drafts_judged(model, case) if part == "drafts" else judged(model, case, part))


def test_another_layer_s_cache_is_caught_by_the_weights_rung(case: LitertCase, assistant: Path, tmp_path: Path) -> None:
    """Of the two layers of a kind the one before the last, whose cache has the same shape."""
    real = drafter_graph.drafter_signature

    def earlier(config: Any, owners: list[int], *rest: Any) -> Any:
        sliding, full = owners
        signature, names = real(config, [sliding - 1, full], *rest)
        return signature, {sliding: names[sliding - 1], full: names[full]}

    with patched(drafter_graph, "drafter_signature", earlier):
        model = built(tmp_path / "model.litertlm", assistant)
    assert "drafter input kv_cache_k_2: unexpected" in failing(judged(model, case, "0"))


def test_a_drafter_needs_its_checkpoint_and_a_checkpoint_a_drafter(
    drafted: Path, demo_file: Path, assistant: Path
) -> None:
    with pytest.raises(InputError, match="holds a drafter; give the folder that it was made from with --drafter"):
        open_case(drafted, demo.folder())
    with pytest.raises(InputError, match="holds no drafter; leave --drafter out"):
        open_case(demo_file, demo.folder(), drafter=assistant)
    with pytest.raises(InputError, match="model_type gemma4, not gemma4_assistant"):
        open_case(drafted, demo.folder(), drafter=demo.folder())
