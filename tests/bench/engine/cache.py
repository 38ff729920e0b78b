"""``just bench cache [MODEL]``: what a longer context costs in the stock engine while it is hardly filled.

The same checkpoint is converted for several contexts, with an int8 cache. Of each: the cache in the file; how much
memory of its own the engine takes while it reads its first prompt, for it makes its caches then; and the speed. The
last row is the second one without branches, so that full layers read the whole cache.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from convert import guard, tables
from convert.child import run
from convert.progress import Silent
from convert.targets import all_targets

THREADS, PROMPT, ANSWER = 2, 128, 16
CASES = ((1024, "filled"), (4096, "filled"), (32_768, "filled"), (131_072, "filled"), (4096, "all"))
TARGET = "litert"


def cache(model: str, root: Path) -> str:
    """Converts, runs, and gives the table; contexts beyond the model's own are left out."""
    from convert.checkpoint import open_checkpoint

    most = open_checkpoint(model).text.config.max_context
    root.mkdir(parents=True, exist_ok=True)
    rows = []
    for context, attention in CASES:
        if context <= most:
            with tempfile.TemporaryDirectory(prefix="cache-", dir=root) as work:
                rows.append(_row(model, context, attention, Path(work)))
    title = f"{model}: prompt {PROMPT}, then up to {ANSWER} tokens, {THREADS} threads, int8 cache"
    heads = ("context ", "full layers read", "cache in the file ", "taken by the first prompt ")
    return tables.table(title, (*heads, "prefill, tokens/s ", "decode, tokens/s "), rows)


def _row(model: str, context: int, attention: str, work: Path) -> tuple[str, ...]:
    target, env = all_targets()[TARGET], os.environ | {"TMPDIR": str(work)}
    python, folder = [sys.executable, "-m", "tests.bench.engine.cache"], work / "model"
    run([*python, "make", model, str(folder), str(context), attention], env).check("convert")
    found = target.describe(folder).report.cache
    assert found is not None
    for _ in range(2):  # the first start packs the weights
        ran = run([*python, "run", str(folder / target.model), str(context), str(work)], env)
        ran.check("run")
    told = json.loads(ran.output.splitlines()[-1])
    sizes = tables.size(found.bytes), tables.size(told["taken"])
    return (str(context), attention, *sizes, f"{told['prefill']:.1f}", f"{told['decode']:.2f}")


def make(model: str, folder: Path, context: int, attention: str) -> None:
    """The model for a context."""
    from convert.checkpoint import open_checkpoint

    target, checkpoint = all_targets()[TARGET], open_checkpoint(model)
    options = target.options(context=context, prefill=(PROMPT,), cache="int8", attention=attention)
    folder.mkdir()
    target.convert(checkpoint, options, folder / target.model, Silent())


def measured(file: str, context: int, scratch: str) -> dict[str, float]:
    """Bytes that the first prompt took, tokens a second."""
    from tests.bench.peers.ours import timed

    held = dict[str, int]()

    def reached(what: str) -> None:
        held[what] = anonymous()

    info = timed(file, context, PROMPT, ANSWER, THREADS, scratch, reached=reached)
    return {
        "taken": held["prefilled"] - held["ready"],
        "prefill": info.last_prefill_tokens_per_second,
        "decode": info.last_decode_tokens_per_second,
    }


def anonymous() -> int:
    """Resident bytes of this process that no file backs; proc(5), ``smaps_rollup``."""
    lines = Path("/proc/self/smaps_rollup").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))


def _main() -> str:
    what, *rest = sys.argv[1:]
    if what == "make":
        make(rest[0], Path(rest[1]), int(rest[2]), rest[3])
        return ""
    return json.dumps(measured(rest[0], int(rest[1]), rest[2])) + "\n"


if __name__ == "__main__":
    guard.guarded(lambda: print(_main(), end=""))  # noqa: T201
