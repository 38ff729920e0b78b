"""``just fullsize SIZE FORMAT --judge``: the whole ``bundle`` as a user runs it, as one table of its stages."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from convert import tables
from convert.child import die_with_parent
from convert.errors import PlanError
from tests.fullsize import against_plan
from tests.fullsize.watch import Sample, Watch

# Minutes and bytes that a whole bundle of text may take on two cores, writing the synthetic checkpoint apart.
BARS = {
    ("android", "e2b", "mobile"): (10.0, 6_000_000_000),
    ("android", "e4b", "mobile"): (18.0, 8_000_000_000),
    ("android", "e2b", "q4_0"): (15.0, 8_000_000_000),
    ("android", "e4b", "q4_0"): (30.0, 12_000_000_000),
    ("ios", "e2b", "mobile"): (20.0, 8_000_000_000),
}
SEEING = 1.3  # times as much, where it takes images
_CONVERTER, _JUDGE = " -m convert.work ", " -m runtime_tests verify "
_RUNG = re.compile(r"rung (\w+): ")
_TOLD = re.compile(r"(digest|papers|app\.apk|publish) +([\d.]+) s$")
_ROW = re.compile(r"^│ (\w+) +│.*│ (pass|fail|not run) *│")


@dataclass(frozen=True)
class Row:
    """One stage: seconds, peaks in bytes as ``watch.Sample`` has them, and what became of it."""

    stage: str
    seconds: float
    resident: int
    own: int
    proportional: int
    disk: int
    verdict: str


@dataclass(frozen=True)
class Ended:
    """How the bundle's process ended, and what was seen meanwhile.

    Attributes:
        code: its exit code; ``output`` its stdout.
        marks: when which stage began, in order.
    """

    code: int
    output: str
    began: float
    ended: float
    marks: list[tuple[float, str]]
    samples: list[Sample]


def fullsize(
    size: str, format: str, platform: str, root: Path, checkpoint: Path | None, flags: list[str]
) -> tuple[str, int]:
    """Writes a synthetic checkpoint of real size, bundles and judges it, and removes everything again.

    Args:
        root: where the files lie meanwhile.
        checkpoint: a folder to keep the checkpoint in; one that is there already is taken as it is.
        flags: further flags of ``bundle``.

    Returns:
        the table, and the exit code of the bundle's process.

    Raises:
        PlanError: the system has no ``/proc``.
    """
    if not Path("/proc/self/status").is_file():
        raise PlanError("fullsize --judge", "there is no /proc, where memory is read", "Run it on Linux")
    root.mkdir(parents=True, exist_ok=True)
    model = f"{format}_{size}"
    with tempfile.TemporaryDirectory(prefix="fullsize-", dir=root) as work:
        folder = checkpoint or Path(work) / model
        rows = []
        if not (folder / "model.safetensors").is_file():
            write = [sys.executable, "-m", "tests.support.checkpoints.fullsize", size, format, str(folder)]
            rows.append(_written(_run(write, Path(work), [folder])))
        made = Path(work) / "out"
        words = [platform, str(folder), "--out", str(made), "--name", model, *flags]
        planned = against_plan.ask(words)
        build = [sys.executable, "-m", "convert", "bundle", *words]
        ended = _run(build, Path(work), [made, Path(work) / "tmp"])
        verdicts = _verdicts(ended.output, made / platform / model / "parity.json")
        rows += _stages(ended, verdicts)
        source = sum(path.stat().st_size for path in folder.iterdir())
        shipped = sum(path.stat().st_size for path in (made / platform / model).rglob("*") if path.is_file())
    whole = _row("whole bundle", ended.samples, ended.ended - ended.began, _outcome(ended.code))
    title = f"{platform} bundle of a full-size {model}, checkpoint {tables.size(source)}, bundle {tables.size(shipped)}"
    text = _table(title, [*rows, whole]) + _against_bars((platform, size, format), whole, planned)
    text += against_plan.table(planned, rows)
    if ended.code:
        text = ended.output + text
    return text, ended.code


def _outcome(code: int) -> str:
    return {0: "pass", 1: "fail"}.get(code, f"exit code {code}")


def _run(command: list[str], work: Path, folders: list[Path]) -> Ended:
    """Runs a command under watch; its stderr goes on to ours."""
    (work / "tmp").mkdir(exist_ok=True)
    env = os.environ | {"TMPDIR": str(work / "tmp"), "COLUMNS": "160"}
    watch, began = Watch(folders), time.monotonic()
    marks, output = [(began, "plan")], list[bytes]()
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
        preexec_fn=die_with_parent,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    readers = [
        threading.Thread(target=_pass_on, args=(process.stderr, marks), daemon=True),
        threading.Thread(target=lambda pipe: output.append(pipe.read()), args=(process.stdout,), daemon=True),
    ]
    for thread in (*readers, watch):
        thread.start()
    try:
        code = process.wait()
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    finally:
        watch.stop()
    ended = time.monotonic()
    for thread in readers:
        thread.join()
    return Ended(code, b"".join(output).decode("utf-8", "replace"), began, ended, marks, watch.samples)


def _pass_on(pipe: IO[bytes], marks: list[tuple[float, str]]) -> None:
    """Copies stderr line by line and notes what each line says of the stages."""
    for raw in pipe:
        line = raw.decode("utf-8", "replace")
        with suppress(OSError):
            sys.stderr.write(line)
        mark = marked(line.rstrip(), time.monotonic())
        if mark is not None and mark[1] not in (name for _, name in marks):
            marks.append(mark)


def marked(line: str, now: float) -> tuple[float, str] | None:
    """When which stage began, by a line of progress: a rung's comes first of it, the other stages' when they end."""
    if rung := _RUNG.match(line):
        return now, f"rung {rung[1]}"
    if line.startswith(("noise floor: ", "localization: ", "report: ")):
        return now, line.partition(":")[0]
    if told := _TOLD.match(line):
        return now - float(told[2]), told[1]
    return None


def _stages(ended: Ended, verdicts: dict[str, str]) -> Iterator[Row]:
    """Rows of all stages in the order of time."""
    marks = list(ended.marks)
    # Which program runs tells where the converter and the judge begin.
    for words, name in ((_CONVERTER, "convert"), (_JUDGE, "judge: open")):
        seen = [sample.at for sample in ended.samples if any(words in command for command in sample.commands)]
        if seen:
            marks.append((seen[0], name))
    marks.sort()
    ends = [at for at, _ in marks[1:]] + [ended.ended]
    for (at, name), end in zip(marks, ends, strict=True):
        samples = [sample for sample in ended.samples if at <= sample.at < end]
        yield _row(name, samples, end - at, verdicts.get(name.removeprefix("rung "), ""))


def _written(ended: Ended) -> Row:
    if ended.code:
        raise SystemExit(ended.code)
    return _row("write checkpoint", ended.samples, ended.ended - ended.began, "")


def _row(name: str, samples: list[Sample], seconds: float, verdict: str) -> Row:
    def peak(values: Iterator[int]) -> int:
        return max(values, default=0)

    return Row(
        name,
        seconds,
        peak(s.resident for s in samples),
        peak(s.own for s in samples),
        peak(s.proportional for s in samples),
        peak(s.disk for s in samples),
        verdict,
    )


def _verdicts(output: str, report: Path) -> dict[str, str]:
    """Of the rungs: by the published report, else by the table that was printed."""
    if report.is_file():
        return {rung["name"]: rung["status"] for rung in json.loads(report.read_text("utf-8"))["rungs"]}
    return {found[1]: found[2] for line in output.splitlines() if (found := _ROW.match(line))}


def _table(title: str, rows: list[Row]) -> str:
    cells = [
        (
            row.stage,
            f"{row.seconds / 60:.2f}",
            tables.size(row.resident),
            tables.size(row.own),
            tables.size(row.proportional) if row.proportional else "",
            tables.size(row.disk),
            row.verdict,
        )
        for row in rows
    ]
    heads = ("stage", "minutes ", "peak memory ", "no file's ", "shared once ", "temporary disk ", "verdict")
    return tables.table(title, heads, cells)


def _against_bars(which: tuple[str, str, str], whole: Row, planned: Mapping[str, Any] | None) -> str:
    note = "memory: resident, all processes together; of it what is no page of a file; and each page counted once\n"
    if which not in BARS:
        return note
    more = SEEING if planned is not None and planned["modalities"] else 1.0
    minutes, bytes_ = BARS[which][0] * more, int(BARS[which][1] * more)
    parts = [
        f"{whole.seconds / 60:.1f} of {minutes:.0f} minutes {_met(whole.seconds / 60 <= minutes)}",
        f"{tables.size(whole.resident)} of {tables.size(bytes_)} memory {_met(whole.resident <= bytes_)}",
        f"verdict {whole.verdict}",
    ]
    return f"{note}bars on {os.cpu_count()} cores: {', '.join(parts)}\n"


def _met(good: bool) -> str:
    return "met" if good else "missed"
