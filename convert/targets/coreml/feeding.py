"""What a call of a package takes, as data: read back from the finished packages and tables."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from convert import feeding as f
from convert.checkpoint.config import SLIDING, Layer, Rope, TextConfig
from convert.checkpoint.modules.text import TABLES
from convert.checkpoint.types import Checkpoint
from convert.targets.coreml.inspect import PartInside, inspect_parts, table_header
from convert.targets.coreml.rings import KEYS, VALUES
from convert.targets.coreml.signature import HIDDEN, KINDS

_PREFILL = re.compile(r"prefill_(\d+)")
_ROWS: dict[str, str] = {"cos": "cosines", "sin": "sines", "mask": "mask"}
_RING = "ring_rows"


def calls(checkpoint: Checkpoint, model: Path) -> f.Calls:
    """See ``Target.calls``.

    Raises:
        ArtifactError: a package or table cannot be read back.
    """
    config, parts = checkpoint.text.config, inspect_parts(model)
    tables = {key: _table(model.with_name(f"{key}.rows"), config, key) for key in _keys(config)}
    layers = {layer.kind: layer for layer in config.layers}
    ring = None if parts[0].ring is None else f.Ring(rows=parts[0].ring, rule="before_the_call_then_its_own")
    prefill = {name: int(n[1]) for part in parts for name in part.functions if (n := _PREFILL.fullmatch(name))}
    return f.Calls(
        layer_types={
            kind: f.LayerType(
                rotary=_rotary(config.ropes[kind], layers[kind]),
                window=config.window if kind == SLIDING else None,
                ring=ring if kind == SLIDING else None,
            )
            for kind in sorted(layers)
        },
        mask=f.Mask(visible=0.0, hidden=HIDDEN, rule="causal"),
        chunks=f.Chunks(
            context=parts[0].positions,
            lengths=[f.Length(function=name, tokens=n) for name, n in sorted(prefill.items(), key=lambda one: one[1])],
            whole="longest",
            rest="shortest_that_holds",
            padding=f.Padding(embeddings="zeros", positions="continue"),
            past_end="shorter_or_decode",
            last_token="decode",
        ),
        inputs=_inputs(parts),
        outputs=[f.Output(name="logits", meaning="logits"), f.Output(name="done", meaning="nothing")],
        parts=_parts(parts, config),
        tables=tables,
    )


def _keys(config: TextConfig) -> tuple[str, ...]:
    return TABLES if config.per_layer_width else TABLES[:1]


def _rotary(rope: Rope, layer: Layer) -> f.Rotary:
    turning = int(rope.partial * layer.head_dim // 2) if rope.kind == "proportional" else layer.head_dim // 2
    return f.Rotary(
        theta=rope.theta,
        kind=rope.kind,  # type: ignore[arg-type]  # checked by the model
        partial_factor=rope.partial,
        head_dim=layer.head_dim,
        turning=turning,
        layout="halves",
    )


def _table(path: Path, config: TextConfig, key: str) -> f.Table:
    header = table_header(path)
    shape = [config.hidden] if key == TABLES[0] else [len(config.layers), config.per_layer_width]
    said = {name: header[name] for name in f.Table.model_fields if name in header}
    return f.Table.model_validate({"file": path.name, "format": "GBROWS1", "shape": shape} | said)


def _inputs(parts: tuple[PartInside, ...]) -> list[f.Input]:
    """Every input once, in the order in which parts and functions have them."""
    kinds = {suffix: kind for kind, suffix in KINDS.items()}
    tables = dict(zip(("embeddings", "per_layer_embeddings"), TABLES, strict=True))
    made: dict[str, f.Input] = {}
    for name in (name for part in parts for inside in part.functions.values() for name in inside.inputs):
        first, _, suffix = name.partition("_")
        source = "table" if name in tables else "position" if name == "position" else _ROWS.get(first, "earlier_part")
        kind = SLIDING if name == _RING else kinds[suffix] if first in _ROWS else None
        source = _RING if name == _RING else source
        made[name] = f.Input(name=name, source=source, table=tables.get(name), layer_type=kind)  # type: ignore[arg-type]
    return list(made.values())


def _parts(parts: tuple[PartInside, ...], config: TextConfig) -> list[f.Part]:
    """Later parts have later layers: each state takes the owners that its size says, where the last one ended.

    A state of one kind of layer says so in its name.
    """
    owners = {
        f"_{KINDS[layer.kind]}": [one.index for one in config.owners if one.kind == layer.kind]
        for layer in config.layers
    }
    owners[""] = [layer.index for layer in config.owners]
    out, left = [], {f"{word}{kind}": iter(some) for kind, some in owners.items() for word in (KEYS, VALUES)}
    for number, part in enumerate(parts):
        functions = {}
        for name, inside in sorted(part.functions.items()):
            before = {o for other in parts[:number] if name in other.functions for o in other.functions[name].outputs}
            later = {
                i for other in parts[number + 1 :] if name in other.functions for i in other.functions[name].inputs
            }
            functions[name] = f.Linked(
                takes=[one for one in inside.inputs if one in before], gives=[o for o in inside.outputs if o in later]
            )
        states = [
            f.State(name=name, holds=name.split("_")[0], layers=list(islice(left[name], count)))  # type: ignore[arg-type]
            for name, count in part.states.items()
        ]
        out.append(f.Part(model=part.name, functions=functions, states=states))
    return out
