"""The faults of ``just fullsize-faults`` that lie in a finished file: each changes what it names, and is undone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests import fullsize_faults
from tests.fullsize_faults import FAULTS, Fault, judge
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import FIRST, Build

LAYERS = 10  # of the demo
IN_FILE = [fault for fault in FAULTS if fault.put is not None]


@pytest.mark.parametrize("fault", IN_FILE, ids=lambda fault: fault.name)
def test_a_fault_in_the_file_is_as_small_as_it_says_and_can_be_taken_out(
    fault: Fault, demo_file: Path, tmp_path: Path
) -> None:
    sick = Path(shutil.copy(demo_file, tmp_path / "model.litertlm"))
    fullsize_faults.put(fault.name, str(sick), str(LAYERS))
    before, after = (np.frombuffer(path.read_bytes(), np.uint8) for path in (demo_file, sick))
    changed = np.flatnonzero(before != after)
    # Two scales of four bytes in the graphs of prefill and decode, or a single bit.
    assert 2 <= len(changed) <= 16 if fault.name == "steps" else len(changed) == 1
    fullsize_faults.put(fault.name, str(sick), str(LAYERS))
    assert sick.read_bytes() == demo_file.read_bytes()


def test_the_other_faults_are_in_the_catalogue() -> None:
    faults = {mutant.name: mutant.fault for mutant in MUTANTS if mutant.target == FIRST}
    assert [isinstance(faults[fault.mutant], Build) for fault in FAULTS if fault.put is None] == [True, True]


def test_the_judge_names_the_rung_and_the_check_that_caught_a_flipped_code(demo_file: Path, tmp_path: Path) -> None:
    from convert import demo

    sick = Path(shutil.copy(demo_file, tmp_path / "model.litertlm"))
    fullsize_faults.put("code", str(sick), str(LAYERS))
    found = judge(sick, demo.folder(), ("0",), tmp_path / "report.json")
    assert (found.failed, found.status) == ({"0": "integers equal"}, {"0": "fail"})
    assert not (tmp_path / "report.json").exists()


def test_without_a_sound_control_nothing_else_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {"num_hidden_layers": LAYERS}}))
    bad = fullsize_faults.Found({"0": "integers equal"}, {"0": "fail"}, 1.0)
    monkeypatch.setattr(fullsize_faults, "_child", lambda *_words, **_options: None)
    monkeypatch.setattr(fullsize_faults, "judge", lambda *_: bad)
    text, good = fullsize_faults.run(list(FAULTS), tmp_path, tmp_path)
    assert not good
    assert "sound" in text
    assert "softcap" not in text
