"""Two layers of each kind in E2B's real widths, with the real head and tables, become a package."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from runtime_tests.coreml.program.matrices import required
from runtime_tests.kinds import open_case
from runtime_tests.ladder import climb
from tests.support.checkpoints import fullsize
from tests.support.checkpoints.shapes import E2B
from tests.support.commands import convert

# Sliding and full layers in turn; of each kind one that owns keys and values, and one wide one that reads them.
SLICE = replace(E2B, layers=4, sliding_run=1, kv_shared=2, towers=None)


@pytest.mark.slow
def test_a_slice_of_real_widths_with_the_real_head_becomes_an_exact_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fullsize, "FULL_SIZE", {"e2b": SLICE})
    checkpoint, out = tmp_path / "slice", tmp_path / "out" / "Model.mlpackage"
    fullsize.write(checkpoint, "e2b")
    ran = convert("convert", checkpoint, out, "--context", "1024", "--prefill", "128")
    assert ran.code == 0, ran.err
    case = open_case(out, checkpoint)
    head = required(case.decode, "lm_head")  # type: ignore[attr-defined]
    assert (head.bits, head.shape) == (2, (262_144, 1536))
    types = {name: type.dtype for name, type in case.decode.inputs.items()}  # type: ignore[attr-defined]
    assert {name for name, dtype in types.items() if dtype != "float16"} == {
        "position",
        "ring_rows",
    }  # no id goes in, of any type
    (rung,) = climb(case, ("0",))
    assert rung.status == "pass", [check for check in rung.checks if not check.passed]
    kinds = json.loads((checkpoint / "config.json").read_text())
    kinds = kinds.get("text_config", kinds)["layer_types"]
    assert sorted(kinds) == ["full_attention"] * 2 + ["sliding_attention"] * 2
