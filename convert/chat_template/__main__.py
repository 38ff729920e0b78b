"""``python -m convert.chat_template FOLDER adapted|as-it-is SECONDS``: adapts a template with little to spend.

A template is a program from somewhere. Its time and memory are bounded here, so that one without end costs a refusal.
The answer is JSON on stdout: ``{"adapted": ...}`` or ``{"refused": [found, action]}``.
"""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

MEMORY_BYTES = 2 << 30


def _answer(folder: Path, how: str) -> dict[str, Any]:
    from convert.chat_template.adapt import RefusedError, adapt, as_it_is
    from convert.chat_template.source import read
    from convert.errors import CheckpointError

    try:
        source = read(folder)
        adapted = adapt(source) if how == "adapted" else as_it_is(source)
        return {"adapted": asdict(adapted), "name": source.name}
    except CheckpointError as error:
        return {"refused": [error.found, error.action]}
    except RefusedError as error:
        return {"refused": [error.found, error.action]}
    except RecursionError:
        return {"refused": ["the chat template is nested too deep", "Take the instruction-tuned model's"]}
    except MemoryError:
        found = f"the chat template needs more than {MEMORY_BYTES >> 30} GB of memory"
        return {"refused": [found, "Take the instruction-tuned model's"]}


def main() -> None:
    """Answers on stdout."""
    seconds = int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    if sys.platform == "linux":  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    answer = _answer(Path(sys.argv[1]), sys.argv[2])
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
