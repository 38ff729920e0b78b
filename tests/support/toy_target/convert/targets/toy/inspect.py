"""What a finished `.toy` holds, read with the judge's reader."""

from __future__ import annotations

from collections import Counter
from math import prod
from pathlib import Path
from typing import Any

from convert.errors import ArtifactError
from convert.inspection.report import Cache, Report, Section, Signature
from convert.inspection.weights import Share, component, merge
from convert.model.signature import Tensor


def inspect(path: Path) -> Report:
    """Reads the header.

    Raises:
        ArtifactError: damaged.
    """
    from runtime_tests.errors import InputError
    from runtime_tests.readers.toy import open_toy

    try:
        toy = open_toy(path)
    except InputError as error:
        raise ArtifactError(f"inspect {path.name}", str(error), "Build it again") from error
    decode = toy.functions["decode"]
    caches = [tensor for tensor in decode["outputs"] if tensor["name"].startswith("kv_cache_")]
    size = sum(prod(tensor["shape"]) * 4 for tensor in caches)
    return Report(
        file=path.name,
        bytes=toy.size,
        sections=(Section(f"{toy.paint} header", 0, toy.begin), Section("tensors", toy.begin, toy.size - toy.begin)),
        signatures=tuple(_signature(function) for function in toy.functions.values()),
        cache=Cache("float32", toy.context, len(caches) // 2, size),
        weights=merge(_share(key, entry) for key, entry in toy.tensors.items()),
        operators={
            name: dict(sorted(Counter(step["op"] for step in function["steps"]).items()))
            for name, function in toy.functions.items()
        },
    )


def _signature(function: dict[str, Any]) -> Signature:
    inputs, outputs = (
        tuple(Tensor(t["name"], tuple(t["shape"]), t["dtype"]) for t in function[side])
        for side in ("inputs", "outputs")
    )
    return Signature("program", function["name"], inputs, outputs)


def _share(key: str, entry: dict[str, Any]) -> Share:
    count, groups = prod(entry["shape"]), entry["groups"]
    layout = "none" if not groups else "per row" if groups == 1 else f"per {entry['shape'][1] // groups} columns"
    return Share(
        component(key), entry["bits"], layout, 1, count, count * entry["bits"] // 8, 4 * groups * entry["shape"][0]
    )
