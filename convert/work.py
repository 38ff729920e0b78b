"""The converter as a process of its own, told by a file what has been planned: nothing is planned twice.

``python -m convert.work ORDER``: the order is a JSON file of the builder's. When it ends, its memory is gone.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from convert.checkpoint import Located, open_folder
from convert.checkpoint.types import Checkpoint
from convert.plan import Plan
from convert.targets import all_targets


def order(plan: Plan, checkpoint: Checkpoint, out: Path) -> str:
    """What is to be done, as JSON.

    Args:
        checkpoint: with digests.
        out: where the model has to lie afterwards.
    """
    told = {
        "target": plan.target,
        "options": asdict(plan.options),
        "model": _told(checkpoint),
        "modalities": sorted(plan.modalities),
        "drafter": None if checkpoint.drafter is None else _told(checkpoint.drafter),
        "out": str(out),
    }
    return json.dumps(told, sort_keys=True)


def _told(checkpoint: Checkpoint) -> dict[str, Any]:
    source = checkpoint.source
    return {
        "folder": str(checkpoint.folder),
        "id": source.id,
        "revision": source.revision,
        "files": source.files,
    }


def work(told: dict[str, Any]) -> None:
    """Does it.

    Raises:
        ConvertError: something in the checkpoint cannot be held by the target.
    """
    from convert.checkpoint.drafter import open_drafter
    from convert.progress import for_terminal

    target = all_targets()[told["target"]]
    options = target.options(**{name: _tuples(value) for name, value in told["options"].items()})
    checkpoint = _with_files(open_folder(_located(told["model"]), told["modalities"]), told["model"])
    if (beside := told["drafter"]) is not None:
        checkpoint = open_drafter(_located(beside), checkpoint)
        assert checkpoint.drafter is not None
        checkpoint = replace(checkpoint, drafter=_with_files(checkpoint.drafter, beside))
    target.convert(checkpoint, options, Path(told["out"]), for_terminal())


def _located(told: dict[str, Any]) -> Located:
    return Located(Path(told["folder"]), told["id"], told["revision"], "")


def _with_files(checkpoint: Checkpoint, told: dict[str, Any]) -> Checkpoint:
    files = {name: (digest, size) for name, (digest, size) in told["files"].items()}
    return replace(checkpoint, source=replace(checkpoint.source, files=files))


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


if __name__ == "__main__":
    from convert.guard import guarded

    guarded(lambda: work(json.loads(Path(sys.argv[1]).read_text("utf-8"))))
