"""Runs every runtime in a process of its own, turn about, and probes the machine's memory after each round."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convert.child import run
from runtime_tests.pinned.pieces import FetchError
from tests.bench.peers import exporter
from tests.bench.peers.figures import Run, Side
from tests.bench.peers.kept import Kept, kept
from tests.bench.peers.machine import Bandwidth, machine
from tests.bench.peers.report import Converted, Report, Setting
from tests.bench.peers.sides import LLAMA, Runtime, llama_cpp, ours
from tests.bench.rates import stage

THREADS, PROMPT, ANSWER, SPARE = 2, 512, 64, 640
MOST_ROUNDS = SPARE // (ANSWER + 1) - 1  # of a prompt that is read once: each round adds an answer behind it
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What is to be compared.

    Attributes:
        checkpoint: a checkpoint's folder; None: one of E2B mobile's size is written, and removed again.
        root: folder for large files meanwhile.
        contexts: in tokens.
        prompts: of each context: ``short``, ``filled``, or ``both``; see :func:`prompts`.
        rounds: beside the first start.
        gguf: llama.cpp's file; one that is not there is written and kept. None: written, and removed again.
        exporter: bytes of memory at which litert-torch's exporter is ended; None: it does not run.
    """

    checkpoint: Path | None
    root: Path
    contexts: tuple[int, ...]
    prompts: str = "short"
    rounds: int = 5
    gguf: Path | None = None
    exporter: int | None = None


def prompts(context: int, kinds: str) -> tuple[int, ...]:
    """Lengths of the prompts for a context, in tokens: 512, or all but 640, where that is longer."""
    filled = (context - SPARE,) if context - SPARE > PROMPT else ()
    return {"short": (PROMPT,), "filled": filled or (PROMPT,), "both": (PROMPT, *filled)}[kinds]


def compare(asked: Asked, tell: Tell) -> Report:
    """Converts, runs everything, and removes what it wrote but the file at ``asked.gguf``.

    Raises:
        ConvertError: one of the runtimes, or converting, was refused or killed.
    """
    asked.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="peers-", dir=asked.root) as name:
        work, said, peers = Path(name), list[str](), list[Runtime]()
        env = os.environ | {"TMPDIR": name, "OMP_NUM_THREADS": str(THREADS)}
        rounds = _Rounds(asked.rounds, env, tell)
        checkpoint = asked.checkpoint or _written(work, env, tell)
        tell(f"{LLAMA}: its environment, compiled the first time, and its file")
        try:
            peers.append(llama_cpp(checkpoint / "config.json", asked.gguf or work / "peer.gguf", env))
        except FetchError as error:
            said.append(f"{LLAMA}: not run: {error}")
        converted, settings = list[Converted](), list[Setting]()
        for context in asked.contexts:
            tell(f"context {context}: converting")
            with ours(checkpoint, context, work, env) as (mine, measure, cache):
                for prompt in prompts(context, asked.prompts):
                    once = prompt > PROMPT
                    turn = rounds.run_once_read if once else rounds.run
                    settings.append(Setting(context, prompt, turn([mine, *peers], context, prompt), once))
                kept = sum(path.stat().st_size for path in cache.iterdir())
                converted.append(Converted(context, measure, mine.files, kept))
        if asked.exporter is not None:
            tell(f"{exporter.NAME}: minutes")
            said.append(exporter.export(checkpoint, work, asked.exporter, env))
    name = asked.checkpoint.name if asked.checkpoint else "E2B mobile, synthetic"
    found = (tuple(converted), tuple(settings), rounds.system, tuple(said))
    return Report(name, ANSWER, THREADS, asked.rounds, machine(rounds.bandwidth), *found)


def _written(work: Path, env: dict[str, str], tell: Tell) -> Path:
    tell("writing a checkpoint of E2B's size")
    folder = work / "e2b_mobile"
    stage("checkpoint", [sys.executable, "-m", "tests.support.checkpoints.fullsize", "e2b", "mobile", str(folder)], env)
    return folder


class _Rounds:
    """Counts rounds and keeps what is learned on the way: the bandwidth, and what llama.cpp says that it uses."""

    def __init__(self, count: int, env: dict[str, str], tell: Tell) -> None:
        self.bandwidth, self.system = Bandwidth(), ""
        self._count, self._env, self._tell = count, env, tell

    def run(self, runtimes: Sequence[Runtime], context: int, prompt: int) -> tuple[Side, ...]:
        """The first start of each, which counts in no median, then the rounds."""
        found: dict[str, list[Run]] = {runtime.name: [] for runtime in runtimes}
        for number in range(self._count + 1):
            for runtime in runtimes:
                turn = f"round {number} of {self._count}" if number else "first start"
                self._tell(f"context {context}, prompt {prompt}, {turn}: {runtime.name}")
                found[runtime.name].append(self._start(runtime, context, prompt))
            if number:
                self.bandwidth.probe(self._env)
        ran = ((runtime, found[runtime.name]) for runtime in runtimes)
        return tuple(Side(one.name, one.files, one.read, runs[0], tuple(runs[1:])) for one, runs in ran)

    def run_once_read(self, runtimes: Sequence[Runtime], context: int, prompt: int) -> tuple[Side, ...]:
        """The same, but each reads its prompt once, keeps it, and answers behind it in every round.

        So what reading took is one figure, and a round is as short as its answers, however long the prompt is.
        """
        found: dict[str, list[Run]] = {runtime.name: [] for runtime in runtimes}
        alive: list[tuple[str, Kept]] = []
        with ExitStack() as open_ones:
            for one in runtimes:  # one after the other: each begins with its prompt
                self._tell(f"context {context}, prompt {prompt}, reads its prompt: {one.name}")
                process = open_ones.enter_context(kept(self._command(one, context, prompt), self._env, one.name))
                alive.append((one.name, process))
                found[one.name].append(self._heard(process.first()))
            for number in range(1, self._count + 1):
                for name, process in alive:
                    self._tell(f"context {context}, prompt {prompt}, round {number} of {self._count}: {name}")
                    found[name].append(self._heard(process.again()))
                self.bandwidth.probe(self._env)
            for _, process in alive:
                process.end()
        peaks = {name: process.peak_bytes for name, process in alive}
        sides = []
        for one in runtimes:
            first, *later = (replace(run, resident=peaks[one.name]) for run in found[one.name])
            sides.append(Side(one.name, one.files, one.read, first, tuple(later)))
        return tuple(sides)

    def _command(self, runtime: Runtime, context: int, prompt: int) -> list[str]:
        return [*runtime.command, *map(str, (context, prompt, ANSWER, THREADS)), *runtime.more]

    def _heard(self, told: dict[str, Any], resident: int = 0) -> Run:
        if "system" in told:
            self.system = f"{told.pop('system').strip(' |')} (llama-cpp-python {told.pop('version')})"
        return Run(**told, resident=resident)

    def _start(self, runtime: Runtime, context: int, prompt: int) -> Run:
        ran = run(self._command(runtime, context, prompt), self._env)
        ran.check(runtime.name)
        return self._heard(json.loads(ran.output.splitlines()[-1]), ran.peak_bytes)
