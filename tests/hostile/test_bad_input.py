"""What people really hand in: each is one clear line, exit code 2, and nothing in dist."""

from __future__ import annotations

import json
import shutil
import struct
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from convert import cli
from tests.support.changed.rewritten import Tensors, rewrite
from tests.support.commands import Outcome, convert, refused

Usage = namedtuple("Usage", "total used free")
QUERY = "model.language_model.layers.0.self_attn.q_proj"


def bundle(model: str | Path, out: Path, *flags: str, **env: str) -> Outcome:
    return refused("android", model, out, *flags, **env)


def configure(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Changes ``quantization_config``."""
    config = json.loads((folder / "config.json").read_text())
    change((config if "quantization_config" in config else config["text_config"])["quantization_config"])
    (folder / "config.json").write_text(json.dumps(config))


class _NotFound(BaseHTTPRequestHandler):
    """A hub that knows no repository."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def empty_hub() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _NotFound) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_unknown_hub_id_suggests_real_ones(out: Path, tmp_path: Path, empty_hub: str) -> None:
    ran = bundle("google/gemma-4-2b-qat-int8", out, HF_ENDPOINT=empty_hub, HF_HOME=str(tmp_path / "hub"))
    assert "no such repository on the hub" in ran.err
    assert "Did you mean google/gemma-4-E2B-it-qat-" in ran.err


def test_no_network_is_said_to_be_that(out: Path, tmp_path: Path) -> None:
    model = "google/gemma-4-E2B-it-qat-mobile-transformers"
    ran = bundle(model, out, HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path / "hub"))
    assert "no network" in ran.err
    assert "Give the folder of a checkpoint" in ran.err


def test_a_folder_that_does_not_exist_is_named(out: Path, tmp_path: Path) -> None:
    assert "no such folder" in bundle(tmp_path / "nowhere", out).err


def test_a_folder_without_a_config_is_refused(out: Path, folder: Path) -> None:
    (folder / "config.json").unlink()
    assert "config.json" in bundle(folder, out).err


def test_a_truncated_file_is_refused(out: Path, folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    assert "model.safetensors" in bundle(folder, out).err


def test_a_header_that_claims_an_exbibyte_is_refused(out: Path, folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(struct.pack("<Q", 1 << 60) + file.read_bytes()[8:])
    assert str(1 << 60) in bundle(folder, out).err.replace(",", "").replace("_", "")


def test_a_nan_scale_is_refused_by_name(out: Path, folder: Path) -> None:
    def spoil(tensors: Tensors) -> None:
        dtype, shape, content = tensors[f"{QUERY}.weight_scale"]
        tensors[f"{QUERY}.weight_scale"] = (dtype, shape, struct.pack("<f", float("nan")) + content[4:])

    rewrite(folder / "model.safetensors", spoil)
    assert f"{QUERY}.weight_scale" in bundle(folder, out).err


def test_a_missing_tensor_is_refused_by_name(out: Path, folder: Path) -> None:
    rewrite(folder / "model.safetensors", lambda tensors: tensors.pop(f"{QUERY}.weight"))
    assert f"{QUERY}.weight" in bundle(folder, out).err


def test_an_extra_tensor_is_refused_by_name(out: Path, folder: Path) -> None:
    name = "model.language_model.layers.0.surprise.weight"
    rewrite(folder / "model.safetensors", lambda tensors: tensors.update({name: ("F32", [1], bytes(4))}))
    assert name in bundle(folder, out).err


def test_an_unknown_quant_method_is_refused_by_name(out: Path, folder: Path) -> None:
    configure(folder, lambda settings: settings.update(quant_method="gptq"))
    assert "gptq" in bundle(folder, out).err


def test_three_bits_are_refused(out: Path, folder: Path) -> None:
    configure(folder, lambda settings: settings.update(num_bits=3))
    assert "num_bits is 3" in bundle(folder, out).err


def test_a_checkpoint_that_is_not_qat_is_told_what_to_use(out: Path, q4_0_e2b: Path, tmp_path: Path) -> None:
    plain = Path(shutil.copytree(q4_0_e2b, tmp_path / "plain"))
    noise = np.random.default_rng(0)

    def spoil(tensors: Tensors) -> None:
        for name, (dtype, shape, content) in tensors.items():
            if ".layers." in name and len(shape) == 2:
                values = noise.standard_normal(len(content) // 2, np.float32)
                tensors[name] = (dtype, shape, (values.view(np.uint32) >> 16).astype(np.uint16).tobytes())

    for file in plain.glob("*.safetensors"):
        rewrite(file, spoil)
    ran = bundle(plain, out)
    assert "lattice" in ran.err
    assert "qat" in ran.err.rpartition(". ")[2].lower()


def test_a_context_above_the_models_is_refused(out: Path) -> None:
    ran = bundle("demo", out, "--context", "2049")
    assert ran.err == (
        "error: bundle android demo: a context of 2049 tokens was asked for and the model was trained for 2048. "
        "Give --context 2048 or less\n"
    )


def test_a_prefill_that_is_no_list_is_refused(out: Path) -> None:
    assert "Give whole numbers separated by commas" in bundle("demo", out, "--prefill", "many").err


def test_a_folder_with_an_odd_name_is_refused(out: Path, folder: Path) -> None:
    odd = folder.rename(folder.with_name("mine; rm -rf"))
    assert "Give it another name: --name mine-rm-rf" in bundle(odd, out).err


@pytest.mark.parametrize("name", ["../../etc", "/etc", "a/b", "..", "nul"])
def test_a_name_that_leads_out_of_the_folder_is_refused(out: Path, name: str) -> None:
    assert f"--name '{name}' is " in bundle("demo", out, "--name", name).err


def test_a_folder_with_an_odd_name_is_bundled_under_another_one(tmp_path: Path, folder: Path) -> None:
    odd = folder.rename(folder.with_name("my model"))
    ran = convert("plan", "android", odd, "--name", "my-model", "--out", tmp_path, "--json")
    assert json.loads(ran.out)["bundle"] == str(tmp_path / "android" / "my-model")


def test_an_unknown_platform_is_refused(out: Path) -> None:
    ran = convert("bundle", "symbian", "demo", "--out", out)
    assert (ran.code, ran.err.count("\n"), out.exists()) == (2, 1, False)


def test_a_full_disk_is_refused_before_work(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 40, 1 << 40, 5_000_000))
    monkeypatch.setattr("sys.argv", ["gemma-bridge", "bundle", "android", "demo", "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.count("\n") == 1
    assert "GB of disk and 0.01 GB are free" in said
    assert not out.exists()


def test_verifying_against_another_checkpoint_is_refused(tmp_path: Path, folder: Path) -> None:
    from convert import pipeline
    from tests.support import quick_build

    judge = pipeline.judge
    try:
        built = quick_build.build(tmp_path / "dist").bundle
    finally:
        pipeline.judge = judge
    (folder / "generation_config.json").write_text("{}")
    ran = convert("verify", built, "--checkpoint", folder)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "it was made from another generation_config.json" in ran.err
