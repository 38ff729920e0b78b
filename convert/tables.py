"""Reports as text: tables for people, JSON for programs, from the same plain data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from convert.catalogue import Catalogue
    from convert.inspection.report import Report, Signature
    from convert.inspection.weights import Share
    from convert.look import CheckpointReport
    from convert.memory import Memory
    from convert.plan import Plan


def to_json(data: Any) -> str:
    """A dataclass as JSON; paths as text."""
    return json.dumps(asdict(data), indent=2, sort_keys=True, default=str) + "\n"


def size(count: int) -> str:
    """Bytes with a unit, decimal.

    >>> size(999), size(2_588_147_712)
    ('999 B', '2.59 GB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.2f} {unit}"
    return f"{count} B"


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; columns whose heading ends with a blank are numbers and stand to the right."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    made.show_header = any(heads)
    for head in heads:
        made.add_column(head.rstrip(), justify="right" if head.endswith(" ") else "left", overflow="fold")
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    console = Console(width=min(160, shutil.get_terminal_size((120, 40)).columns), color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(made)
    lines = [title] * bool(title) + [line.rstrip() for line in capture.get().splitlines()]
    return "\n".join(lines) + "\n"


def plan(made: Plan) -> str:
    """A plan, one line a choice; then what each stage is expected to cost, and what is lacking here."""
    source = made.source if made.revision is None else f"{made.source}@{made.revision}"
    choices = table(
        f"bundle {made.platform}",
        ("", ""),
        (
            ("from", f"{source} ({made.format})"),
            ("to", _near(made.bundle)),
            ("target", made.target),
            *_drafter(made),
            *_modalities(made),
            ("context", f"{made.context} tokens"),
            ("prefill", _prefill(made)),
            ("KV cache", f"{made.cache}, {size(made.cache_bytes)} at full context"),
            *((name.replace("_", " "), value) for name, value in made.flags.items() if name != "cache"),
            ("template", made.template),
            ("model file", f"about {size(made.weight_bytes)}"),
            *_first_start(made),
            ("disk", f"{size(made.disk_needed)} needed, {size(made.room.disk)} free"),
            ("memory", f"about {size(made.memory_needed)} needed, {_free(made.room.memory)}"),
            ("time", f"about {_minutes(made.seconds)} here"),
            ("stops", _stops(made)),
            *((("not carried over", ", ".join(made.not_carried)),) if made.not_carried else ()),
            *((("left out", ", ".join(made.left_out)),) if made.left_out else ()),
            *((("chosen", f"{', '.join(made.chosen)} (no file says)"),) if made.chosen else ()),
        ),
    )
    rows = [(stage.name, _minutes(stage.seconds), size(stage.memory), size(stage.disk)) for stage in made.stages]
    stages = table("expected here", ("stage", "time ", "peak memory ", "disk "), rows)
    lines = [f"not possible here: {found}. {action}" for found, action in made.room.lacking] + [*made.room.tight]
    return "\n".join([choices, stages, *lines]).rstrip() + "\n"


def _drafter(made: Plan) -> list[tuple[str, str]]:
    if (found := made.drafter) is None:
        hint = f"none; published for this model: {made.published_drafter} (--drafter auto)"
        return [("drafter", hint)] if made.published_drafter else []
    named = found.source if found.revision is None else f"{found.source}@{found.revision}"
    return [("drafter", f"{named}: {found.stored}")]


def _first_start(made: Plan) -> list[tuple[str, str]]:
    written = f"writes {size(made.packed_bytes)} on the device, once: the weights as its processor's kernels read them"
    return [("first start", written)] if made.packed_bytes else []


def _modalities(made: Plan) -> list[tuple[str, str]]:
    """What is taken beside text, with the size of its part of the model file, and the memory that one of it takes."""
    rows = []
    for name, count in made.modalities.items():
        more = f", and {size(made.working[name])} of memory while one is read" if name in made.working else ""
        rows.append((f"{name} input", f"about {size(count)} of the model file{more}"))
    return rows


def _free(found: Memory) -> str:
    return f"{size(found.free)} free" + (f" of this container's {size(found.limit)}" if found.limit else "")


def _minutes(seconds: float) -> str:
    """A time in minutes, rounded as an estimate deserves.

    >>> _minutes(20), _minutes(95), _minutes(1500)
    ('0.3 min', '1.6 min', '25 min')
    """
    return f"{seconds / 60:.1f} min" if seconds < 600 else f"{seconds / 60:.0f} min"


def _stops(made: Plan) -> str:
    """Tokens that end an answer; behind one that generation_config.json leaves out stands who names it."""
    words = []
    for stop in made.stops:
        named = any(source.startswith("generation_config.json") for source in stop.sources)
        said = "" if named else f" (added: {', '.join(stop.sources)})"
        words.append(f"{stop.token} {stop.text}{said}")
    return ", ".join(words)


def _prefill(made: Plan) -> str:
    added = " and ".join(filter(None, (", ".join(map(str, made.added[:-1])), *map(str, made.added[-1:]))))
    why = f" ({added} added: without them the end of the context takes no message)" if added else ""
    return ", ".join(map(str, made.prefill)) + " tokens" + why


def report(found: Report | CheckpointReport) -> str:
    """What ``inspect`` prints."""
    from convert.look import CheckpointReport

    return _checkpoint(found) if isinstance(found, CheckpointReport) else _file(found)


def catalogue(found: Catalogue) -> str:
    """What ``list`` prints."""
    # What lies behind a hub id was never fetched where this is tested: its format is known from headers alone.
    run = {"demo": "this model, whole"}
    rows = ((model, run.get(model, "synthetic weights, never these")) for model in found.models)
    parts = [table("models", ("id", "run in tests"), rows)]
    parts.append(table("platforms", ("name",), ((platform,) for platform in found.platforms)))
    if found.bundles:
        built = ((b.platform, b.name, b.source, ", ".join(b.modalities), size(b.bytes), b.state) for b in found.bundles)
        parts.append(table("bundles", ("platform", "name", "source", "takes", "size ", "state"), built))
    return "\n".join(parts)


def _file(found: Report) -> str:
    parts = [f"{found.file}  {size(found.bytes)}\n"]
    rows = ((s.kind, s.begin, size(s.bytes)) for s in found.sections)
    parts.append(table("sections", ("section", "begins at ", "size "), rows))
    parts.append(table("signatures", ("section", "signature", "inputs", "outputs"), map(_signature, found.signatures)))
    if found.cache is not None:
        c = found.cache
        short = "" if c.ring is None else f" (sliding layers {c.ring})"
        told = f"{c.pairs} pairs, {c.dtype}, {c.context} positions{short}, {size(c.bytes)} at full context"
        parts.append(f"KV cache: {told}\n")
    if found.images:
        parts.append(f"images: at most {' or '.join(map(str, found.images))} tokens each\n")
    parts.append(_weights(found.weights))
    for section, codes in found.operators.items():
        rows2 = sorted(codes.items(), key=lambda item: (-item[1], item[0]))
        parts.append(table(f"operators of {section}", ("operator", "count "), rows2))
    return "\n".join(parts)


def _signature(signature: Signature) -> tuple[str, str, str, str]:
    def words(tensors: Iterable[Any]) -> str:
        plain = [t for t in tensors if not t.name.startswith("kv_cache_")]
        caches = sum(t.name.startswith("kv_cache_") for t in tensors)
        lines = [f"{t.name} {t.dtype}{list(t.shape)}" for t in plain]
        return "\n".join([*lines, f"and {caches} caches"] if caches else lines)

    return signature.section, signature.name, words(signature.inputs), words(signature.outputs)


def _checkpoint(found: CheckpointReport) -> str:
    source = found.source if found.revision is None else f"{found.source}@{found.revision}"
    shape = f"{found.layers} layers, hidden {found.hidden}, vocabulary {found.vocab}"
    head = f"{source}  {found.format}: {shape}, window {found.window}, context up to {found.max_context}\n"
    rows = (
        (c.layer, c.kind.removesuffix("_attention"), f"{c.kv_heads} x {c.head_dim}", _ranges(c.read_by))
        for c in found.cache
    )
    parts = [head, table("KV cache", ("layer ", "kind", "heads x size", "also read by"), rows), _weights(found.weights)]
    if found.left_out:
        left = ((count, reason) for reason, count in found.left_out.items())
        parts.append(table("left out", ("tensors ", "reason"), left))
    return "\n".join(parts)


def _weights(shares: Sequence[Share]) -> str:
    rows: list[Sequence[object]] = [
        (s.component, s.bits, s.scales, s.tensors, f"{s.parameters:,}", size(s.code_bytes), size(s.scale_bytes))
        for s in shares
    ]
    codes, scales = sum(s.code_bytes for s in shares), sum(s.scale_bytes for s in shares)
    count = sum(s.parameters for s in shares)
    rows.append(("all", "", "", sum(s.tensors for s in shares), f"{count:,}", size(codes), size(scales)))
    heads = ("weights", "bits ", "scales", "tensors ", "parameters ", "codes ", "scales ")
    return table("", heads, rows) + "\n" + _histogram(shares)


def _histogram(shares: Sequence[Share]) -> str:
    bits: dict[int, int] = {}
    for s in shares:
        bits[s.bits] = bits.get(s.bits, 0) + s.parameters
    total = max(1, sum(bits.values()))
    rows = ((b, f"{n:,}", f"{100 * n / total:.1f} %", "#" * round(40 * n / total)) for b, n in sorted(bits.items()))
    return table("bits of a weight", ("bits ", "parameters ", "part ", ""), rows)


def _ranges(layers: Sequence[int]) -> str:
    """Layer numbers in short.

    >>> _ranges((15, 16, 17, 20))
    '15-17, 20'
    """
    runs: list[list[int]] = []
    for layer in layers:
        if runs and runs[-1][1] == layer - 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _near(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
