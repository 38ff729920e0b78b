"""Downloads, against a stand-in for the hub on this machine: whole, resumed, cached, refused, unreachable."""

import contextlib
import http.server
import json
import socket
import threading
import urllib.parse
from pathlib import Path

import huggingface_hub.constants
import pytest
from test_checkpoint_tiny import q4_0

from convert.checkpoint import hub, open_checkpoint, resolve
from convert.errors import CheckpointError, HubError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ID = "someone/tiny-qat"


class StandIn(http.server.BaseHTTPRequestHandler):
    """Answers the four requests that a snapshot download makes."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def log_message(self, *_args):
        pass

    def answer(self, body):
        hub_state = self.server.state
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).strip("/")
        hub_state.requests.append((self.command, path, self.headers.get("Range")))
        if hub_state.status != 200:
            return self.reply(hub_state.status, b"{}", body, **{"X-Error-Code": hub_state.code})
        files = {file.name: file for file in hub_state.folder.iterdir()}
        if path.startswith(f"api/models/{ID}"):
            if "/revision/nowhere" in path:
                return self.reply(404, b"{}", body, **{"X-Error-Code": "RevisionNotFound"})
            if "/tree/" in path:
                entries = [
                    {"type": "file", "path": name, "size": file.stat().st_size, "oid": f"{i:040x}"}
                    for i, (name, file) in enumerate(sorted(files.items()))
                ]
                return self.reply(200, json.dumps(entries).encode(), body)
            return self.reply(200, json.dumps({"id": ID, "sha": COMMIT, "siblings": []}).encode(), body)
        name = path.removeprefix(f"{ID}/resolve/{COMMIT}/")
        if name in files:
            return self.file(files[name], body)
        return self.reply(401, b"{}", body, **{"X-Error-Code": "RepoNotFound"})

    def file(self, file, body):
        content, start = file.read_bytes(), 0
        status = 200
        if self.headers.get("Range"):
            start = int(self.headers["Range"].removeprefix("bytes=").split("-")[0])
            status = 206
        headers = {"ETag": f'"{file.name}-etag"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut = body and self.server.state.cuts.pop(file.name, None)
        if not cut:
            return self.reply(status, content[start:], body, **headers)
        self.reply(status, content[start:], False, **headers)
        self.wfile.write(content[start : start + cut])
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)  # the wire is cut in the middle of the file
        self.close_connection = True
        return None

    def reply(self, status, content, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)


class Always(dict):
    """Cuts that are never used up."""

    def pop(self, name, default=None):
        return self.get(name, default)


class State:
    def __init__(self, folder):
        self.folder, self.requests, self.cuts, self.status, self.code = folder, [], {}, 200, ""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A running stand-in that holds a tiny checkpoint, and an empty cache; yields its state."""
    folder = q4_0(tmp_path / "published")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "README.md").write_text("not wanted")
    (folder / "weights.gguf").write_text("not wanted")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    server.daemon_threads = True
    server.state = State(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    point_at(monkeypatch, f"http://127.0.0.1:{server.server_address[1]}", tmp_path / "cache")
    yield server.state
    server.shutdown()
    server.server_close()
    thread.join()


def point_at(monkeypatch, endpoint, cache):
    for name, value in {"ENDPOINT": endpoint, "HF_HUB_CACHE": str(cache), "HF_HUB_DISABLE_XET": True}.items():
        monkeypatch.setattr(huggingface_hub.constants, name, value)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    for module in ("hf_api", "file_download", "utils._http"):
        with contextlib.suppress(AttributeError, ImportError):
            monkeypatch.setattr(f"huggingface_hub.{module}.ENDPOINT", endpoint)
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", endpoint)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def nobody(tmp_path, monkeypatch):
    """A hub whose port nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    point_at(monkeypatch, f"http://127.0.0.1:{port}", tmp_path / "cache")


class Counting:
    def __init__(self):
        self.stages, self.bytes = [], 0

    @contextlib.contextmanager
    def stage(self, name, total_bytes=None):
        self.stages.append((name, total_bytes))
        yield self

    def advance(self, n):
        self.bytes += n


def refusal(model):
    with pytest.raises(HubError) as caught:
        resolve(model)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_id_is_downloaded_opened_and_named_with_its_commit(stand_in):
    progress = Counting()
    checkpoint = open_checkpoint(ID, progress=progress)
    assert checkpoint.format == "q4_0"
    assert (checkpoint.source.id, checkpoint.source.revision) == (ID, COMMIT)
    assert {file.name for file in checkpoint.folder.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}
    assert resolve(ID).name == "tiny-qat"
    assert progress.stages == [("download", None)]
    assert progress.bytes == sum((stand_in.folder / file.name).stat().st_size for file in checkpoint.folder.iterdir())


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


def test_without_a_network_the_message_says_so_and_names_the_ways_out(nobody):
    message = refusal(ID)
    assert f"download {ID}: no network, or the hub does not answer" in message
    assert "not complete in the cache" in message
    assert "Give the folder of a checkpoint" in message


def test_offline_mode_is_the_same_refusal(nobody, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert "no network, or the hub does not answer" in refusal(ID)


def test_an_unknown_id_is_refused_with_the_nearest_real_ones(stand_in):
    message = refusal("google/gemma-4-e2b-qat-mobile")
    assert "no such repository on the hub. Did you mean google/gemma-4-E2B-it-qat-mobile-transformers" in message


def test_an_unknown_revision_is_refused(stand_in):
    assert "the repository has no revision 'nowhere'" in refusal(f"{ID}@nowhere")


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "GatedRepo", "access to this repository has to be granted. Accept the terms on the page of"),
        (401, "RepoNotFound", "no such repository on the hub"),
        (401, "", "the hub denies access (HTTP 401)"),
        (403, "", "the hub denies access (HTTP 403)"),
        (410, "", "the hub answered HTTP 410"),
    ],
)
def test_a_hub_that_refuses_is_quoted(stand_in, status, code, expected):
    stand_in.status, stand_in.code = status, code
    assert expected in refusal(ID)


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


def test_a_wrong_id_without_a_network_is_answered_with_real_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub cannot be asked, but the list of known ids can."""
    from huggingface_hub import errors

    def offline(*_: object, **__: object) -> str:
        raise errors.LocalEntryNotFoundError("offline")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    message = refusal("google/gemma-4-E2B-qat-mobile")
    assert "Google publishes no such id" in message
    assert "google/gemma-4-E2B-it-qat-mobile-transformers" in message
