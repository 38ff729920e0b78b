"""``just bench image [MODEL]``: what an image costs in the stock engine, beside a text of as many tokens.

A file is made for each budget, for the engine brings every image to about the most tokens that a file allows. An image
and a text take turns, each in a process of its own, so that whatever else the machine does strikes both alike. Without
MODEL the checkpoint has E2B's dimensions, its tower's too, and random weights, on which no kernel's time depends.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from convert import tables
from convert.child import run
from convert.progress import Progress, for_terminal
from convert.targets import all_targets
from tests.bench.engine.budget import Budget, Turn, table
from tests.bench.engine.message import THREADS
from tests.bench.peers.machine import Bandwidth, machine
from tests.bench.rates import stage

ROUNDS, TOKENS, CONTEXT = 3, (70, 140, 280), 1024
MULTIPLE = 48  # pixels of a token's side: three patches of 16
TARGET = "litert"


def image(model: str | None, root: Path) -> str:
    """Writes, converts, runs, and gives the table."""
    root.mkdir(parents=True, exist_ok=True)
    progress, bandwidth = for_terminal(), Bandwidth()
    with tempfile.TemporaryDirectory(prefix="image-", dir=root) as name:
        work, env = Path(name), os.environ | {"TMPDIR": name}
        checkpoint = model or _written(work, env, progress)
        budgets = []
        for tokens in TOKENS:
            with tempfile.TemporaryDirectory(prefix=f"{tokens}-", dir=work) as folder:
                budgets.append(_budget(checkpoint, tokens, Path(folder), env, progress))
            bandwidth.probe(env)
    here = machine(bandwidth)
    return table(
        f"{model or 'E2B mobile, synthetic'}, context {CONTEXT}, {here.cores} cores of {here.processor}, {THREADS} "
        f"threads, which read {tables.size(int(here.two.median))}/s from memory; load before it began {here.load:.1f}; "
        f"medians of {ROUNDS} rounds (least - most)",
        budgets,
    )


def sides(tokens: int) -> tuple[int, int]:
    """Width and height, in pixels, of the image nearest to a square that becomes just so many tokens as it is."""
    high = max(side for side in range(1, tokens + 1) if side * side <= tokens and not tokens % side)
    return tokens // high * MULTIPLE, high * MULTIPLE


def _written(work: Path, env: dict[str, str], progress: Progress) -> str:
    folder = str(work / "e2b_mobile")
    with progress.stage("checkpoint of E2B's size"):
        stage("checkpoint", [sys.executable, "-m", "tests.support.checkpoints.fullsize", "e2b", "mobile", folder], env)
    return folder


def _budget(model: str, tokens: int, work: Path, env: dict[str, str], progress: Progress) -> Budget:
    from tests.support.vision.png import write_png

    target = all_targets()[TARGET]
    file, python = work / target.model, [sys.executable, "-m"]
    flags = ["--context", str(CONTEXT), "--prefill", "128", "--modalities", "text,image", "--image-tokens", str(tokens)]
    with progress.elsewhere(f"file for {tokens} tokens"):
        stage("convert", [*python, "convert", "convert", model, str(file), *flags], env)
    found = target.inspect(file)
    assert found is not None
    wide, high = sides(tokens)
    pixels = np.random.default_rng(0).integers(0, 256, (high, wide, 3), dtype=np.uint8)
    picture = write_png(work / "image.png", pixels)
    text = [*python, "tests.bench.engine.message", str(file), str(work), str(tokens)]
    turns = dict[bool, list[Turn]]()
    with progress.stage(f"messages, {tokens} tokens", 2 * ROUNDS + 1, "messages") as told:
        for number in range(2 * ROUNDS + 1):
            seen = number % 2 == 0
            turn = _turn([*text, str(picture)] if seen else text, env)
            if number:  # the first start packs the weights
                turns.setdefault(seen, []).append(turn)
            told.advance(1)
    sections = sum(section.bytes for section in found.sections if "vision" in section.kind)
    return Budget(tokens, sections, tuple(turns[True]), tuple(turns[False]))


def _turn(command: list[str], env: dict[str, str]) -> Turn:
    ran = run(command, env)
    ran.check("message")
    return Turn(**json.loads(ran.output.splitlines()[-1]), resident=ran.peak_bytes)
