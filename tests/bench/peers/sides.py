"""The runtimes that are compared, each with a model of the same shape: ours converted, llama.cpp's drawn at random."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from convert.child import run
from convert.errors import PlanError
from convert.pipeline import Measure
from convert.targets import all_targets
from runtime_tests.pinned import venvs
from tests.bench.peers import llama
from tests.bench.rates import stage

OURS, LLAMA = "LiteRT-LM, this project's file", "llama.cpp"


@dataclass(frozen=True)
class Runtime:
    """What can be started.

    Attributes:
        command: behind it come context, prompt, answer, threads and ``more``; its last line on stdout is JSON.
        files: bytes of the model.
        read: bytes of weights that every token reads.
    """

    name: str
    command: tuple[str, ...]
    files: int
    read: int
    more: tuple[str, ...] = ()


@contextmanager
def ours(checkpoint: Path, context: int, work: Path, env: dict[str, str]) -> Iterator[tuple[Runtime, Measure, Path]]:
    """This project's file for a context, how it was made, and the folder of the engine's cache; removed again."""
    with tempfile.TemporaryDirectory(prefix=f"{context}-", dir=work) as name:
        target = all_targets()["litert"]
        file, cache = Path(name) / target.model, Path(name) / "cache"
        cache.mkdir()
        flags = ["--context", str(context), "--prefill", "128", "--modalities", "text"]
        command = [sys.executable, "-m", "convert", "convert", str(checkpoint), str(file), *flags]
        measure = stage(f"convert for context {context}", command, env)
        start = (sys.executable, "-m", "tests.bench.peers.ours", str(file))
        read = target.describe(file.parent).mapped_weights
        yield Runtime(OURS, start, file.stat().st_size, read, (str(cache),)), measure, cache


def llama_cpp(config: Path, file: Path, env: dict[str, str]) -> Runtime:
    """llama.cpp, in an environment of its own, with a file of random weights, which is written if it is not there.

    Args:
        config: ``config.json`` of the checkpoint whose shape the file has. What was written is told by a small file
            beside it.

    Raises:
        FetchError: llama.cpp cannot be had.
        PlanError: ``file`` is something else.
    """
    scripts, python = Path(llama.__file__).parent, venvs.python("llama")
    told, shape = file.with_name(f"{file.name}.json"), hashlib.sha256(config.read_bytes()).hexdigest()
    if not file.exists():
        part = file.with_name(f"{file.name}.part")
        ran = run([str(python), "-P", str(scripts / "gguf_file.py"), str(config), str(part)], env)
        ran.check("write a GGUF file")
        told.write_text(json.dumps(json.loads(ran.output) | {"config": shape}) + "\n", "utf-8")
        part.rename(file)
    known = json.loads(told.read_text("utf-8")) if told.is_file() else {}
    if known.get("config") != shape:
        found = f"{file} was not written for this checkpoint's config.json"
        raise PlanError("bench peers", found, "Give another --gguf, or remove that file")
    start = (str(python), "-P", str(scripts / "run.py"), str(file))
    return Runtime(LLAMA, start, file.stat().st_size, int(known["read"]))
