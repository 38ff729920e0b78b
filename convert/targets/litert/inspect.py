"""What a finished ``.litertlm`` or ``.tflite`` holds. The container is read with the judge's reader: one that trusts no
byte, and none of the writers' code."""

from __future__ import annotations

import mmap
import re
from math import prod
from pathlib import Path

from convert.errors import ArtifactError
from convert.inspection.report import Cache, Report, Section, Signature
from convert.inspection.weights import merge
from convert.targets.litert.outside import Outside, outside
from runtime_tests.readers.regular import open_regular


def inspect(path: Path) -> Report:
    """Reads headers and the outside of graphs, no weights.

    Raises:
        ArtifactError: damaged, or neither a ``.litertlm`` nor a ``.tflite``.
    """
    return _tflite(path) if path.suffix == ".tflite" else _litertlm(path)


def _litertlm(path: Path) -> Report:
    from runtime_tests.errors import InputError
    from runtime_tests.readers.litert.litertlm import open_litertlm

    try:
        container = open_litertlm(path)
    except InputError as error:
        raise ArtifactError(f"inspect {path.name}", str(error), "Give a .litertlm file as it was built") from error
    sections = tuple(
        Section(str(s.items.get("model_type", s.kind)).lower(), s.begin, s.end - s.begin) for s in container.sections
    )
    return _report(path, sections, {kind: outside(s.data, kind) for kind, s in container.models().items()})


def _tflite(path: Path) -> Report:
    try:
        with open_regular(path) as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        asked = f"inspect {path.name}"
        raise ArtifactError(asked, f"cannot be read ({error})", "Give a .litertlm or .tflite file") from error
    return _report(path, (Section(path.stem, 0, len(data)),), {path.stem: outside(data, path.stem)})


def _report(path: Path, sections: tuple[Section, ...], models: dict[str, Outside]) -> Report:
    signatures = tuple(signature for model in models.values() for signature in model.signatures)
    return Report(
        file=path.name,
        bytes=path.stat().st_size,
        sections=sections,
        signatures=signatures,
        cache=_cache(signatures),
        weights=merge(share for model in models.values() for share in model.weights),
        operators={kind: model.operators for kind, model in models.items()},
        images=_images(signatures),
    )


def _images(signatures: tuple[Signature, ...]) -> tuple[int, ...]:
    """The numbers behind the names of the encoder's signatures."""
    names = [each.name for each in signatures if each.section == "tf_lite_vision_encoder"]
    return tuple(sorted(int(match[1]) for name in names if (match := re.fullmatch(r"vision_(\d{1,5})", name))))


def _cache(signatures: tuple[Signature, ...]) -> Cache | None:
    decode = next((s for s in signatures if s.name == "decode"), None)
    caches = [t for t in decode.inputs if t.name.startswith("kv_cache_")] if decode else []
    keys = [t for t in caches if t.name.startswith("kv_cache_k_")]
    if not keys:
        return None
    width = 1 if keys[0].dtype == "int8" else 4
    lengths = [t.shape[2] for t in keys]
    ring = min(lengths) if min(lengths) < max(lengths) else None
    return Cache(keys[0].dtype, max(lengths), len(keys), sum(prod(t.shape) for t in caches) * width, ring)
