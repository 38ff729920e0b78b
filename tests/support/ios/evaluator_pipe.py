"""The judge's evaluator at the other end of two named pipes: what the iOS sample's ``PipedProgram`` talks to."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from runtime_tests.coreml.program.evaluator import Evaluator
from runtime_tests.readers.coreml.mlpackage import open_mlpackage

# What changes the inputs of a call that reads a picture, by name, in place: a fault.
Alter = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Pipes:
    """Paths for the other side, and what was called.

    Attributes:
        calls: of the decoder: part, function, position of the first row.
        seen: functions that read pictures; ``rest`` where what reads them was let go.
        alter: what changes their inputs.
    """

    to: str
    back: str
    calls: list[tuple[int, str, int]]
    seen: list[str]
    alter: Alter | None


@contextmanager
def serving(folder: Path, scratch: Path, alter: Alter | None = None) -> Iterator[Pipes]:
    """Runs the packages of a bundle, in the order of its manifest, for whoever opens the pipes."""
    feeding = json.loads((folder / "manifest.json").read_text("utf-8"))["feeding"]
    names = [part["model"] for part in feeding["calls"]["parts"]]
    evaluators = [Evaluator(open_mlpackage(folder / name)) for name in names]
    lengths = (feeding.get("images") or {"lengths": []})["lengths"]
    seers = {name: Evaluator(open_mlpackage(folder / name)) for name in {each["calls"][0]["model"] for each in lengths}}
    pipes = Pipes(str(scratch / "to"), str(scratch / "back"), [], [], alter)
    for path in (pipes.to, pipes.back):
        Path(path).unlink(missing_ok=True)
        os.mkfifo(path)
    thread = threading.Thread(target=_serve, args=(evaluators, seers, pipes), daemon=True)
    thread.start()
    try:
        yield pipes
    finally:
        # In case that nobody has come and the thread still waits for one: at both ends somebody opens, and goes again.
        back = os.open(pipes.back, os.O_RDWR)
        os.close(os.open(pipes.to, os.O_RDWR))
        thread.join(10)
        os.close(back)


def _serve(evaluators: list[Evaluator], seers: dict[str, Evaluator], pipes: Pipes) -> None:
    states: list[list[dict[str, Any]]] = []
    with Path(pipes.to).open("rb") as source, Path(pipes.back).open("wb") as out:
        while line := source.readline():
            try:
                answer, content = _answer(evaluators, seers, states, json.loads(line), source, pipes)
            except Exception as error:
                answer, content = {"error": f"{type(error).__name__}: {error}"}, b""
            try:
                out.write(json.dumps(answer).encode() + b"\n" + content)
                out.flush()
            except BrokenPipeError:
                return


def _answer(
    evaluators: list[Evaluator],
    seers: dict[str, Evaluator],
    states: list[list[dict[str, Any]]],
    asked: Any,
    source: BinaryIO,
    pipes: Pipes,
) -> tuple[dict[str, Any], bytes]:
    if "rest" in asked:
        pipes.seen.append("rest")
        return {}, b""
    if asked.get("states") is True:
        states.append([evaluator.new_state("decode") for evaluator in evaluators])
        return {"number": len(states) - 1}, b""
    inputs = {}
    for one in asked["inputs"]:
        dtype = np.dtype(one["dtype"])
        inputs[one["name"]] = np.frombuffer(source.read(dtype.itemsize * prod(one["shape"])), dtype).reshape(
            one["shape"]
        )
    function = asked["function"]
    if "model" in asked:
        pipes.seen.append(function)
        if pipes.alter is not None:
            pipes.alter(inputs)
        made = seers[asked["model"]].run(function, inputs, None)
    else:
        part = asked["part"]
        pipes.calls.append((part, function, int(inputs["position"][0]) if "position" in inputs else -1))
        made = evaluators[part].run(function, inputs, states[asked["states"]][part])
    arrays = {name: np.ascontiguousarray(value.numpy(), np.float32) for name, value in made.items()}
    described = [{"name": name, "shape": list(array.shape), "dtype": "float32"} for name, array in arrays.items()]
    return {"outputs": described}, b"".join(array.tobytes() for array in arrays.values())
