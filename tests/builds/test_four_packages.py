"""From a folder in each published format to a published iOS bundle, through the command line and the real judge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convert.bundle.manifest import read
from tests.support.commands import convert


@pytest.mark.slow
def test_each_small_checkpoint_becomes_a_proven_package(any_checkpoint: Path, tmp_path: Path) -> None:
    # One of each format takes images.
    sees = any_checkpoint.name in ("mobile_e4b", "q4_0_e2b")
    beside = ("--image-tokens", "70") if sees else ("--modalities", "text")
    flags = ("--prefill", "16,128", "--context", "192", *beside)
    ran = convert("bundle", "ios", any_checkpoint, "--out", tmp_path, *flags)
    assert (ran.code, ran.err.count("Traceback")) == (0, 0), ran.err
    bundle = tmp_path / "ios" / any_checkpoint.name
    report = json.loads((bundle / "parity.json").read_text())
    statuses = [(rung["name"], rung["status"]) for rung in report["rungs"]]
    assert statuses == [*((name, "pass") for name in ("0", "1", "2a", "2b")), ("3", "not run"), ("4", "not run")]
    found = {check["name"]: check for rung in report["rungs"] for check in rung["checks"]}
    if any_checkpoint.name.startswith("q4_0"):
        assert found["logits, weights before their rounding to bfloat16"]["found"] >= 90
    else:
        assert found["decode: int8 outputs equal"]["found"] >= 0.999
    assert "64 decode steps past the wrap" in found["tokens beyond the sliding window"]["note"]
    assert read(bundle).modalities == (("text", "image") if sees else ("text",))
    golden = json.loads((bundle / "golden.json").read_text())
    assert golden["artifact_sha256"] == read(bundle).parity.artifact_sha256
    assert golden["goldens"]
