"""The converter as a process of its own, told by a file what has been planned: nothing is planned twice.

``python -m convert.work ORDER``: the order is a JSON file of the builder's. When it ends, its memory is gone.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from convert.checkpoint.types import Checkpoint
from convert.plan import Plan
from convert.targets import all_targets


def order(plan: Plan, checkpoint: Checkpoint, out: Path) -> str:
    """What is to be done, as JSON.

    Args:
        checkpoint: with digests.
        out: where the model has to lie afterwards.
    """
    source = checkpoint.source
    told = {
        "target": plan.target,
        "options": asdict(plan.options),
        "folder": str(checkpoint.folder),
        "id": source.id,
        "revision": source.revision,
        "files": source.files,
        "out": str(out),
    }
    return json.dumps(told, sort_keys=True)


def work(told: dict[str, Any]) -> None:
    """Does it.

    Raises:
        ConvertError: something in the checkpoint cannot be held by the target.
    """
    from convert.checkpoint import Located, open_folder
    from convert.progress import for_terminal

    target = all_targets()[told["target"]]
    options = target.options(**{name: _tuples(value) for name, value in told["options"].items()})
    checkpoint = open_folder(Located(Path(told["folder"]), told["id"], told["revision"], ""))
    files = {name: (digest, size) for name, (digest, size) in told["files"].items()}
    checkpoint = replace(checkpoint, source=replace(checkpoint.source, files=files))
    target.convert(checkpoint, options, Path(told["out"]), for_terminal())


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


if __name__ == "__main__":
    from convert.guard import guarded

    guarded(lambda: work(json.loads(Path(sys.argv[1]).read_text("utf-8"))))
