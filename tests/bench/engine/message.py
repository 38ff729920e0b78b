"""A message to the stock engine, timed up to the first token of its answer; with an image or without.

``python -m tests.bench.engine.message FILE SCRATCH ROWS [IMAGE]`` prints JSON. SCRATCH is the folder in which the
engine keeps packed weights between two starts. Without an image the engine loads no tower, and a text of as many tokens
stands in the image's place.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from convert import guard
from tests.bench.peers.ours import text_of

THREADS = 2
QUESTION = "?"
AROUND = 2  # tokens in which the engine encloses an image's rows
PERIOD_S = 0.02


class Memory(threading.Thread):
    """Looks at this process's memory of its own (no page of a file; proc(5), ``RssAnon``) until the context ends."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._seen, self._ended = list[tuple[float, int]](), threading.Event()

    def __enter__(self) -> Memory:
        self._look()
        self.start()
        return self

    def __exit__(self, *of: object) -> None:
        self._ended.set()
        self.join()
        self._look()

    def taken(self, seconds: float = math.inf) -> int:
        """The most beyond what there was at the beginning, in the first so many seconds; bytes."""
        (begun, before), *_ = self._seen
        return max(own for at, own in self._seen if at <= begun + seconds) - before

    def run(self) -> None:
        while not self._ended.wait(PERIOD_S):
            self._look()

    def _look(self) -> None:
        own = _own()  # before the clock: what is taken between the two belongs to later
        self._seen.append((time.perf_counter(), own))


def content(engine: Any, rows: int, image: str | None) -> list[dict[str, str]]:
    """What the message holds.

    Args:
        rows: that the image becomes.
        image: its path; None: text in its place.

    Raises:
        ArtifactError: no text of so many tokens is known.
    """
    if image is None:
        return [{"type": "text", "text": QUESTION + text_of(engine, rows + AROUND)}]
    return [{"type": "image", "path": image}, {"type": "text", "text": QUESTION}]


def measured(file: str, scratch: str, rows: int, image: str | None) -> dict[str, float]:
    """Figures of one message: all of ``Turn`` but what the process held."""
    import litert_lm

    litert_lm.set_min_log_severity(litert_lm.LogSeverity.ERROR)
    cpu = litert_lm.Backend.CPU(thread_count=THREADS)
    greedy = litert_lm.SamplerConfig(top_k=1, top_p=1.0, temperature=1.0, seed=1)
    tower = {"vision_backend": cpu, "max_num_images": 1} if image else {}
    with (
        litert_lm.Engine(file, backend=cpu, cache_dir=scratch, enable_benchmark=True, **tower) as engine,
        engine.create_conversation(max_output_tokens=1, sampler_config=greedy) as conversation,
    ):
        message = {"role": "user", "content": content(engine, rows, image)}
        with Memory() as memory:
            wall, busy = time.perf_counter(), _processor()
            conversation.send_message(message)
            wall, busy = time.perf_counter() - wall, _processor() - busy
        info = conversation.get_benchmark_info()
    decoder = info.time_to_first_token_in_second
    return {
        "wall": wall,
        "decoder": decoder,
        "processor": busy,
        "tower": memory.taken(wall - decoder),
        "taken": memory.taken(),
        "prompt": info.last_prefill_token_count,
    }


def _own() -> int:
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def _processor() -> float:
    times = os.times()
    return times.user + times.system


def _main() -> str:
    file, scratch, rows, *image = sys.argv[1:]
    return json.dumps(measured(file, scratch, int(rows), image[0] if image else None)) + "\n"


if __name__ == "__main__":
    guard.guarded(lambda: print(_main(), end=""))  # noqa: T201
