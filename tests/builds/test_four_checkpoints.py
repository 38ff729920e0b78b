"""From a folder in each published format to a published bundle, through the command line and the real judge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime_tests.readers.litert.litertlm import open_litertlm
from tests.support.commands import convert

RUNGS = ["0", "1", "2a", "2b", "3"]


def found(report: dict[str, object], rung: str, check: str) -> float:
    (one,) = (r for r in report["rungs"] if r["name"] == rung)  # type: ignore[attr-defined]
    return float(next(c["found"] for c in one["checks"] if c["name"] == check))


@pytest.mark.slow
def test_each_small_checkpoint_becomes_a_proven_bundle(any_checkpoint: Path, tmp_path: Path) -> None:
    # One of them has the context that is built by default; the others' engine need not look over so many empty rows.
    # The same one, and one of the other format, take images as well.
    context = () if any_checkpoint.name == "mobile_e2b" else ("--context", "512")
    beside = () if any_checkpoint.name in ("mobile_e2b", "q4_0_e4b") else ("--modalities", "text")
    ran = convert("bundle", "android", any_checkpoint, "--out", tmp_path, "--prefill", "16,128", *context, *beside)
    assert (ran.code, ran.err.count("Traceback")) == (0, 0), ran.err
    bundle = tmp_path / "android" / any_checkpoint.name
    report = json.loads((bundle / "parity.json").read_text())
    statuses = [(rung["name"], rung["status"]) for rung in report["rungs"]]
    assert statuses == [*((name, "pass") for name in RUNGS), ("4", "not run")]  # they bring no questions
    assert "verdict: pass" in ran.out
    assert any_checkpoint.name in ran.out.splitlines()[-1]
    assert json.loads((bundle / "manifest.json").read_text())["modalities"] == ["text", *([] if beside else ["image"])]
    if any_checkpoint.name.startswith("q4_0"):
        assert found(report, "1", "logits of the eager decoder") >= 100


@pytest.mark.slow
def test_a_tokenizer_of_real_size_is_packed_as_sentencepiece_and_splits_text_as_before(
    wide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Logits of this vocabulary take megabytes a token; given back to the system each time, they cost half of the time.
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", str(1 << 32))
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", str(1 << 33))
    ran = convert(
        "bundle", "android", wide, "--out", tmp_path, "--prefill", "16", "--context", "512", "--modalities", "text"
    )
    assert ran.code == 0, ran.err
    bundle = tmp_path / "android" / wide.name
    kinds = [section.kind for section in open_litertlm(bundle / "model.litertlm").sections]
    assert "SP_Tokenizer" in kinds
    assert "HF_Tokenizer_Zlib" not in kinds
    report = json.loads((bundle / "parity.json").read_text())
    (rung,) = (r for r in report["rungs"] if r["name"] == "3")
    (check,) = (c for c in rung["checks"] if c["name"] == "the whole vocabulary, tokenized otherwise")
    assert (check["found"], check["note"]) == (0, "1311 compared")


@pytest.mark.slow
def test_the_int8_cache_has_a_parity_of_its_own(mobile_e2b: Path, tmp_path: Path) -> None:
    flags = ("--prefill", "16", "--context", "512", "--cache", "int8")
    ran = convert("bundle", "android", mobile_e2b, "--out", tmp_path, *flags)
    assert ran.code == 0, ran.err
    bundle = tmp_path / "android" / mobile_e2b.name
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["kv_cache"]["dtype"] == "int8"
    assert "against a float32 cache" in (bundle / "parity.json").read_text()
