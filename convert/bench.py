"""Figures: ``python -m convert.bench demo``, ``coreml``, ``tokenizer``, ``start``, and ``--fullsize e2b mobile``.

A figure of this machine alone says little, so each run also measures what the machine can do: how fast it copies a
file, and how fast it reads memory.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from convert import cli, pipeline, tables
from convert.child import run
from convert.pipeline import Measure

TARGET_SECONDS, TARGET_BYTES = 60.0, 2_500_000_000
PACKAGE_SECONDS, PACKAGE_BYTES = 180.0, 4_000_000_000
PREFILL_TOKENS, DECODE_TOKENS, CONTEXT = 512, 64, 1024
_PROBE_BYTES = 256 << 20


def bundle(model: str) -> str:
    """Builds a whole bundle into a temporary folder; a table of its stages against the target."""
    from convert.plan import Request
    from convert.progress import for_terminal

    measures: list[Measure] = []
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        built = pipeline.build(Request("android", model, Path(out)), for_terminal(), measures.append)
        seconds = time.perf_counter() - start
        size = built.bytes
        copied = copy_rate(Path(out))
    # The parent waits while a stage runs, so the most that is resident at once is both together.
    parent = max(m.peak_bytes for m in measures if m.stage not in ("convert", "judge"))
    peak = parent + max(m.peak_bytes for m in measures if m.stage in ("convert", "judge"))
    whole = Measure("whole, with its largest stage", seconds, peak)
    converted = next(m.seconds for m in measures if m.stage == "convert")
    verdict = "met" if seconds <= TARGET_SECONDS and peak <= TARGET_BYTES else "missed"
    # For a small model starting Python takes longer than any copy, and the ratio would say nothing.
    ratio = f"; converting takes {converted * copied / size:.1f} times as long as a plain copy with fsync"
    ratio = ratio if size > _PROBE_BYTES else ""
    return (
        table(f"bundle android {model}", [*measures, whole])
        + f"\ntarget {TARGET_SECONDS:.0f} s and {tables.size(TARGET_BYTES)} on two cores: {verdict} "
        + f"on {os.cpu_count()} cores\n"
        + f"bundle {tables.size(size)}{ratio}\n"
    )


def fullsize(size: str, format: str, root: Path) -> str:
    """Writes a synthetic checkpoint of real dimensions, converts it and decodes with the stock engine.

    Everything but the figures is removed again.
    """
    model, python = f"{size}-{format}", [sys.executable, "-m"]
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fullsize-", dir=root) as work:
        checkpoint, file = Path(work) / model, Path(work) / f"{model}.litertlm"
        env = os.environ | {"TMPDIR": work}
        lengths = ["--context", str(CONTEXT), "--prefill", "128"]
        measures = [
            _stage("write checkpoint", [*python, "convert.demo.fullsize", size, format, str(checkpoint)], env),
            _stage("convert", [*python, "convert", "convert", str(checkpoint), str(file), *lengths], env),
        ]
        ran = run([*python, "convert.bench", "--decode", str(file), work], env)
        ran.check("decode")
        measures.append(Measure("load and decode, stock engine", ran.seconds, ran.peak_bytes))
        source, made = sum(p.stat().st_size for p in checkpoint.iterdir()), file.stat().st_size
        copied = copy_rate(Path(work))
    return (
        table(f"full size {model}, context {CONTEXT}", measures)
        + f"\ncheckpoint {tables.size(source)}, model file {tables.size(made)}; a plain copy with fsync runs at "
        + f"{tables.size(int(copied))}/s here, converting at {tables.size(int(made / measures[1].seconds))}/s\n"
        + ran.output
    )


def coreml(size: str, root: Path) -> str:
    """Writes a synthetic mobile checkpoint of real dimensions and makes a Core ML package of it, for devices.

    Everything but the figures is removed again.
    """
    from convert.checkpoint import open_checkpoint
    from convert.inspection.weights import histogram

    python = [sys.executable, "-m"]
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="coreml-", dir=root) as work:
        checkpoint, package = Path(work) / size, Path(work) / "out" / f"{size}.mlpackage"
        env = os.environ | {"TMPDIR": work}
        write = [*python, "convert.demo.fullsize", size, "mobile", str(checkpoint)]
        made = [*python, "convert", "convert", str(checkpoint), str(package), "--context", "4096", "--prefill", "128"]
        measures = [_stage("write checkpoint", write, env), _stage("convert", made, env)]
        billions = sum(share.parameters for share in histogram(open_checkpoint(checkpoint))) / 1e9
        bytes_ = {p.name: p.stat().st_size for p in package.parent.rglob("*") if p.is_file()}
        copied = copy_rate(Path(work))
    seconds, peak = measures[1].seconds, measures[1].peak_bytes
    verdict = "met" if seconds <= PACKAGE_SECONDS and peak <= PACKAGE_BYTES else "missed"
    return (
        table(f"Core ML package of a full-size {size}, context 4096", measures)
        + f"\n{billions:.2f} billion parameters: {seconds / billions:.1f} s and {tables.size(int(peak / billions))} "
        + "of peak memory for each\n"
        + f"target {PACKAGE_SECONDS:.0f} s and {tables.size(PACKAGE_BYTES)}: {verdict} on {os.cpu_count()} cores\n"
        + f"weight.bin {tables.size(bytes_['weight.bin'])}, tables of rows "
        + f"{tables.size(sum(n for name, n in bytes_.items() if name.endswith('.rows')))}; "
        + f"a plain copy with fsync runs at {tables.size(int(copied))}/s here\n"
    )


def decode(file: Path, scratch: Path) -> str:
    """Prefill and decode speed of the stock engine on two threads, beside the machine's memory bandwidth."""
    from litert_lm import Backend, Benchmark, LogSeverity, set_min_log_severity

    from convert.inspection.artifact import inspect

    set_min_log_severity(LogSeverity.ERROR)
    weights = inspect(file).section("tf_lite_prefill_decode")
    info = Benchmark(
        str(file),
        Backend.CPU(thread_count=2),
        prefill_tokens=PREFILL_TOKENS,
        decode_tokens=DECODE_TOKENS,
        max_num_tokens=CONTEXT,
        cache_dir=str(scratch),
    ).run()
    rate = info.last_decode_tokens_per_second
    bandwidth = read_rate()
    return (
        f"stock engine, 2 threads: ready in {info.init_time_in_second:.1f} s; "
        f"prefill {info.last_prefill_tokens_per_second:.1f} tokens/s over {info.last_prefill_token_count}; "
        f"decode {rate:.2f} tokens/s over {info.last_decode_token_count}\n"
        f"decode reads {tables.size(weights)} of weights a token: {tables.size(int(rate * weights))}/s, "
        f"{100 * rate * weights / bandwidth:.0f} % of the {tables.size(int(bandwidth))}/s that one thread reads here\n"
    )


def table(title: str, measures: list[Measure]) -> str:
    """Stages with seconds and peak resident memory."""
    rows = [(m.stage, f"{m.seconds:.1f} s", tables.size(m.peak_bytes)) for m in measures]
    return tables.table(title, ("stage", "wall time ", "peak memory "), rows)


def copy_rate(folder: Path) -> float:
    """Bytes per second of writing a file and flushing it to the disk of ``folder``."""
    block = os.urandom(1 << 22)
    start = time.perf_counter()
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_PROBE_BYTES // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        written = file.tell()
    return written / (time.perf_counter() - start)


def read_rate() -> float:
    """Bytes per second of one thread adding up memory beyond any cache, best of three."""
    import numpy as np

    data = np.ones(_PROBE_BYTES // 4, np.int64)
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        int(data.sum())
        best = min(best, time.perf_counter() - start)
    return data.nbytes / best


def _stage(name: str, command: list[str], env: dict[str, str]) -> Measure:
    ran = run(command, env)
    ran.check(name)
    return Measure(name, ran.seconds, ran.peak_bytes)


def _command(arguments: list[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m convert.bench", description="time and peak memory of each stage")
    parser.add_argument("model", nargs="?", default="demo", help="demo, a hub id, a folder, coreml, tokenizer, start")
    parser.add_argument("--fullsize", nargs=2, metavar=("SIZE", "FORMAT"), help="a synthetic checkpoint of real size")
    parser.add_argument("--decode", nargs=2, metavar=("FILE", "SCRATCH"), type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("dist"), help="where full-size files lie meanwhile")
    options = parser.parse_args(arguments)
    if options.decode:
        return decode(*options.decode)
    if options.fullsize:
        size, format = options.fullsize
        return fullsize(size, format, options.out)
    if options.model == "start":  # a folder of that name is ./start
        from convert.bench_start import start

        return start()
    if options.model == "coreml":  # a folder of that name is ./coreml
        return coreml("e2b", options.out)
    if options.model == "tokenizer":
        from convert.bench_tokenizer import tokenizer

        return tokenizer()
    return bundle(options.model)


if __name__ == "__main__":
    cli.guarded(lambda: print(_command(sys.argv[1:]), end=""))  # noqa: T201
