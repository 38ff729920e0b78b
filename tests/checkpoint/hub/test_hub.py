"""Downloads, against a stand-in for the hub on this machine: whole, resumed, cached, unreachable."""

import socket
from pathlib import Path

import huggingface_hub.constants
import pytest

from convert.checkpoint import hub, open_checkpoint, resolve
from convert.errors import CheckpointError
from tests.support.hub_stand_in import COMMIT, ID, Always, Counting, no_hub, point_at, refusal, standing_in


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    with standing_in(tmp_path, monkeypatch) as state:
        yield state


@pytest.fixture
def nobody(tmp_path, monkeypatch):
    no_hub(tmp_path, monkeypatch)


def test_an_id_is_downloaded_opened_and_named_with_its_commit(stand_in):
    progress = Counting()
    checkpoint = open_checkpoint(ID, progress=progress)
    assert checkpoint.format == "q4_0"
    assert (checkpoint.source.id, checkpoint.source.revision) == (ID, COMMIT)
    assert {file.name for file in checkpoint.folder.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}
    assert resolve(ID).name == "tiny-qat"
    size = (stand_in.folder / "model.safetensors").stat().st_size
    assert progress.stages == [("download", size)]
    assert progress.bytes == size


def test_a_revision_is_resolved_to_its_commit(stand_in):
    assert resolve(f"{ID}@main").revision == COMMIT
    assert ("GET", f"api/models/{ID}/revision/main", None) in stand_in.requests


def test_a_cut_connection_is_resumed_where_it_stopped(stand_in, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    stand_in.cuts["model.safetensors"] = 5000
    located = resolve(ID)
    ranges = [given for verb, path, given in stand_in.requests if verb == "GET" and path.endswith("model.safetensors")]
    assert ranges[0] is None
    assert ranges[1] == "bytes=5000-"
    weights = (located.folder / "model.safetensors").read_bytes()
    assert weights == (stand_in.folder / "model.safetensors").read_bytes()


def test_a_connection_that_breaks_again_and_again_is_refused_and_what_is_complete_is_kept(stand_in, monkeypatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    stand_in.cuts = Always({"model.safetensors": 5000})
    message = refusal(ID)
    assert "the connection to the hub broke" in message
    assert "files that are complete are not fetched again" in message
    stand_in.cuts, stand_in.requests = {}, []
    assert open_checkpoint(ID).format == "q4_0"
    fetched = {path.split("/")[-1] for verb, path, _ in stand_in.requests if verb == "GET" and "/resolve/" in path}
    assert "model.safetensors" in fetched
    assert "config.json" not in fetched


def test_a_downloaded_checkpoint_opens_while_the_hub_is_down(stand_in, monkeypatch, tmp_path):
    first = resolve(ID)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    point_at(monkeypatch, f"http://127.0.0.1:{port}", tmp_path / "cache")
    assert resolve(ID) == first
    assert resolve(f"{ID}@{COMMIT}") == first


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("google/gemma-4-2b-qat-int8", "google/gemma-4-E2B-it-qat-"),
        ("google/gemma-4-E4B-qat-q4_0", "google/gemma-4-E4B-it-qat-q4_0-unquantized"),
        ("google/gemma-4-E4B-it-qat-mobile-ct", "google/gemma-4-E4B-it-qat-mobile-transformers"),
        ("google/gemma-4-E2B-it", "google/gemma-4-E2B-it-qat-mobile-transformers"),
        ("nobody/nothing", "google/gemma-4-E2B-it-qat-mobile-transformers"),
    ],
)
def test_only_ids_in_a_format_that_is_read_are_suggested(asked, first):
    suggested = hub.suggest(asked)
    assert suggested[0].startswith(first)
    assert set(suggested) <= set(hub.known().usable)


def test_mobile_ids_are_pinned_to_a_commit():
    pins = hub.known().usable
    assert pins["google/gemma-4-E2B-it-qat-mobile-transformers"] == "dd693ff40353f057ca5f07e945ad867f4afbf2ec"
    assert pins["google/gemma-4-E4B-it-qat-mobile-transformers"] == "6637cffd8d4cd55fb1461d280f7299c4998daf63"
    assert set(hub.known().unread.values()) <= set(pins)


@pytest.mark.parametrize("model", ["a/b/c", "../a", "a/b@", "a/b@../../x", "a b/c", "./a/b", ""])
def test_what_is_neither_a_folder_nor_an_id_never_reaches_the_hub(nobody, model):
    with pytest.raises(CheckpointError, match="Give a folder with a checkpoint, a hub id"):
        resolve(model)


def test_a_name_that_is_a_folder_is_that_folder(tmp_path, monkeypatch):
    (tmp_path / ID).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    located = resolve(ID)
    assert (located.folder, located.id, located.revision, located.name) == (Path(ID), "tiny-qat", None, "tiny-qat")


def test_demo_is_the_embedded_checkpoint_even_beside_a_folder_of_that_name(tmp_path, monkeypatch):
    import convert.demo

    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(convert.demo, "folder", lambda: tmp_path, raising=False)
    assert resolve("demo").folder == tmp_path
    assert resolve("./demo").folder == Path("demo")
