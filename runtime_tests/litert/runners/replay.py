"""Plays recorded calls in an interpreter. A script of its own as well: it needs a Python with numpy and a runtime.

``python replay.py JOB`` reads ``JOB/job.json`` and the arrays ``JOB/<number>.npy`` that it names, and writes what the
calls gave as ``JOB/<number>.out.npy``, and ``JOB/done.json`` when all is written. Nothing else of this project is
imported, so that the Python of another processor can run the file as it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, Any]


def play(run: Callable[[str, Arrays], Arrays], calls: Iterable[dict[str, Any]], state: Arrays) -> list[Arrays]:
    """Makes the calls in order.

    Args:
        run: one invocation of a signature, arrays by name in and out.
        calls: ``signature``; ``inputs`` by name; ``carry``, names that are fed from what the call before gave under
            them; ``keep``, names of the outputs that are wanted.
        state: what the first call is fed under the carried names.

    Returns:
        the kept outputs of each call.
    """
    state, kept = dict(state), []
    for call in calls:
        out = run(call["signature"], {**call["inputs"], **{name: state[name] for name in call["carry"]}})
        state.update({name: out[name] for name in call["carry"] if name in out})
        kept.append({name: out[name] for name in call["keep"]})
    return kept


def load(runtime: str, path: str, threads: int) -> Any:
    """An interpreter by ``litert``, ``builtin`` (no delegate), ``reference`` (plain C++ kernels), or ``tensorflow``."""
    if runtime == "tensorflow":
        import tensorflow as tf

        return tf.lite.Interpreter(path, num_threads=threads)
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = {"litert": "BUILTIN", "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "reference": "BUILTIN_REF"}
    resolver = OpResolverType[kernels[runtime]]
    return Interpreter(path, num_threads=threads, experimental_op_resolver_type=resolver)


def _play_file(folder: Path, job: dict[str, Any], tape: dict[str, Any]) -> list[dict[str, str]]:
    """Plays one tape; gives the file names of what was kept."""
    interpreter = load(job["runtime"], str(folder / tape["model"]), job["threads"])
    interpreter.allocate_tensors()
    runners: dict[str, Any] = {}

    def run(signature: str, inputs: Arrays) -> Arrays:
        if signature not in runners:
            runners[signature] = interpreter.get_signature_runner(signature)
        # A runner hands out views of the interpreter's memory.
        return {name: np.array(value) for name, value in runners[signature](**inputs).items()}

    def read(names: dict[str, str]) -> Arrays:
        return {name: np.load(folder / file, allow_pickle=False) for name, file in names.items()}

    state = {name: np.zeros(shape, dtype) for name, (shape, dtype) in tape["state"].items()}
    calls = ({**call, "inputs": read(call["inputs"])} for call in tape["calls"])
    written = []
    for number, kept in enumerate(play(run, calls, state)):
        files = {name: f"{tape['model']}.{number}.{i}.out.npy" for i, name in enumerate(kept)}
        for name, file in files.items():
            np.save(folder / file, kept[name])
        written.append(files)
    return written


if __name__ == "__main__":
    where = Path(sys.argv[1])
    asked = json.loads((where / "job.json").read_text("utf-8"))
    made = [_play_file(where, asked, tape) for tape in asked["tapes"]]
    (where / "done.json").write_text(json.dumps(made), "utf-8")
