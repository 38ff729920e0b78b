"""Five small faults in a model of real size, and the rung that catches each: ``just fullsize-faults``. Not in CI.

A checkpoint of E4B's dimensions is written and converted, and must pass every rung that is to catch something. Then
each fault is put into the finished file, in place, and taken out again; or the converter works with a fault in its
code. The judge runs as a user runs it, in a process of its own. It takes an hour of two cores and 9 GB of disk.
"""

from __future__ import annotations

import json
import mmap
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert import tables
from runtime_tests.litert.case import PER_LAYER
from runtime_tests.readers.litert.litertlm import open_litertlm
from tests.fullsize.parser import Parser
from tests.mutants import catalogue
from tests.mutants.catalogue.litert.codes_and_scales import LAYERED
from tests.mutants.mutant import FIRST, Build
from tests.mutants.patient import Patient
from tests.support.checkpoints.shapes import FULL_SIZE

LENGTHS = ("--context", "1024", "--prefill", "128", "--modalities", "text")


class InPlace(Patient):
    """A finished file itself. What is written to its arrays is in the file."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self.bytes = mmap.mmap(file.fileno(), 0)  # type: ignore[assignment]
        opened = open_litertlm(path)
        self.sections, self.system = opened.sections, opened.system


Change = Callable[[Patient, int], None]


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        rungs: each of them must fail.
        put: changes the finished file of a model of so many layers; done twice, it changes nothing.
        mutant: name of a fault in the converter's code, in the catalogue, where there is no ``put``.
    """

    name: str
    what: str
    rungs: tuple[str, ...]
    put: Change | None = None
    mutant: str = ""


def _code(patient: Patient, layers: int) -> None:
    array = patient.array(f"layers.{layers - 1}.mlp.down_proj.weight")
    array[len(array) // 2] ^= 1


def _scale(patient: Patient, _layers: int) -> None:
    (scales,) = patient.scales(LAYERED, PER_LAYER)
    scales.reshape(-1).view(np.uint32)[scales.size // 2] ^= 1


def _steps(patient: Patient, layers: int) -> None:
    """Of what goes into two layers' down_proj, in every signature."""
    pair = [f"layers.{i}.mlp.down_proj.weight" for i in (layers // 4, layers // 3)]
    for graph in patient.model().subgraphs:
        found = {}
        for op in graph.operators:
            name = graph.tensors[op.inputs[1]].name if op.code == "FULLY_CONNECTED" else ""
            if name in pair:
                quantization = graph.tensors[op.inputs[0]].quantization
                assert quantization is not None
                found[name] = quantization.scales
        if found:
            a, b = (found[name] for name in pair)
            assert a[0] != b[0]
            a[0], b[0] = b[0], a[0]


FAULTS = (
    Fault("code", "one code of the last layer's down_proj has its lowest bit flipped", ("0",), _code),
    Fault("scale", "one scale of the per-layer embedding is off by one unit in the last place", ("0",), _scale),
    Fault("steps", "the input activation scales of two layers' down_proj are swapped", ("0", "2a"), _steps),
    Fault("window", "a sliding layer sees one token more", ("2a",), mutant="window_one_too_long"),
    Fault("softcap", "logits are not capped", ("2a",), mutant="softcap_left_out"),
)


@dataclass(frozen=True)
class Found:
    """What the judge said.

    Attributes:
        failed: the rungs that failed, and the first check of each that did.
        status: of every rung that was asked.
    """

    failed: dict[str, str]
    status: dict[str, str]
    seconds: float


def judge(model: Path, checkpoint: Path, rungs: tuple[str, ...], report: Path) -> Found:
    """Runs the judge on a file.

    Raises:
        SystemExit: it ended without a report.
    """
    command = [sys.executable, "-m", "runtime_tests", "verify", str(model), "--checkpoint", str(checkpoint)]
    began = time.monotonic()
    ran = subprocess.run(
        [*command, "--rungs", ",".join(rungs), "--json", str(report)], stdout=subprocess.DEVNULL, check=False
    )
    seconds = time.monotonic() - began
    if ran.returncode not in (0, 1) or not report.is_file():
        raise SystemExit(f"the judge ended with code {ran.returncode} and no report")
    said: dict[str, Any] = json.loads(report.read_text("utf-8"))
    report.unlink()
    failed = {}
    for rung in said["rungs"]:
        if rung["status"] == "fail":
            failed[rung["name"]] = next(check["name"] for check in rung["checks"] if not check["passed"])
    return Found(failed, {rung["name"]: rung["status"] for rung in said["rungs"]}, seconds)


def run(faults: list[Fault], checkpoint: Path, work: Path) -> tuple[str, bool]:
    """Puts each fault in and judges; a table, and whether every one was caught as declared."""
    sound, wrong, report = work / "sound.litertlm", work / "wrong.litertlm", work / "report.json"
    layers = json.loads((checkpoint / "config.json").read_text("utf-8"))["text_config"]["num_hidden_layers"]
    _child("convert", str(checkpoint), str(sound), module="convert", flags=LENGTHS)
    asked = tuple(sorted({rung for fault in faults for rung in fault.rungs}))
    control = judge(sound, checkpoint, asked, report)
    rows, good = [_row("sound", "nothing", (), control)], set(control.status.values()) == {"pass"}
    if not good:  # nothing below would mean anything
        return _table(rows, checkpoint), False
    for fault in sorted(faults, key=lambda each: each.put is None):
        target = sound if fault.put else wrong
        if fault.put:
            _child("put", fault.name, str(sound), str(layers))
        else:
            sound.unlink(missing_ok=True)  # makes room
            _child("build", fault.mutant, str(checkpoint), str(wrong))
        found = judge(target, checkpoint, fault.rungs, report)
        if fault.put:
            _child("put", fault.name, str(sound), str(layers))
        else:
            wrong.unlink()
        rows.append(_row(fault.name, fault.what, fault.rungs, found))
        good = good and set(found.failed) == set(fault.rungs)
        print(*rows[-1], sep=" | ", file=sys.stderr)  # noqa: T201
    return _table(rows, checkpoint), good


def _child(*words: str, module: str = "tests.fullsize_faults", flags: tuple[str, ...] = ()) -> None:
    """A process for what maps or holds a whole model."""
    ran = subprocess.run([sys.executable, "-m", module, *words, *flags], check=False)
    if ran.returncode:
        raise SystemExit(ran.returncode)


def _row(name: str, what: str, must: tuple[str, ...], found: Found) -> tuple[str, ...]:
    caught = "; ".join(f"{rung}: {check}" for rung, check in found.failed.items())
    if not caught:
        caught = "nothing" if must else f"{', '.join(found.status)}: {', '.join(sorted(set(found.status.values())))}"
    return name, what, ", ".join(must) or "-", caught, f"{found.seconds:.0f}"


def _table(rows: list[tuple[str, ...]], checkpoint: Path) -> str:
    heads = ("fault", "what", "must fail", "failed: first check", "seconds ")
    return tables.table(f"faults in a model made of {checkpoint.name}", heads, rows)


def put(fault: str, file: str, layers: str) -> None:
    """Changes a finished file in place, or undoes that."""
    change = next(each.put for each in FAULTS if each.name == fault)
    assert change is not None
    change(InPlace(Path(file)), int(layers))


def build(mutant: str, checkpoint: str, out: str) -> None:
    """Converts with a fault of the catalogue in the converter's code."""
    from convert.checkpoint import open_checkpoint
    from convert.progress import Silent
    from convert.targets.litert import LitertOptions, convert

    fault = next(each.fault for each in catalogue.MUTANTS if each.path == f"{FIRST}/{mutant}")
    assert isinstance(fault, Build)
    options = LitertOptions(context=int(LENGTHS[1]), prefill=tuple(map(int, LENGTHS[3].split(","))))
    with fault.fault():
        convert(open_checkpoint(Path(checkpoint)), options, Path(out), Silent())


def main(arguments: list[str]) -> int:
    if arguments[:1] in (["put"], ["build"]):
        {"put": put, "build": build}[arguments[0]](*arguments[1:])
        return 0
    parser = Parser(
        prog="just fullsize-faults",
        description="Put small faults into a mobile model of real size, and see the rung that must catch each of them "
        "do so. Exit code 0: all caught as declared.",
        epilog="example: just fullsize-faults code scale --checkpoint /tmp/mobile_e4b",
    )
    names = [fault.name for fault in FAULTS]
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(names)} [default: all]")
    parser.add_argument("--size", choices=sorted(FULL_SIZE), default="e4b")
    parser.add_argument("--checkpoint", type=Path, help="keep the checkpoint here, or take the one here")
    parser.add_argument("--out", type=Path, default=Path("dist"), help="where files lie meanwhile [default: dist]")
    options = parser.parse_args(arguments)
    for name in options.faults:
        if name not in names:
            parser.error(f"there is no fault {name!r}; there are {', '.join(names)}")
    chosen = [fault for fault in FAULTS if not options.faults or fault.name in options.faults]
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="faults-", dir=options.out) as work:
        checkpoint = options.checkpoint or Path(work) / f"mobile_{options.size}"
        if not (checkpoint / "model.safetensors").is_file():
            _child(options.size, "mobile", str(checkpoint), module="tests.support.checkpoints.fullsize")
        text, good = run(chosen, checkpoint, Path(work))
    print(text, end="")  # noqa: T201
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
