"""``just bench tokenizer``: how the stock engine loads a tokenizer of real size, in each form it can read.

The same small model is packed with each form and loaded by a process of its own, several times in turn.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert import tables
from convert.child import RSS_UNIT, run

ROUNDS = 5
_TEXT = "How many grams are in 12 kilograms? 漢字 \U0001f600\n"


@dataclass(frozen=True)
class Form:
    """Attributes:
    kind: of the container's section.
    content: its bytes.
    seconds: what it took to make them.
    """

    name: str
    kind: str
    content: bytes
    seconds: float


def tokenizer() -> str:
    """A table of all forms, with the ratio of each to the one that is packed.

    The forms are made by a process of their own: on Linux a child's peak begins at what its parent held.
    """
    with tempfile.TemporaryDirectory() as work:
        made = json.loads(_child("write", work))
        loads = [[json.loads(_child("load", file, work)) for file in made["files"]] for _ in range(ROUNDS)]
    count = len(made["files"])
    medians = [[statistics.median(each[form][part] for each in loads) for part in range(3)] for form in range(count)]
    rows = []
    for (name, size, packing), figures in zip(made["forms"], medians, strict=True):
        shown = (f"{figures[0]:.2f} s", tables.size(int(figures[1])), tables.size(int(figures[2])))
        ratios = [f"{mine / max(packed, 1e-9):.1f}" for mine, packed in zip(figures, medians[0], strict=True)]
        cells = [f"{figure} ({ratio})" for figure, ratio in zip(shown, ratios, strict=True)]
        rows.append((name, tables.size(size), f"{packing:.2f} s", *cells))
    title = f"a tokenizer.json of {tables.size(made['size'])} in the stock engine, median of {ROUNDS}"
    head = ("form", "in the file ", "packed in ", "ready after (x) ", "memory held (x) ", "peak memory (x) ")
    note = "(x) times the first form's, which is packed wherever it gives the same tokens\n"
    return tables.table(title, head, rows) + note


def _child(*arguments: str) -> str:
    ran = run([sys.executable, "-m", "tests.bench.tokenizer", *arguments], dict(os.environ))
    ran.check(arguments[0])
    return ran.output


def _write(folder: Path) -> dict[str, Any]:
    """Packs every form into a file of its own."""
    from convert.demo.writing.tokenizer import published_text
    from tests.support.checkpoints.published import full_tokenizer

    text = published_text(full_tokenizer.pieces()).encode("utf-8")
    forms = _forms(text)
    files = [str(_packed(form, folder / f"{number}.litertlm")) for number, form in enumerate(forms)]
    told = [(form.name, len(form.content), form.seconds) for form in forms]
    return {"size": len(text), "files": files, "forms": told}


def _forms(text: bytes) -> list[Form]:
    from convert.targets.litert import sentencepiece

    compact = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":")).encode("utf-8")

    def made(name: str, kind: str, make: Callable[[], bytes]) -> Form:
        start = time.perf_counter()
        content = make()
        return Form(name, kind, content, time.perf_counter() - start)

    def zipped(content: bytes, level: int) -> Callable[[], bytes]:
        return lambda: len(content).to_bytes(8, "little") + zlib.compress(content, level)

    return [
        made("SentencePiece", "SP_Tokenizer", lambda: sentencepiece.read(text)),
        *(made(f"tokenizer.json, zlib level {n}", "HF_Tokenizer_Zlib", zipped(text, n)) for n in (1, 6, 9)),
        made("without blanks, zlib level 6", "HF_Tokenizer_Zlib", zipped(compact, 6)),
        made("without blanks, uncompressed", "HF_Tokenizer_Zlib", zipped(compact, 0)),
    ]


def _packed(form: Form, out: Path) -> Path:
    """The demo's graphs and metadata with this tokenizer."""
    from convert import demo
    from convert.checkpoint import open_checkpoint
    from convert.progress import Silent
    from convert.targets.litert import LitertOptions, build, container

    section = container.Section(form.kind, {}, lambda file: file.write(form.content))
    options = LitertOptions(context=128, prefill=(16,))
    build.build(open_checkpoint(demo.folder()), options, out, Silent(), tokenizer=section)
    return out


def _load(file: Path, scratch: Path) -> tuple[float, int, int]:
    """Seconds, bytes held and peak bytes that loading and one tokenization add to a process that has the engine."""
    import resource

    import litert_lm

    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT

    def resident() -> int:
        """Linux only; elsewhere the peak stands for it."""
        status = Path("/proc/self/statm")
        return int(status.read_text().split()[1]) * resource.getpagesize() if status.exists() else peak()

    litert_lm.set_min_log_severity(litert_lm.LogSeverity.ERROR)
    before = peak()
    start = time.perf_counter()
    cpu = litert_lm.Backend.CPU(thread_count=1)
    with litert_lm.Engine(str(file), backend=cpu, cache_dir=str(scratch)) as engine:
        list(engine.tokenize(_TEXT))
        return time.perf_counter() - start, resident() - before, peak() - before


if __name__ == "__main__":
    verb, *paths = sys.argv[1:]
    given = [Path(path) for path in paths]
    print(json.dumps(_write(*given) if verb == "write" else _load(*given)))  # noqa: T201
