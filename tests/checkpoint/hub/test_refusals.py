"""What the hub refuses, and what is refused of it: one line, with what to do, before the weights where possible."""

import errno
import json
import os
import shutil

import httpx2
import huggingface_hub.constants
import pytest

from convert.checkpoint import hub_errors, hub_files, open_checkpoint, resolve
from convert.checkpoint.known import known
from convert.errors import HubError
from tests.support.hub_stand_in import COMMIT, ID, no_hub, refusal, standing_in

PAGE = f"/{ID}, then log in with `hf auth login`, or set HF_TOKEN"


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(hub_errors.time, "sleep", waits.append)
    with standing_in(tmp_path, monkeypatch) as state:
        state.waits = waits
        yield state


@pytest.fixture
def nobody(tmp_path, monkeypatch):
    no_hub(tmp_path, monkeypatch)


def weights_asked_for(state):
    return [path for verb, path, _ in state.requests if verb == "GET" and path.endswith(".safetensors")]


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (
            401,
            "GatedRepo",
            "",
            "its licence has to be accepted first, and nobody is logged in. Accept the terms at http",
        ),
        (403, "GatedRepo", "", "its licence has to be accepted first. Accept the terms at http"),
        (403, "", "", PAGE),
        (401, "RepoNotFound", "", "no such repository on the hub, or a private one. Did you mean google/gemma-4-E2B"),
        (401, "", "Invalid credentials in Authorization header", "does not accept the access token (HTTP 401). Log in"),
        (410, "", "", "the hub answered HTTP 410. Try again later"),
    ],
)
def test_a_hub_that_refuses_is_quoted_with_what_to_do(stand_in, status, code, message, expected):
    stand_in.status, stand_in.code, stand_in.message = status, code, message
    assert expected in refusal(ID)
    assert weights_asked_for(stand_in) == []


def test_an_unknown_id_is_refused_with_the_nearest_real_ones(stand_in):
    message = refusal("google/gemma-4-e2b-qat-mobile")
    assert "no such repository on the hub, or a private one. Did you mean google/gemma-4-E2B-it-qat-mobile" in message


def test_an_unknown_revision_is_named_with_the_page_that_lists_them(stand_in):
    message = refusal(f"{ID}@nowhere")
    assert "the repository has no revision 'nowhere'. Leave the revision out, or take one of http" in message
    assert f"/{ID}/commits" in message


def test_an_unknown_revision_of_a_known_repository_is_answered_with_its_pin():
    model, pin = next((model, pin) for model, pin in known().usable.items() if pin)
    request = httpx2.Request("GET", "https://huggingface.co/api/models/x")
    answer = httpx2.Response(404, headers={"X-Error-Code": "RevisionNotFound"}, request=request)
    place = hub_errors.Place(model, "main2", "download it", "https://huggingface.co")
    expected = f"no revision 'main2'.*{model}@{pin} is known to be read"
    with pytest.raises(HubError, match=expected), hub_errors.refusals(place):
        raise huggingface_hub.errors.RevisionNotFoundError("404", response=answer)


@pytest.mark.parametrize("busy", [1, 3])
def test_a_hub_that_is_busy_is_asked_again_as_late_as_it_says(stand_in, busy):
    stand_in.busy = busy
    assert open_checkpoint(ID).format == "q4_0"
    assert stand_in.waits == [2.0] * busy


@pytest.mark.parametrize(
    ("status", "expected"), [(503, "the hub answered HTTP 503. Try again later"), (429, "no more requests for now")]
)
def test_a_hub_that_stays_busy_is_given_up(stand_in, status, expected):
    stand_in.status = status
    assert expected in refusal(ID)
    assert len(stand_in.waits) == 3


def test_the_weights_are_of_the_commit_that_was_listed_though_the_branch_moves_on(stand_in):
    """The stand-in knows one commit; a request for the branch a second time would give other files."""
    before = (stand_in.folder / "model.safetensors").read_bytes()
    assert (resolve(f"{ID}@main").folder / "model.safetensors").read_bytes() == before
    fetched = [path for _, path, _ in stand_in.requests if "/resolve/" in path]
    assert fetched
    assert all(f"/resolve/{COMMIT}/" in path for path in fetched)
    assert [path for _, path, _ in stand_in.requests].count(f"api/models/{ID}/revision/main") == 1


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("config.json", {"model_type": "llama"}, "model_type"),
        ("config.json", {"quantization_config": {"quant_method": "compressed-tensors"}}, "qat-mobile-transformers"),
    ],
)
def test_a_checkpoint_that_is_not_read_is_refused_before_its_weights_are_fetched(stand_in, file, content, expected):
    path = stand_in.folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | content))
    assert expected in refusal(ID)
    assert weights_asked_for(stand_in) == []


@pytest.mark.parametrize(
    ("rename", "expected"),
    [
        ({"model.safetensors": None}, "has no model.safetensors; it holds GGUF, for llama.cpp"),
        ({"model.safetensors": None, "weights.gguf": "pytorch_model.bin"}, "it holds PyTorch pickles"),
        ({"config.json": None, "model.safetensors": "adapter_model.safetensors", "weights.gguf": None}, "an adapter"),
        ({"config.json": "params.json", "weights.gguf": None}, "the repository has no config.json. Take"),
    ],
)
def test_a_repository_of_another_kind_is_refused_by_its_list_of_files(stand_in, rename, expected):
    for name, other in rename.items():
        path = stand_in.folder / name
        path.rename(stand_in.folder / other) if other else path.unlink()
    message = refusal(ID)
    assert expected in message
    assert "Take the repository with the safetensors" in message
    assert weights_asked_for(stand_in) == []


def test_an_index_that_names_a_file_which_is_not_there_is_refused_before_any_shard(stand_in):
    shard = "model-00001-of-00002.safetensors"
    (stand_in.folder / "model.safetensors").rename(stand_in.folder / shard)
    index = {"weight_map": {"a": shard, "b": "model-00002-of-00002.safetensors"}}
    (stand_in.folder / "model.safetensors.index.json").write_text(json.dumps(index))
    message = refusal(ID)
    assert "model-00002-of-00002.safetensors', which the repository does not have" in message.replace('"', "'")
    assert weights_asked_for(stand_in) == []


def test_weights_that_arrive_damaged_are_noticed_by_their_sha_256_and_removed(stand_in):
    sound = (stand_in.folder / "model.safetensors").read_bytes()
    stand_in.instead["model.safetensors"] = sound[:-1] + bytes([sound[-1] ^ 1])
    assert "model.safetensors arrived with SHA-256" in refusal(ID)
    stand_in.instead.clear()
    assert (resolve(ID).folder / "model.safetensors").read_bytes() == sound


def test_a_disk_without_room_for_the_weights_is_refused_before_they_are_fetched(stand_in, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(hub_files.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    message = refusal(ID)
    assert "its weights take 0.00 GB and 0.00 GB are free at" in message
    assert "set HF_HOME to a folder on another disk" in message
    assert weights_asked_for(stand_in) == []


def test_a_disk_that_fills_up_meanwhile_is_named(stand_in, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    message = refusal(ID)
    assert "is full" in message
    assert "set HF_HOME to a folder on another disk" in message


def test_a_cache_that_cannot_be_written_is_named(stand_in, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "file" / "cache"))
    assert "could not be stored" in refusal(ID)


def test_without_a_network_the_message_says_so_and_names_the_ways_out(nobody):
    message = refusal(ID)
    assert f"download {ID}: no network, or the hub does not answer at 127.0.0.1:" in message
    assert "not complete in the cache. Give the folder of a checkpoint" in message


def test_without_a_network_nobody_waits_for_a_commit(nobody, monkeypatch):
    """The client would ask for its list of files six times, and sleep in between."""

    def asleep(seconds):
        raise AssertionError(f"it sleeps for {seconds} s")

    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", asleep)
    assert "no network, or the hub does not answer" in refusal(f"{ID}@{COMMIT}")


def test_a_name_that_is_not_known_here_is_told_apart(nobody, monkeypatch):
    def unknown(*_args, **_kwargs):
        raise httpx2.ConnectError("[Errno -2] Name or service not known")

    monkeypatch.setattr("huggingface_hub.hf_api.HfApi.repo_info", unknown)
    assert "the name 127.0.0.1:" in refusal(ID)


def test_a_proxy_that_refuses_is_told_by_the_variable_that_names_it(nobody, monkeypatch):
    def refused(*_args, **_kwargs):
        raise httpx2.ProxyError("403 Forbidden")

    monkeypatch.setattr("huggingface_hub.hf_api.HfApi.repo_info", refused)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
    assert "the proxy that HTTPS_PROXY names does not let the request through. Mend or unset it" in refusal(ID)


def test_offline_mode_is_named_when_it_is_the_reason(nobody, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    message = refusal(ID)
    assert "HF_HUB_OFFLINE is set, so the hub is not asked, and the checkpoint is not complete in the cache" in message
    assert "Unset HF_HUB_OFFLINE, or give a folder" in message


def test_a_commit_that_is_in_the_cache_is_named_when_another_cannot_be_had(stand_in, monkeypatch):
    resolve(ID)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    message = refusal(f"{ID}@{'f' * 40}")
    assert f"HF_HUB_OFFLINE is set, so the hub is not asked, and the cache holds {ID}@{COMMIT}" in message
    assert f"Ask for {ID}@{COMMIT}, which needs no hub" in message
    assert resolve(f"{ID}@{COMMIT}").revision == COMMIT


def test_a_wrong_id_without_a_network_is_answered_with_real_ones(nobody):
    """The hub cannot be asked, but the list of known ids can."""
    message = refusal("google/gemma-4-E2B-qat-mobile")
    assert "Google publishes no such id" in message
    assert "google/gemma-4-E2B-it-qat-mobile-transformers" in message
