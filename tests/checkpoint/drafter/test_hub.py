"""A drafter by its hub id, against a stand-in for the hub: pinned, resumed, and refused before its weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from convert import demo, tables
from convert.checkpoint.drafter import published
from convert.checkpoint.known import known
from convert.errors import ConvertError
from convert.plan import DrafterPlan, Plan, Request, prepare
from convert.progress import Silent
from tests.support.hub_stand_in import COMMIT, ID, no_hub, standing_in

Q4_0 = "google/gemma-4-E2B-it-qat-q4_0-unquantized"
MOBILE = "google/gemma-4-E2B-it-qat-mobile-transformers"


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A hub that holds the demo's drafter, with a tokenizer beside it."""
    with standing_in(tmp_path, monkeypatch) as state:
        state.folder = tmp_path / "drafter"
        shutil.copytree(demo.drafter(), state.folder)
        (state.folder / "tokenizer.json").write_text("{}", "utf-8")
        yield state


def planned(out: Path, drafter: str, model: str = "demo") -> Plan:
    made, _ = prepare(Request("android", model, out, context=96, modalities=(), drafter=drafter), Silent())
    return made


def refused(out: Path, drafter: str, model: str = "demo") -> str:
    with pytest.raises(ConvertError) as caught:
        planned(out, drafter, model)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def spoilt(state: Any, change: Callable[[dict[str, Any]], None]) -> None:
    path = state.folder / "config.json"
    config = json.loads(path.read_text("utf-8"))
    change(config)
    path.write_text(json.dumps(config), "utf-8")


def asked_for(state: Any) -> set[str]:
    return {path.split("/")[-1] for verb, path, _ in state.requests if verb == "GET" and "/resolve/" in path}


def test_an_id_is_downloaded_without_its_tokenizer_and_named_with_its_commit(
    stand_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")  # without a terminal 80 are taken, and cells wrap
    made = planned(tmp_path / "out", ID)
    assert isinstance(made.drafter, DrafterPlan)
    assert (made.drafter.source, made.drafter.revision) == (ID, COMMIT)
    assert asked_for(stand_in) == {"config.json", "model.safetensors"}
    assert f"{ID}@{COMMIT}: 23 matrices on their grid, bit for bit" in tables.plan(made)


def test_a_revision_is_resolved_once_and_what_is_there_needs_no_hub(
    stand_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for revision in ("main", COMMIT):
        made = planned(tmp_path / "out", f"{ID}@{revision}")
        assert made.drafter is not None
        assert made.drafter.revision == COMMIT
    fetched = [path for _, path, _ in stand_in.requests if "/resolve/" in path]
    assert all(f"/resolve/{COMMIT}/" in path for path in fetched)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert planned(tmp_path / "out", f"{ID}@{COMMIT}").drafter == made.drafter


def test_a_cut_connection_is_resumed_where_it_stopped(
    stand_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    stand_in.cuts["model.safetensors"] = 5000
    made = planned(tmp_path / "out", ID)
    ranges = [given for verb, path, given in stand_in.requests if verb == "GET" and path.endswith("model.safetensors")]
    assert ranges == [None, "bytes=5000-"]
    assert made.drafter is not None
    found = (made.drafter.folder / "model.safetensors").read_bytes()
    assert found == (demo.drafter() / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda config: config.update(model_type="gemma4_text"),
            "'gemma4_assistant', as in the repositories of drafters",
        ),
        (lambda config: config.update(backbone_hidden_size=1536), "its backbone_hidden_size is 1536, the model's 160"),
    ],
)
def test_another_model_or_a_drafter_of_another_is_refused_before_its_weights(
    change: Callable[[dict[str, Any]], None], expected: str, stand_in: Any, tmp_path: Path
) -> None:
    spoilt(stand_in, change)
    assert expected in refused(tmp_path / "out", ID)
    assert asked_for(stand_in) == {"config.json"}
    assert not (tmp_path / "out").exists()


def test_a_wrong_id_of_a_drafter_is_answered_with_drafters(stand_in: Any, tmp_path: Path) -> None:
    said = refused(tmp_path / "out", "google/gemma-4-E2B-qat-q4_0-assistant")
    suggested = said.partition("Did you mean ")[2].partition("?")[0].split(" or ")
    assert suggested
    assert set(suggested) <= set(known().drafters.values())


def test_without_a_network_a_drafter_s_id_is_not_said_to_be_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_hub(tmp_path, monkeypatch)
    assert "no such id" in refused(tmp_path / "out", "google/gemma-4-E2B-qat-q4_0-assistant")
    assert "no such id" not in refused(tmp_path / "out", f"{Q4_0}-assistant")


def test_auto_is_what_is_published_for_the_model(tmp_path: Path) -> None:
    made = planned(tmp_path / "out", "auto")
    assert made.drafter is not None
    assert (made.drafter.source, made.drafter.folder) == ("demo", demo.drafter())
    for model in (Q4_0, f"{Q4_0}@main"):
        assert published(model, "plan it") == f"{Q4_0}-assistant"
    assert set(known().drafters) <= set(known().usable) | set(known().unread)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            MOBILE,
            f"no drafter is known to be published for {MOBILE}. Give one by its id or folder, such as {Q4_0}-assist",
        ),
        (str(demo.folder()), "--drafter auto goes by the model's hub id, and none was given"),
    ],
)
def test_auto_is_refused_where_none_is_known_before_anything_is_fetched(
    model: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_hub(tmp_path, monkeypatch)
    assert expected in refused(tmp_path / "out", "auto", model)


def test_a_plan_without_a_drafter_names_the_one_that_is_published(
    stand_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is fetched that nobody asked for."""
    made, _ = prepare(Request("android", "demo", tmp_path / "out", context=96, modalities=()), Silent())
    assert made.published_drafter is None
    assert "--drafter" not in tables.plan(made)
    monkeypatch.setattr("convert.plan.known", lambda: known().__class__({}, {}, {"demo": ID}))
    made, _ = prepare(Request("android", "demo", tmp_path / "out", context=96, modalities=()), Silent())
    assert f"none; published for this model: {ID} (--drafter auto)" in tables.plan(made)
    assert stand_in.requests == []
