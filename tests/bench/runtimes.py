"""``just bench runtimes [MODEL]``: the same checkpoint in LiteRT-LM and in ONNX Runtime, on two threads, turn about.

Each runtime runs in a process of its own: a prompt, then single tokens. The figures are medians over the rounds, beside
the bytes that every token reads and what two threads read from memory here, measured in the same run.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from convert import guard, tables
from convert.child import run
from convert.pipeline import Measure
from convert.targets import all_targets
from tests.bench.rates import read_rate, stage, table

THREADS, ROUNDS = 2, 3
CONTEXT, PROMPT, ANSWER = 1024, 512, 64
RUNTIMES = {"litert": "LiteRT-LM", "onnx": "ONNX Runtime"}


@dataclass(frozen=True)
class Run:
    """Seconds until a model is ready and until its first token, tokens a second."""

    ready: float
    first: float
    prefill: float
    decode: float


def runtimes(model: str, root: Path) -> str:
    """Converts, runs each runtime ``ROUNDS`` times in turn, and gives the table."""
    root.mkdir(parents=True, exist_ok=True)
    python = [sys.executable, "-m", "tests.bench.runtimes"]
    with tempfile.TemporaryDirectory(prefix="runtimes-", dir=root) as work:
        env, found, sizes = os.environ | {"TMPDIR": work}, dict[str, list[Run]](), dict[str, int]()
        measures, resident = list[Measure](), dict[str, list[int]]()
        for target in RUNTIMES:
            folder = Path(work) / target
            measures.append(stage(f"convert to {target}", [*python, "make", target, model, str(folder)], env))
            sizes[target] = sum(path.stat().st_size for path in folder.iterdir() if path.suffix != ".json")
        for _ in range(ROUNDS):
            for target in RUNTIMES:
                ran = run([*python, "run", target, str(Path(work) / target), work], env)
                ran.check(f"run {target}")
                found.setdefault(target, []).append(Run(**json.loads(ran.output.splitlines()[-1])))
                resident.setdefault(target, []).append(ran.peak_bytes)
        read = {target: _read(target, Path(work) / target) for target in RUNTIMES}
        bandwidth = read_rate(THREADS)
    rows = [
        (
            RUNTIMES[target], tables.size(sizes[target]), f"{_middle(runs, 'ready'):.1f} s",
            f"{_middle(runs, 'prefill'):.1f}", f"{_middle(runs, 'first'):.2f} s", f"{_middle(runs, 'decode'):.2f}",
            f"{100 * _middle(runs, 'decode') * read[target] / bandwidth:.0f} %",
            tables.size(int(statistics.median(resident[target]))),
            f"{statistics.median(resident[target]) / sizes[target]:.2f}",
        )
        for target, runs in found.items()
    ]  # fmt: skip
    headings = (
        *("runtime", "files ", "ready ", "prefill tok/s ", "first token ", "decode tok/s ", "of bandwidth "),
        *("most resident ", "of files "),
    )
    title = f"{model}: prompt {PROMPT}, then {ANSWER} tokens, {THREADS} threads, medians of {ROUNDS} turns"
    said = f"{THREADS} threads read {tables.size(int(bandwidth))}/s from memory here\n"
    return table("converting", measures) + "\n" + tables.table(title, headings, rows) + "\n" + said


def _middle(runs: list[Run], name: str) -> float:
    return statistics.median(float(getattr(one, name)) for one in runs)


def _read(target: str, folder: Path) -> int:
    """Bytes that every token reads."""
    return all_targets()[target].describe(folder).mapped_weights


def make(target: str, model: str, folder: Path) -> None:
    """A model of a target, with what lies beside it in a bundle."""
    from convert.checkpoint import open_checkpoint
    from convert.progress import Silent

    kind, checkpoint = all_targets()[target], open_checkpoint(model)
    options = kind.options(context=CONTEXT, prefill=(128,) if kind.pads else kind.prefill)
    folder.mkdir()
    kind.collect(checkpoint, options, folder)
    kind.convert(checkpoint, options, folder / kind.model, Silent())


def litert(folder: Path, scratch: Path) -> Run:
    """The stock engine, by its own clock."""
    from tests.bench.peers.ours import timed

    info = timed(str(folder / all_targets()["litert"].model), CONTEXT, PROMPT, ANSWER, THREADS, str(scratch))
    return Run(
        info.init_time_in_second,
        info.time_to_first_token_in_second,
        info.last_prefill_tokens_per_second,
        info.last_decode_tokens_per_second,
    )


def onnx(folder: Path, scratch: Path) -> Run:
    """The loop that a desktop bundle brings."""
    from convert.bundle.platforms.desktop.gemma import Gemma

    begin = time.perf_counter()
    gemma = Gemma(folder, THREADS)
    ready = time.perf_counter()
    logits = gemma.read([2 + i % 200 for i in range(PROMPT)])
    first = time.perf_counter()
    for _ in range(ANSWER):
        logits = gemma.step(int(logits.argmax()))
    end = time.perf_counter()
    return Run(ready - begin, first - ready, PROMPT / (first - ready), ANSWER / (end - first))


def _main() -> str:
    what, target, *rest = sys.argv[1:]
    if what == "make":
        make(target, rest[0], Path(rest[1]))
        return ""
    return json.dumps(asdict({"litert": litert, "onnx": onnx}[target](Path(rest[0]), Path(rest[1])))) + "\n"


if __name__ == "__main__":
    guard.guarded(lambda: print(_main(), end=""))  # noqa: T201
