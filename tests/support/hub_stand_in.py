"""A stand-in for the hub on this machine: it holds one tiny checkpoint and fails when it is told to."""

import contextlib
import hashlib
import http.server
import json
import socket
import threading
import urllib.parse

import huggingface_hub.constants
import pytest

from convert.checkpoint import resolve
from convert.errors import ConvertError
from tests.support.tiny_checkpoint import q4_0

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ID = "someone/tiny-qat"


def tag(file):
    """A large file's is its SHA-256, as it is on the hub."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.suffix == ".safetensors" else f"{file.name}-etag"


def entry(file, number):
    """How the hub lists a file."""
    listed = {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": f"{number:040x}"}
    if file.suffix == ".safetensors":
        listed["lfs"] = {"oid": tag(file), "size": file.stat().st_size, "pointerSize": 134}
    return listed


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
        if hub_state.busy and self.command == "GET" and "/api/" in self.path:
            hub_state.busy -= 1
            return self.reply(503, b"{}", body, **{"Retry-After": "2"})
        if hub_state.status != 200:
            return self.reply(
                hub_state.status, b"{}", body, **{"X-Error-Code": hub_state.code, "X-Error-Message": hub_state.message}
            )
        files = {file.name: file for file in hub_state.folder.iterdir()}
        if path.startswith(f"api/models/{ID}"):
            if "/revision/nowhere" in path:
                return self.reply(404, b"{}", body, **{"X-Error-Code": "RevisionNotFound"})
            if "/tree/" in path:
                entries = [entry(file, i) for i, (_, file) in enumerate(sorted(files.items()))]
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
        headers = {"ETag": f'"{tag(file)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        content = self.server.state.instead.get(file.name, content)
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
        self.message, self.busy, self.instead = "", 0, {}


@contextlib.contextmanager
def standing_in(tmp_path, monkeypatch):
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
    try:
        yield server.state
    finally:
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


def no_hub(tmp_path, monkeypatch):
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
    with pytest.raises(ConvertError) as caught:
        resolve(model)
    assert "\n" not in str(caught.value)
    return str(caught.value)
