"""``just bench image``: what an image costs in the stock engine, with a vision tower of E2B's dimensions.

The weights are synthetic and the text decoder beside it is small, so that the tower is what is measured: its part of
the file, how much memory of its own the engine takes while it reads the first image, and the processor time of that.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from convert import guard, tables
from convert.child import run
from convert.progress import Silent
from convert.targets import all_targets

THREADS, TOKENS, CONTEXT = 2, (70, 140, 280), 512
TARGET = "litert"


def image(root: Path) -> str:
    """Writes, converts, runs, and gives the table."""
    from tests.support.checkpoints.published.tower_shapes import REAL_TOWERS
    from tests.support.checkpoints.write import write_checkpoint
    from tests.support.vision.towered import SEED, SHAPE

    assert SHAPE.towers is not None
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="image-", dir=root) as work:
        model = Path(work) / "model"
        towers = replace(SHAPE.towers, vision=REAL_TOWERS.vision)
        write_checkpoint(model, replace(SHAPE, towers=towers), "mobile", SEED)
        rows = [_row(model, tokens, Path(work) / str(tokens)) for tokens in TOKENS]
    title = f"an image in the stock engine, {THREADS} threads, a tower of E2B's dimensions with synthetic weights"
    heads = ("tokens, at most ", "in the file ", "taken by the first image ", "processor time ")
    return tables.table(title, heads, rows)


def _row(model: Path, tokens: int, work: Path) -> tuple[str, ...]:
    work.mkdir()
    target, env = all_targets()[TARGET], os.environ | {"TMPDIR": str(work)}
    python = [sys.executable, "-m", "tests.bench.engine.image"]
    run([*python, "make", str(model), str(work / target.model), str(tokens)], env).check("convert")
    found = target.inspect(work / target.model)
    assert found is not None
    held = sum(section.bytes for section in found.sections if "vision" in section.kind)
    for _ in range(2):  # the first start packs the weights
        ran = run([*python, "run", str(work / target.model), str(work)], env)
        ran.check("run")
    told = json.loads(ran.output.splitlines()[-1])
    return (str(tokens), tables.size(held), tables.size(told["taken"]), f"{told['seconds']:.1f} s")


def make(model: str, file: str, tokens: str) -> None:
    """The model, with signatures up to so many tokens."""
    from convert.checkpoint import open_folder, resolve

    target = all_targets()[TARGET]
    options = target.options(context=CONTEXT, prefill=(128,), image_tokens=tokens)
    target.convert(open_folder(resolve(model), ("image",)), options, Path(file), Silent())


def measured(file: str, scratch: str) -> dict[str, float]:
    """Bytes that the first image took, and seconds of the processor."""
    import litert_lm

    from tests.support.vision.png import write_png

    # As wide as an image of the most tokens, so that it is made smaller and takes all of them.
    pixels = np.random.default_rng(0).integers(0, 256, (1344, 1344, 3), dtype=np.uint8)
    picture = write_png(Path(scratch) / "image.png", pixels)
    cpu = litert_lm.Backend.CPU(thread_count=THREADS)
    parts = [{"type": "image", "path": str(picture)}, {"type": "text", "text": "?"}]
    with (
        litert_lm.Engine(file, backend=cpu, vision_backend=cpu, max_num_images=1, cache_dir=scratch) as engine,
        engine.create_conversation(max_output_tokens=1) as conversation,
    ):
        before, begun = _anonymous(), _processor()
        conversation.send_message({"role": "user", "content": parts})
        return {"taken": _anonymous() - before, "seconds": _processor() - begun}


def _processor() -> float:
    times = os.times()
    return times.user + times.system


def _anonymous() -> int:
    """Resident bytes of this process that no file backs; proc(5), ``smaps_rollup``."""
    lines = Path("/proc/self/smaps_rollup").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))


def _main() -> str:
    what, *rest = sys.argv[1:]
    if what == "make":
        make(*rest)
        return ""
    return json.dumps(measured(*rest)) + "\n"


if __name__ == "__main__":
    guard.guarded(lambda: print(_main(), end=""))  # noqa: T201
