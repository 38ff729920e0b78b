"""``just fullsize SIZE FORMAT``: writing, converting and decoding in the stock engine, without judging."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from convert import guard, tables
from convert.child import run
from convert.pipeline import Measure
from tests.bench.rates import copy_rate, read_rate, stage, table

PREFILL_TOKENS, DECODE_TOKENS, CONTEXT, THREADS = 512, 64, 1024, 2


def fullsize(size: str, format: str, root: Path) -> str:
    """Writes a synthetic checkpoint of real dimensions, converts it and decodes with the stock engine.

    Everything but the figures is removed again.
    """
    model, python = f"{size}-{format}", [sys.executable, "-m"]
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fullsize-", dir=root) as work:
        checkpoint, file = Path(work) / model, Path(work) / f"{model}.litertlm"
        env = os.environ | {"TMPDIR": work}
        lengths = ["--context", str(CONTEXT), "--prefill", "128", "--modalities", "text"]
        write = [*python, "tests.support.checkpoints.fullsize", size, format, str(checkpoint)]
        measures = [
            stage("write checkpoint", write, env),
            stage("convert", [*python, "convert", "convert", str(checkpoint), str(file), *lengths], env),
        ]
        ran = run([*python, "tests.fullsize.unjudged", str(file), work], env)
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


def decode(file: Path, scratch: Path) -> str:
    """Prefill and decode speed of the stock engine, beside what as many threads as it has read from memory."""
    from convert.targets.litert.inspect import inspect
    from tests.bench.peers.ours import timed

    weights = inspect(file).section("tf_lite_prefill_decode")
    info = timed(str(file), CONTEXT, PREFILL_TOKENS, DECODE_TOKENS, THREADS, str(scratch))
    rate = info.last_decode_tokens_per_second
    bandwidth = read_rate(THREADS)
    return (
        f"stock engine, {THREADS} threads: ready in {info.init_time_in_second:.1f} s; "
        f"prefill {info.last_prefill_tokens_per_second:.1f} tokens/s over {info.last_prefill_token_count}; "
        f"decode {rate:.2f} tokens/s over {info.last_decode_token_count}\n"
        f"decode reads {tables.size(weights)} of weights a token: {tables.size(int(rate * weights))}/s, "
        f"{100 * rate * weights / bandwidth:.0f} % of the {tables.size(int(bandwidth))}/s that {THREADS} threads "
        "read here\n"
    )


if __name__ == "__main__":
    guard.guarded(lambda: print(decode(Path(sys.argv[1]), Path(sys.argv[2])), end=""))  # noqa: T201
