"""Rung 2a for ONNX: given the reference's own inputs, does each block of the model give the reference's outputs?

Each layer is cut out of the shipped graph (``cut.py``) and fed what the reference had at its boundaries: the residual
stream, per-layer inputs, keys, values and caches. So a difference belongs to the block it appears in. A layer runs over
the sequence in chunks of odd lengths and at single positions up to the end and across the window.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import CannotRunError
from runtime_tests.measures import metrics
from runtime_tests.measures.evidence import Evidence, worst_by_layer
from runtime_tests.measures.flips import farthest, touched
from runtime_tests.onnx.case import LONGEST, OnnxCase
from runtime_tests.onnx.cut import GIVEN, Cut, boundaries, codes, cut
from runtime_tests.onnx.ends import faults, first_kept, last_tokens
from runtime_tests.onnx.runner import Arrays, Runner, places
from runtime_tests.onnx.vision.blocks import compare_blocks
from runtime_tests.progress import walk
from runtime_tests.questions.chunks import chunks
from runtime_tests.results import Check, Findings, at_least, at_most, none, stated

POSITIONS = 50  # a bar on a fraction of the tokens asks for many

Pairs = list[tuple[NDArray[Any], NDArray[Any]]]


@dataclass
class Tally:
    """How what the layers make differs from the reference's.

    Attributes:
        qualities: SNR in dB of each float value.
        equal: equal codes of each linear, and all of them.
        far, touched: see flips.py, by linear.
        caches: what is wrong with the caches.
        seen: what is wrong with what tokens look at and what is kept of it at the end of the context.
    """

    qualities: dict[str, float] = field(default_factory=dict)
    equal: dict[str, tuple[int, int]] = field(default_factory=dict)
    far: dict[str, int] = field(default_factory=dict)
    touched: dict[str, float] = field(default_factory=dict)
    caches: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    writes: int = 0


def climb(case: OnnxCase) -> Findings:
    """Runs every layer on the reference's inputs."""
    known = boundaries(case.decoder)
    owners = {owner.layer: i for i, owner in enumerate(case.dims.owners)}
    for name, (layer, kind) in known.items():
        if layer >= case.dims.layers or (kind in ("key", "value") and layer not in owners):
            raise CannotRunError(f"the graph names a boundary {name}, which the model does not have")
    tally, spans, absent, total = Tally(), calls(case), list[str](), 0
    for layer in walk("layers", range(case.dims.layers)):
        wanted = _wanted(case, layer, owners)
        missing = [name for name in wanted if name not in case.decoder.producer]
        absent, total = absent + missing, total + len(wanted)
        linears = [f"{key}/codes" for key in case.trace.layer(layer).scales]
        absent += [name for name in linears if name not in codes(case.decoder, layer)]
        total += len(linears)
        part = cut(case.decoder, [*(set(wanted) - {*missing}), *codes(case.decoder, layer)], owners.get(layer))
        _layer(case, layer, part, spans, owners, tally)
    _head(case, tally, spans)
    checks = [*_tables(case), *_judge(case, tally)]
    checks.append(none("cache rows where they belong", tally.caches, "caches", tally.writes))
    checks.append(none("end of the context: rows that are looked at and kept", tally.seen, "layers", case.dims.layers))
    checks.append(none("boundaries and int8 outputs that the graph does not name", absent, "names", total))
    checks += compare_blocks(case)
    checks.append(stated("tensors compared", len(tally.qualities) + len(tally.equal), "tensors"))
    return Findings(checks, Evidence(blocks=worst_by_layer(tally.qualities.items())))


def calls(case: OnnxCase) -> list[tuple[int, int]]:
    """Start and number of tokens of every call."""
    total, window = len(case.ids), case.dims.window
    made = [(start, stop - start) for start, stop in chunks(total, LONGEST)]
    wanted = {1, window - 1, window, window + 1, 2 * window, total - 1}
    spread = np.linspace(2, total - 2, POSITIONS - len(wanted)).round().astype(int)
    return made + [(int(p), 1) for p in sorted({*wanted, *spread}) if 0 < p < total]


def _wanted(case: OnnxCase, layer: int, owners: dict[int, int]) -> list[str]:
    kinds = ["attention", "mlp", "output", *(["per_layer_input"] if case.dims.per_layer_width else [])]
    kinds += ["key", "value"] if layer in owners else []
    names = [f"layers.{layer}/{kind}" for kind in kinds]
    return names + [f"present.{owners[layer]}.{part}" for part in ("key", "value") if layer in owners]


def _layer(
    case: OnnxCase, layer: int, part: Cut, spans: list[tuple[int, int]], owners: dict[int, int], tally: Tally
) -> None:
    runner = part.runner(case.decoder, case.threads)
    floats, steps = defaultdict[str, Pairs](list), defaultdict[str, Pairs](list)
    captured = case.trace.layer(layer)
    for start, count in spans:
        rows = slice(start, start + count)
        made = runner.run(_given(case, part, start, count))
        for name, value in made.items():
            if name.startswith("present."):
                tally.writes += 1
                tally.caches += _cache(case, layer, name, value, rows)
            elif name.endswith("/codes"):
                key = name.removesuffix("/codes")
                if key in captured.linears:
                    steps[name].append((_codes(case, layer, key, rows), value.reshape(count, -1).astype(np.int32)))
            else:
                floats[name].append((_rows(case, name, rows), value.reshape(count, -1)))
    tally.seen += faults(case, layer, part, runner, _given(case, part, 0, last_tokens(case)))
    for name, pairs in floats.items():
        tally.qualities[name] = metrics.snr_db(*_joined(pairs))
    joined = {name: _joined(pairs) for name, pairs in steps.items()}
    tally.far |= farthest(joined)
    tally.touched |= touched(joined, 1 - case.budget.equal_codes)
    tally.equal |= {name: (int((a == b).sum()), a.size) for name, (a, b) in joined.items()}


def _joined(pairs: Pairs) -> tuple[NDArray[Any], NDArray[Any]]:
    return np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])


def _given(case: OnnxCase, part: Cut, start: int, count: int) -> Arrays:
    """The reference's values for everything that a part takes."""
    given, rows = dict[str, NDArray[Any]](places(start, count)), slice(start, start + count)
    for name in part.given:
        if name == "inputs_embeds":
            given[name] = case.trace.embeddings[rows][None]
        elif name == "per_layer_inputs":
            assert case.trace.per_layer is not None
            given[name] = case.trace.per_layer[rows].reshape(1, count, -1)
        elif name.startswith(("past_key_values.", "present.", "seen.")):
            end = start if name.startswith("past") else start + count
            number, kind = name.split(".")[1:]
            layer = case.dims.owners[int(number)].layer
            first = first_kept(case, layer, start)
            held = np.ascontiguousarray(case.trace.rows(layer)[0 if kind == "key" else 1][:, first:end])[None]
            given[name if name.startswith("past") else GIVEN + name] = held
        elif name not in given:
            found = _rows(case, name, rows)
            kind = name.rpartition("/")[2]
            if kind in ("key", "value"):
                layer = int(name.split("/")[0].split(".")[1])
                heads = case.trace.rows(layer)[0].shape[0]
                found = found.reshape(count, heads, -1)
            given[GIVEN + name] = found[None]
    return given


def _rows(case: OnnxCase, name: str, rows: slice) -> NDArray[np.float32]:
    """The reference's rows at a boundary, ``[m, width]``."""
    place, kind = name.split("/")
    layer, trace = int(place.split(".")[1]), case.trace
    if kind in ("key", "value"):
        heads = trace.rows(layer)[0 if kind == "key" else 1][:, rows]
        return np.ascontiguousarray(heads.transpose(1, 0, 2)).reshape(heads.shape[1], -1)
    if kind == "per_layer_input":
        return trace.per_layer_input(layer)[rows]
    if kind == "output":
        return trace.entering(layer + 1)[rows]
    return trace.layer(layer).boundary[name][rows]


def _codes(case: OnnxCase, layer: int, key: str, rows: slice) -> NDArray[np.int32]:
    captured = case.trace.layer(layer)
    return np.rint(captured.linears[key][rows] / np.float32(captured.scales[key])).astype(np.int32)


def _cache(case: OnnxCase, layer: int, name: str, found: NDArray[Any], rows: slice) -> list[str]:
    """Rows that the next token looks at must be the reference's, those of before bit for bit; there are no others."""
    held = case.trace.rows(layer)[0 if name.endswith("key") else 1]
    where, first = f"{name} at {rows.start}", first_kept(case, layer, rows.stop)
    if found.shape[1:3] != (held.shape[0], rows.stop - first):
        return [f"{where}: {list(found.shape)}, expected rows {first} to {rows.stop}"]
    new = max(first, rows.start)
    if not np.array_equal(found[0, :, : new - first], held[:, first:new]):
        return [f"{where}: rows of before changed"]
    quality = metrics.snr_db(held[:, new : rows.stop], found[0, :, new - first :])
    return [f"{where}: {quality:.0f} dB"] if quality < case.budget.cache_db else []


def _head(case: OnnxCase, tally: Tally, spans: list[tuple[int, int]]) -> None:
    """Last norm and head on the reference's last residual."""
    part = cut(case.decoder, ["logits"], None)
    runner = part.runner(case.decoder, case.threads)
    ends = sorted({start + count - 1 for start, count in spans})
    last = case.trace.entering(case.dims.layers)
    (name,) = [one for one in part.given if one.endswith("/output")]
    found = [runner.run({GIVEN + name: last[None, end : end + 1]})["logits"].reshape(-1) for end in ends]
    tally.qualities["logits"] = metrics.snr_db(case.trace.logits(ends), np.stack(found))


def _judge(case: OnnxCase, tally: Tally) -> list[Check]:
    budget, checks = case.budget, list[Check]()
    if tally.equal:
        far, struck = max(tally.far, key=tally.far.__getitem__), max(tally.touched, key=tally.touched.__getitem__)
        total = sum(size for _, size in tally.equal.values())
        differ = total - sum(same for same, _ in tally.equal.values())
        note = f"{differ} of {total} in {len(tally.equal)} linears differ"
        checks += [
            at_least("int8 outputs equal", 1 - differ / total, budget.equal_codes, "of 1", note),
            at_most("largest difference", tally.far[far], budget.step, "steps", far),
            at_most("tokens touched, worst linear", tally.touched[struck], budget.disturbed_rows, "of 1", struck),
        ]
    by_kind: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for name, quality in tally.qualities.items():
        by_kind[name.rpartition("/")[2]].append((quality, name))
    for kind, found in sorted(by_kind.items()):
        quality, where = min(found)
        bar = budget.logits_db if kind == "logits" else budget.block_bar(kind)
        checks.append(at_least(f"{kind}, worst of {len(found)}", quality, bar, "dB", where))
    return checks


def _tables(case: OnnxCase) -> list[Check]:
    """The embedding model against the reference's lookups, over the sequence and the table's ends."""
    ids = np.unique(np.concatenate([case.ids, [0, case.dims.vocab - 1]])).astype(np.int32)
    if case.artifact.images is not None:  # in whose places stand rows of images, see vision/blocks.py
        ids = ids[ids != case.folder.transformers.image_token_id]
    runner, none_seen = Runner(case.embedding.path, case.threads), np.zeros((0, case.dims.hidden), np.float32)
    found, checks = runner.run({"input_ids": ids.astype(np.int64)[None], "image_features": none_seen}), []
    first, second = case.reference.embeddings(ids)
    for name, expected in (("inputs_embeds", first), ("per_layer_inputs", second)):
        if expected is not None:
            quality = metrics.snr_db(expected.reshape(len(ids), -1), found[name].reshape(len(ids), -1))
            checks.append(at_least(f"{name}: rows of {len(ids)} tokens", quality, case.budget.embedding_db, "dB"))
    return checks
