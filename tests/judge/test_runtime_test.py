"""The judge's pytest entry point, run as users run it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from convert import demo, pipeline
from runtime_tests.errors import InputError
from runtime_tests.readers.bundle import check
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.readers.litert.tflite import open_tflite
from runtime_tests.readers.origin import checkpoint_of
from runtime_tests.results import Rung, at_least, rung
from runtime_tests.test_bundle import explain
from tests.bundle import test_ios as test_ios_bundle
from tests.support import quick_build
from tests.support.commands import REPOSITORY


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", *map(str, arguments)]
    env = os.environ | {"COLUMNS": "300"}
    return subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    judge = pipeline.judge
    try:
        return quick_build.build(tmp_path_factory.mktemp("runtime_test")).bundle
    finally:
        pipeline.judge = judge


def test_without_a_bundle_nothing_is_collected() -> None:
    assert "test_bundle" not in run("runtime_tests", "--collect-only").stdout


def test_rungs_of_bundles_are_tests_and_fail_with_the_place_named(packaged: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(packaged, tmp_path / "changed"))
    (changed / "NOTICE").write_text("mine")
    foreign = tmp_path / "foreign.litertlm"
    shutil.copy(packaged / "model.litertlm", foreign)
    flip_a_weight(foreign, "layers.2.mlp.up_proj.weight")
    bundles = [f"--bundle={path}" for path in (packaged, changed, foreign)]
    ran = run("runtime_tests/test_bundle.py", *bundles, f"--checkpoint={demo.folder()}", "-k", "weights or packaged")
    assert ran.returncode == 1
    told = ran.stdout.splitlines()
    test = "runtime_tests/test_bundle.py::test_"
    assert f"PASSED {test}every_file_is_what_was_packaged[demo]" in told
    assert f"PASSED {test}rung[demo-0-weights]" in told
    lost = "Failed: changed: NOTICE has 4 bytes, the manifest says"
    assert any(line.startswith(f"FAILED {test}every_file_is_what_was_packaged[changed] - {lost}") for line in told)
    assert any(line.startswith(f"ERROR {test}rung[changed-0-weights] - {lost}") for line in told)
    assert f"FAILED {test}rung[foreign.litertlm-0-weights] - Failed: rung 0: are the integers" in ran.stdout
    assert "integers equal: 1 tensors, expected equal 0; layers.2.mlp.up_proj: 1 codes differ" in told


@pytest.fixture(scope="module")
def ios(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as monkeypatch:
        return test_ios_bundle.build(monkeypatch, tmp_path_factory.mktemp("ios")).bundle


def test_an_ios_bundle_and_a_bare_package_are_climbed_too(ios: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copytree(ios, tmp_path / "alone"))
    for name in ("manifest.json", "parity.json"):
        (alone / name).unlink()
    package = alone / "Model.mlpackage"
    table = alone / "embed_tokens.rows"
    content = bytearray(table.read_bytes())
    content[4096 + 10] ^= 1
    table.write_bytes(content)
    bundles = [f"--bundle={path}" for path in (ios, package)]
    chosen = "weights or packaged or engine"
    told = run("runtime_tests/test_bundle.py", *bundles, f"--checkpoint={demo.folder()}", "-k", chosen).stdout
    test = "runtime_tests/test_bundle.py::test_"
    assert f"PASSED {test}every_file_is_what_was_packaged[demo]" in told
    assert f"PASSED {test}rung[demo-0-weights]" in told
    assert "not run: a bare model has no manifest to be held to" in told
    assert "row tables equal: 1 tables, expected equal 0; embed_tokens: 1 codes" in told
    assert f"FAILED {test}rung[Model.mlpackage-0-weights]" in told
    if sys.platform != "darwin":
        assert told.count("not run: Core ML exists on macOS") == 1  # one line for both


def test_a_changed_ios_bundle_is_refused_by_the_file(ios: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(ios, tmp_path / "changed"))
    (changed / "tokenizer.json").write_text("{}")
    told = run("runtime_tests/test_bundle.py", f"--bundle={changed}", "-k", "weights or packaged").stdout
    assert told.count("changed: tokenizer.json has 2 bytes, the manifest says") >= 2


def flip_a_weight(file: Path, name: str) -> None:
    """Changes one code of a tensor of the decoder, in place."""
    section = open_litertlm(file).model("tf_lite_prefill_decode")
    model = open_tflite(section.data, file.name)
    buffer = model.raw.buffers[model.subgraph("decode").by_name[name].buffer]
    with file.open("r+b") as stream:
        stream.seek(section.begin + buffer.offset)
        (byte,) = stream.read(1)
        stream.seek(section.begin + buffer.offset)
        stream.write(bytes([byte ^ 1]))


def explained(result: Rung) -> str:
    with pytest.raises(pytest.fail.Exception) as caught:
        explain(result)
    return str(caught.value)


def test_only_the_failing_checks_are_told() -> None:
    checks = [at_least("good", 5, 4, "dB"), at_least("bad", 3, 4, "dB", "layer 7")]
    assert explained(rung("2a", "same?", checks)) == "rung 2a: same?\nbad: 3 dB, expected at least 4; layer 7"


def test_a_rung_that_could_not_run_is_skipped_with_its_reason() -> None:
    with pytest.raises(pytest.skip.Exception, match="not run: no engine"):
        explain(Rung("3", "same text?", "not run", "no engine", ()))


def test_the_checkpoint_of_the_demo_is_found(packaged: Path) -> None:
    assert checkpoint_of(check(packaged)) == demo.folder()


def test_another_checkpoint_is_refused_by_its_file(packaged: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(demo.folder(), tmp_path / "other"))
    (other / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"the bundle was made from another config\.json"):
        checkpoint_of(check(packaged), other)
    (other / "config.json").unlink()
    with pytest.raises(InputError, match=r"no config\.json, which the bundle was made from"):
        checkpoint_of(check(packaged), other)


@pytest.mark.parametrize("revision", [None, "0" * 40])
def test_a_checkpoint_that_is_not_here_is_asked_for(packaged: Path, tmp_path: Path, revision: str | None) -> None:
    bundle = Path(shutil.copytree(packaged, tmp_path / "other"))
    fields = json.loads((bundle / "manifest.json").read_text("utf-8"))
    fields["source"].update(id="someone/tuned", revision=revision)
    fields["self_sha256"] = "0" * 64
    text = json.dumps(fields)
    own = hashlib.sha256(text.encode()).hexdigest()
    (bundle / "manifest.json").write_text(text.replace(f'"self_sha256": "{"0" * 64}"', f'"self_sha256": "{own}"'))
    with pytest.raises(InputError, match="where the checkpoint someone/tuned lies; give it with --checkpoint"):
        checkpoint_of(check(bundle))
