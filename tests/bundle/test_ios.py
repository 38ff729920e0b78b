"""The iOS bundle: what is published, what is refused before work, and what a reader finds in it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from convert import pipeline, plan
from convert.bundle.manifest import read
from convert.bundle.platforms.ios.project import PROJECT
from convert.checkpoint import open_checkpoint
from convert.errors import ArtifactError, CheckpointError, PlanError
from convert.inspection.report import Report
from convert.lattice import dequantize
from convert.look import look
from convert.plan import Request
from convert.progress import Silent
from convert.targets.coreml import TABLES, companions, write_tables
from convert.targets.coreml.inspect import inspect_table
from tests.support import quick_build
from tests.support.commands import QUICK, convert, digests

# A judge that takes any package: its digest is worked out here, apart from the writer.
JUDGE = """
import hashlib, json, pathlib, sys
model, reports, verdict = sys.argv[1:4]
root = pathlib.Path(model)
files = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
lines = "".join(f"{hashlib.sha256((root / f).read_bytes()).hexdigest()}  {f}\\n" for f in files)
report = {report!r}
report["artifact"]["sha256"] = "0" * 64 if verdict == "stranger" else hashlib.sha256(lines.encode()).hexdigest()
json.dump(report, open(reports + "/parity.json", "w"))
json.dump([], open(reports + "/golden.json", "w"))
open(reports + "/parity.html", "w").write("<!doctype html>")
print("0 weights ", "fail" if verdict == "over" else "pass")
sys.exit(verdict == "over")
"""


def request(out: Path, model: str | Path = "demo", **flags: str) -> Request:
    return Request("ios", str(model), out, context=96, prefill=(16,), modalities=(), flags=flags)


def build(monkeypatch: pytest.MonkeyPatch, out: Path, verdict: str = "pass", **flags: str) -> pipeline.Built:
    def judge(model: Path, checkpoint: Path, reports: Path) -> list[str]:
        code = JUDGE.replace("{report!r}", repr(quick_build.REPORT))
        return [sys.executable, "-c", code, str(model), str(reports), verdict]

    monkeypatch.setattr(pipeline, "judge", judge)
    return pipeline.build(request(out, **flags), Silent())


def test_a_passing_bundle_holds_model_tables_tokenizer_and_papers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = build(monkeypatch, tmp_path).bundle
    assert bundle == tmp_path / "ios" / "demo"
    model = {"Manifest.json", "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"}
    papers = {"LICENSE", "NOTICE", "golden.json", "manifest.json", "parity.html", "parity.json"}
    beside = {*papers, *companions.COMPANIONS, *TABLES}
    found = digests(bundle)
    own = {name for name in found if not name.startswith("app/")}
    assert own == {f"Model.mlpackage/{name}" for name in model} | beside
    manifest = read(bundle)
    assert {name: file.sha256 for name, file in manifest.files.items()} == {
        name: sha for name, sha in found.items() if name != "manifest.json"
    }
    assert (manifest.platform, manifest.model, manifest.kv_cache.dtype) == ("ios", "Model.mlpackage", "float16")
    made = plan.make(request(tmp_path), open_checkpoint("demo"), "demo")
    assert manifest.kv_cache.bytes == made.cache_bytes
    assert {s.name for s in manifest.signatures} == {"prefill_16", "decode"}
    assert "Core ML package" in (bundle / "NOTICE").read_text()
    said = " ".join((bundle / "NOTICE").read_text().split())
    assert "parity.json says what was compared with them" in said
    assert "are those of the checkpoint" not in said  # a profile may round scales: the report says so, this file cannot
    tokenizer = open_checkpoint("demo").folder / "tokenizer.json"
    assert (bundle / "tokenizer.json").read_bytes() == tokenizer.read_bytes()
    report = look(str(bundle))
    assert isinstance(report, Report)
    assert report.file == "Model.mlpackage"


def test_the_sample_is_wired_to_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = build(monkeypatch, tmp_path)
    assert built.packed == "app: with the model"
    app, inside = built.bundle / "app", built.bundle / "app" / PROJECT.assets
    for name in ("project.yml", "Package.swift", "App/SampleApp.swift", "Sources/GemmaCoreML/CoreMLProgram.swift"):
        assert (app / name).is_file(), name
    inner, outer = read(inside), read(built.bundle)
    for name, file in inner.files.items():
        assert outer.files[name] == file
        assert hashlib.sha256((inside / name).read_bytes()).hexdigest() == file.sha256
    assert not any(name.startswith("app/") for name in inner.files)
    assert {name for name in outer.files if name not in inner.files} == {
        f"app/{path.relative_to(app).as_posix()}" for path in app.rglob("*") if path.is_file()
    }


def test_a_large_model_is_not_packed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.bundle.project.LARGEST_PACKED", 1000)
    built = build(monkeypatch, tmp_path)
    assert built.packed == "app: without the model, which the app downloads or imports"
    inside = built.bundle / "app" / PROJECT.assets
    assert {path.name for path in inside.iterdir()} == {"manifest.json", "golden.json"}


def test_a_bundle_without_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = build(monkeypatch, tmp_path, app="no")
    assert built.packed is None
    assert not (built.bundle / "app").exists()


@pytest.mark.parametrize(("verdict", "error"), [("over", pipeline.ParityError), ("stranger", ArtifactError)])
def test_what_does_not_pass_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        build(monkeypatch, tmp_path / "dist", verdict)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_without_its_tokenizer_is_refused_by_name(mobile_e2b: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(mobile_e2b, tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"there is no tokenizer\.json"):
        pipeline.build(request(tmp_path / "dist", folder), Silent())
    assert not (tmp_path / "dist").exists()


def test_the_neural_engine_takes_no_block_scales(q4_0_e2b: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"layers\.0\.\S+ has a scale for every 32 columns.*Use --profile gpu"):
        plan.prepare(request(tmp_path, q4_0_e2b, profile="ane"), Silent())


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"profile": "tpu"}, "there is no --profile 'tpu'. Use --profile gpu or ane"),
        ({"precision": "int8"}, "there is no --precision 'int8'. Use --precision float16 or float32"),
        ({"cache": "int8"}, "--cache was given, which ios does not have. Leave --cache out"),
    ],
)
def test_choices_that_do_not_exist_are_refused(tmp_path: Path, choices: dict[str, str], words: str) -> None:
    with pytest.raises(PlanError, match=words.replace(".", r"\.")):
        plan.prepare(request(tmp_path, **choices), Silent())


def test_android_has_no_precision(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"--precision was given, which android does not have"):
        plan.prepare(Request("android", "demo", tmp_path, flags={"precision": "float16"}), Silent())


def test_a_converted_package_appears_with_its_tables_and_nothing_else(tmp_path: Path) -> None:
    ran = convert("convert", "demo", tmp_path / "x.mlpackage", *QUICK)
    assert ran.code == 0, ran.err
    assert {path.name for path in tmp_path.iterdir()} == {"x.mlpackage", *TABLES}


@pytest.mark.parametrize("name", ["mobile_e2b", "mobile_e4b", "q4_0_e2b"])
def test_rows_of_the_tables_are_the_checkpoints(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Read as the format's description says, by code that shares nothing with the writer."""
    checkpoint = open_checkpoint(request.getfixturevalue(name))
    text, paths = checkpoint.text, write_tables(checkpoint, tmp_path, Silent())
    assert [path.name for path in paths] == list(TABLES)
    for path in paths:
        content, key = path.read_bytes(), path.stem
        assert content[:8] == b"GBROWS1\0"
        about = json.loads(content[16 : 16 + int.from_bytes(content[8:12], "little")])
        assert about["bytes"] == len(content)
        width = text.config.hidden if key == "embed_tokens" else text.config.per_layer_width
        assert about["multiplier"] == width**0.5
        for row in (0, 106, about["rows"] - 1):
            expected = (
                dequantize(text.quants[key].codes(row, row + 1), text.quants[key].scales(row, row + 1))
                if key in text.quants
                else text.floats[f"{key}.weight"].float32(row, row + 1)
            )
            assert np.array_equal(table_row(content, about, row), expected[0])
        assert inspect_table(path).parameters == about["rows"] * about["columns"]


def table_row(content: bytes, about: dict, row: int) -> np.ndarray:
    start = about["rows_offset"] + row * about["row_bytes"]
    raw = content[start : start + about["row_bytes"]]
    if about["bits"] == 16:
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    bits, per = about["bits"], 8 // about["bits"]
    codes = [(raw[c // per] >> (bits * (c % per))) & ((1 << bits) - 1) for c in range(about["columns"])]
    signed = np.array([c - (1 << bits) if c >> (bits - 1) else c for c in codes], np.float32)
    scales = np.frombuffer(content, "<f4", about["groups"], about["scales_offset"] + 4 * row * about["groups"])
    return signed * np.repeat(scales, about["columns"] // about["groups"])


def test_a_damaged_table_is_refused(mobile_e2b: Path, tmp_path: Path) -> None:
    path = write_tables(open_checkpoint(mobile_e2b), tmp_path, Silent())[0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="its header does not fit its length"):
        inspect_table(path)


def test_a_packages_digest_is_that_of_its_listing(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_bytes(b"1")
    (tmp_path / "a").write_bytes(b"2")
    lines = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in (("a", b"2"), ("b/x", b"1")))
    assert companions.digest(tmp_path) == hashlib.sha256(lines.encode()).hexdigest()
