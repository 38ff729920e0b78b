"""``just bench drafter MODEL DRAFTER``: what drafting costs, and how many drafts must be right for it to pay.

The file's decoder and drafter run as the engine runs them, compiled models on two threads with packed weights shared by
the signatures, on inputs of no meaning: no kernel's time depends on them. The calls take turns, so that whatever else
the machine does strikes all of them alike.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convert import guard, tables
from convert.chat.native_log import NativeLog
from convert.child import run
from convert.progress import Silent
from convert.targets import all_targets
from convert.targets.litert.options import DRAFTS
from tests.bench.engine.worth import said

THREADS, ROUNDS, UNTIMED = 2, 20, 2
CONTEXT, PREFILL, FILLED, CACHE = 1024, 128, 512, "int8"
TARGET = "litert"
CALLS = {"decode": "decode, one token", "verify": f"verify, {DRAFTS + 1} tokens", "draft": "the drafter, one draft"}
Times = dict[str, list[tuple[float, float]]]  # by call: seconds on the wall and of the processor, round by round


def steps(model: str, drafter: str, root: Path) -> str:
    """Converts, times each call ``ROUNDS`` times, and gives the table and what follows from it."""
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="drafter-", dir=root) as work:
        python, env = [sys.executable, "-m", "tests.bench.engine.steps"], os.environ | {"TMPDIR": work}
        file = Path(work) / all_targets()[TARGET].model
        run([*python, "make", model, drafter, str(file)], env).check("convert")
        ran = run([*python, "run", str(file), work], env)
        ran.check("run")
    found: Times = json.loads(ran.output.splitlines()[-1])
    wall, busy = ({name: statistics.median(each[i] for each in found[name]) for name in CALLS} for i in (0, 1))
    rows = []
    for name, shown in CALLS.items():
        least, most = min(each[0] for each in found[name]), max(each[0] for each in found[name])
        span = f"{1e3 * least:.1f} to {1e3 * most:.1f}"
        rows.append((shown, f"{1e3 * wall[name]:.1f} ms", span, f"{1e3 * busy[name]:.1f} ms"))
    title = f"{model} with {drafter}: {FILLED} of {CONTEXT} positions of an {CACHE} cache filled, {THREADS} threads, "
    heads = ("call", "wall time ", "range ", "processor ")
    table = tables.table(f"{title}medians of {ROUNDS} turns", heads, rows)
    return f"{table}\n" + "".join(
        said(kind, (DRAFTS * each["draft"] + each["verify"]) / each["decode"], DRAFTS)
        for kind, each in (("wall time", wall), ("processor time", busy))
    )


def make(model: str, drafter: str, file: Path) -> None:
    """The model with its drafter."""
    from convert.checkpoint import open_checkpoint
    from convert.checkpoint.drafter import locate, open_drafter

    target, checkpoint = all_targets()[TARGET], open_drafter(locate(drafter), open_checkpoint(model))
    target.convert(checkpoint, target.options(context=CONTEXT, prefill=(PREFILL,), cache=CACHE), file, Silent())


def timed(file: Path, scratch: Path) -> Times:
    """Seconds of the calls."""
    from runtime_tests.litert.case import DECODER, DRAFTER
    from runtime_tests.readers.litert.litertlm import open_litertlm
    from runtime_tests.readers.litert.tflite import open_tflite

    opened = open_litertlm(file)
    calls: dict[str, Callable[[], None]] = {}
    for section, names in ((DECODER, ("decode", "verify")), (DRAFTER, ("draft",))):
        data = opened.model(section).data
        model, alone = open_tflite(data, section), scratch / f"{section}.tflite"
        alone.write_bytes(data)
        runs = _compiled(alone, scratch / f"{section}.packed")
        signatures = {name: name if name in model.signatures else next(iter(model.signatures)) for name in names}
        calls |= {name: _call(runs, model, signature) for name, signature in signatures.items()}
    found: Times = {name: [] for name in CALLS}
    for number in range(UNTIMED + ROUNDS):
        for name, call in calls.items():
            wall, busy = time.perf_counter(), time.process_time()
            call()
            spent = time.perf_counter() - wall, time.process_time() - busy
            if number >= UNTIMED:
                found[name].append(spent)
    return found


def _compiled(path: Path, packed: Path) -> Any:
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.cpu_options import CpuOptions
    from ai_edge_litert.options import Options

    options = CpuOptions(num_threads=THREADS, xnnpack_weight_cache_path=str(packed))
    return CompiledModel.from_file(str(path), options=Options(cpu_options=options))


def _call(runs: Any, model: Any, signature: str) -> Callable[[], None]:
    """A call on random numbers, its positions behind those that are filled."""
    import numpy as np

    graph, entry = model.subgraph(signature), model.signatures[signature]
    generator = np.random.default_rng(1)
    inputs, outputs = {}, {}
    for name, index in entry.inputs.items():
        tensor = graph.tensors[index]
        if name == "input_pos":
            value = np.arange(FILLED, FILLED + tensor.shape[0], dtype=np.int32)
        elif name == "mask":
            open_to = FILLED + 1 + np.arange(tensor.shape[2])[:, None]
            value = np.where(np.arange(CONTEXT) < open_to, np.float32(0), np.float32(-1e38))[None, None]
        elif tensor.type == "INT8":
            value = generator.integers(-64, 64, tensor.shape, np.int8)
        else:
            value = generator.standard_normal(tensor.shape, np.float32)
        inputs[name] = runs.create_input_buffer_by_name(signature, name)
        inputs[name].write(np.ascontiguousarray(value))
    for name in entry.outputs:
        outputs[name] = runs.create_output_buffer_by_name(signature, name)
    return lambda: runs.run_by_name(signature, inputs, outputs)


def _main() -> str:
    what, *rest = sys.argv[1:]
    if what == "make":
        make(rest[0], rest[1], Path(rest[2]))
        return ""
    NativeLog().divert()  # the runtime tells of every accelerator that it has not found
    return json.dumps(timed(Path(rest[0]), Path(rest[1]))) + "\n"


if __name__ == "__main__":
    guard.guarded(lambda: print(_main(), end=""))  # noqa: T201
