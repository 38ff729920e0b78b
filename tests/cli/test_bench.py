"""``just fullsize --judge``: what is seen of processes, and how it becomes a table; ``just bench kernels``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from convert.checkpoint import open_checkpoint
from convert.errors import PlanError
from tests.bench.engine import kernels
from tests.bench.engine.kernels import weights
from tests.fullsize import judged
from tests.fullsize.__main__ import _command
from tests.fullsize.judged import Ended, fullsize, marked
from tests.fullsize.watch import Sample, Watch

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
MEGA = 1 << 20
# A process that waits for a child, which holds memory of its own, a file's pages, a file, and a file that is deleted.
CHILD = """
import mmap, pathlib, sys, tempfile
folder = pathlib.Path(sys.argv[1])
held = bytearray(b"x") * (64 << 20)
kept = (folder / "kept").write_bytes(bytes(8 << 20))
gone = tempfile.TemporaryFile(dir=folder)
gone.write(bytes(16 << 20)); gone.flush()
file = open(folder / "kept", "rb")
pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
sum(pages[::4096])
print("ready", flush=True)
sys.stdin.read()
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[2], sys.argv[1]])"


@linux
def test_a_watch_sees_memory_and_files_of_children_and_their_children(tmp_path: Path) -> None:
    (tmp_path / "beside").write_bytes(bytes(MEGA))
    watched = tmp_path / "work"
    watched.mkdir()
    command = [sys.executable, "-c", PARENT, str(watched), CHILD]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        watch = Watch([watched])
        watch.look()
        watch.look()
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
    first, seen = watch.samples
    # What has just begun may still be the copy of its parent.
    assert (first.resident, first.commands) == (0, ())
    # Another test's library may have left a helper process, which is a child of this one as well.
    assert sum(str(watched) in line for line in seen.commands) == 2
    assert 72 * MEGA <= seen.own + 8 * MEGA <= seen.resident
    assert seen.resident < 200 * MEGA
    assert seen.disk == 24 * MEGA


def test_lines_of_progress_tell_when_stages_began() -> None:
    assert marked("rung 2a: does each block?", 50.0) == (50.0, "rung 2a")
    assert marked("rung 2a, 3 of 35 layers, about 2 min left", 60.0) is None
    assert marked("digest                          3.5 s", 50.0) == (46.5, "digest")
    assert marked("judge                          57.9 s", 50.0) is None
    assert marked("localization: which block is wrong by itself?", 9.0) == (9.0, "localization")


def sample(at: float, resident: int, disk: int = 0, *commands: str) -> Sample:
    return Sample(at, resident, resident // 2, 0, disk, commands)


def test_every_second_of_a_run_belongs_to_one_stage() -> None:
    judge = "python -m runtime_tests verify model"
    samples = [
        sample(1, 10),
        sample(3, 20, 5, "python -m convert.work x"),
        sample(5, 90, 7, judge),
        sample(7, 40, 9, judge),
        sample(9, 30, 3),
    ]
    # The judge's rung is heard of after the process is seen; the papers' line comes when they are done.
    ended = Ended(0, "", 0.0, 10.0, [(0.0, "plan"), (6.0, "rung 0"), (8.5, "papers")], samples)
    rows = {row.stage: row for row in judged._stages(ended, {"0": "pass"})}
    assert list(rows) == ["plan", "convert", "judge: open", "rung 0", "papers"]
    assert [row.seconds for row in rows.values()] == [3, 2, 1, 2.5, 1.5]
    assert [row.resident for row in rows.values()] == [10, 20, 90, 40, 30]
    assert (rows["rung 0"].disk, rows["rung 0"].verdict, rows["papers"].verdict) == (9, "pass", "")


def test_without_a_report_the_verdicts_are_those_of_the_printed_table(tmp_path: Path) -> None:
    shown = "│ 0    │ are the integers?   │      │   │ pass    │  │\n│      │ codes   │ 0 │ = 0 │ pass │ │\n"
    shown += "│ 2a   │ does each block?    │      │   │ fail    │  │\n│ 4    │ task?   │   │     │ not run │ none │\n"
    assert judged._verdicts(shown, tmp_path / "none") == {"0": "pass", "2a": "fail", "4": "not run"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("e2b", "gguf"), "'gguf'"),
        (("31b", "q4_0"), "'31b'"),
        (("e2b", "q4_0", "--context", "64"), "--context 64: only with --judge"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        _command(list(words))
    told = capsys.readouterr().err
    assert (ended.value.code, told.count("\n"), said in told) == (2, 1, True)


@linux
def test_a_refused_bundle_is_told_with_its_exit_code_and_leaves_nothing(
    tmp_path: Path, mobile_e2b: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = sorted(mobile_e2b.iterdir())
    text, code = fullsize("e2b", "mobile", "android", tmp_path, mobile_e2b, ["--context", "8"])
    assert code == 2
    assert "whole" in text
    assert "exit code 2" in text
    assert "of 10 minutes met" in text
    assert "--context" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert sorted(mobile_e2b.iterdir()) == kept


def test_a_bundle_that_takes_images_may_take_more() -> None:
    row = judged.Row("whole bundle", 12 * 60.0, 7_000_000_000, 0, 0, 0, "pass")
    text, seeing = (
        judged._against_bars(("android", "e2b", "mobile"), row, {"modalities": found}) for found in ({}, {"image": 1})
    )
    assert "12.0 of 10 minutes missed, 7.00 GB of 6.00 GB memory missed" in text
    assert "12.0 of 13 minutes met, 7.00 GB of 7.80 GB memory met" in seeing


@linux
@pytest.mark.parametrize("politely", [True, False], ids=["terminated", "killed"])
def test_an_end_from_outside_ends_the_bundle_and_what_is_told_of_it_removes_the_files(
    politely: bool, tmp_path: Path, mobile_e2b: Path
) -> None:
    command = [sys.executable, "-m", "tests.fullsize", "e2b", "mobile", "--judge", "--out", str(tmp_path)]
    process = subprocess.Popen([*command, "--checkpoint", str(mobile_e2b)], stderr=subprocess.PIPE)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(b"digest"):
            break
    assert list(tmp_path.iterdir())
    (process.terminate if politely else process.kill)()
    assert b"rung 1" not in process.stderr.read()
    assert process.wait() == (143 if politely else -9)
    process.stderr.close()
    deadline = time.monotonic() + 5
    while (left := _naming(str(tmp_path))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []
    assert bool(list(tmp_path.iterdir())) is not politely


def _naming(path: str) -> list[str]:
    """Processes whose command line has a path."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and path in (entry / "cmdline").read_text("utf-8", "replace"):
                found.append(entry.name)
    return found


def test_the_products_of_a_token_are_those_of_every_stored_matrix_but_the_tables(
    mobile_e2b: Path, q4_0_e2b: Path
) -> None:
    checkpoint = open_checkpoint(mobile_e2b)
    counted, sharing = (
        weights(checkpoint),
        {layer.index for layer in checkpoint.text.config.layers if not layer.owns_kv},
    )
    content = (mobile_e2b / "model.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    stored = 0
    for name, told in header.items():
        unread = re.search(r"layers\.(\d+)\.self_attn\.[kv]_proj\.", name)
        if "tower" in name or (unread and int(unread[1]) in sharing) or not name.endswith(".weight"):
            continue
        if told["dtype"] in ("U8", "I8"):
            stored += told["data_offsets"][1] - told["data_offsets"][0]
    assert stored == sum(many * kind.bits / 8 for kind, many in counted.items() if kind.bits < 32)
    assert {kind.bits for kind in counted} == {2, 4, 8, 32}
    (head,) = (many for kind, many in counted.items() if kind.bits < 32 and not kind.grid)
    assert head == checkpoint.text.config.vocab * checkpoint.text.config.hidden
    with pytest.raises(PlanError, match="has a scale for each block of a row"):
        weights(open_checkpoint(q4_0_e2b))


def test_a_kernel_is_timed_for_every_kind_of_product(mobile_e2b: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")  # without a terminal 80 are taken, and cells wrap
    monkeypatch.setattr(kernels, "OUT", 64)
    monkeypatch.setattr(kernels.Bandwidth, "probe", lambda self, env: (self.one.append(1e9), self.two.append(2e9)))
    lines = kernels.kernels(str(mobile_e2b)).splitlines()
    names = [line.split("   ")[0].strip() for line in lines]
    expected = ["2 bits, floats in 2 terms", "2 bits, static int8", "4 bits, static int8", "8 bits, static int8"]
    assert names[-6:] == [*expected, "floats", "all"]
    side = kernels.Side(kernels.Kind(2, grid=False), 5)
    assert side.seconds() > 0
