"""Rings of sliding layers and branches of full ones, against the decoder with a row for every position, all read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import BuiltinOperator

from convert.checkpoint import open_checkpoint
from convert.checkpoint.config import FULL, SLIDING
from convert.model.ops import attend as ops_attend
from convert.targets.litert import LitertOptions
from convert.targets.litert.cache_rows import ring_rows
from convert.targets.litert.decoder import decoder
from convert.targets.litert.emit import Symbol, symbol
from convert.targets.litert.filled import Given, lengths, parted
from convert.targets.litert.graph import Model
from convert.targets.litert.ops import LitertOps
from convert.targets.litert.ring import Kept
from convert.targets.litert.signature import signatures
from runtime_tests.errors import InputError
from runtime_tests.litert.cuts.branches import limits, reached
from runtime_tests.litert.runners.interpreter import Interpreter, Session
from runtime_tests.measures.metrics import snr_db
from runtime_tests.readers.litert.tflite import Tflite, open_tflite
from tests.support.litert.tools import packed

CONTEXT = 160
PIECES = (13, 7, 25, 1, 16, 16, 3)  # of a prompt: more than one chunk, most of them padded


def _session(checkpoint: object, cache: str, attention: str = "filled") -> Session:
    options = LitertOptions(CONTEXT, (8, 32), cache, attention)
    entries = signatures(checkpoint.text.config, CONTEXT, options.prefill, cache)  # type: ignore[attr-defined]
    content = packed(decoder(checkpoint, entries, options))  # type: ignore[arg-type]
    return Session(Interpreter(content), open_tflite(content, "decoder"))


def _told(session: Session, seed: int, steps: int) -> np.ndarray:
    """Logits of single tokens behind a prompt in pieces, all of them random."""
    draw = np.random.default_rng(seed)
    shapes = {
        name: session.model.subgraph("decode").tensors[index].shape[2:]
        for name, index in session.model.signatures["decode"].inputs.items()
        if name.endswith("embeddings")
    }

    def rows(count: int) -> tuple[np.ndarray, np.ndarray]:
        made = [draw.standard_normal((count, *shapes[name])).astype(np.float32) for name in sorted(shapes)]
        return made[0], made[1]

    session.position = 0  # the caches keep what the last conversation left
    for piece in PIECES:
        session.prefill(*rows(piece))
    return np.stack([session.decode(*rows(1)) for _ in range(steps)])


@pytest.mark.parametrize("cache", ["float32", "int8"])
def test_rings_and_branches_give_what_a_row_for_every_position_gives(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    """To the end of the context, which is more than four windows long, and in a second conversation.

    Where activations are static a last bit may flip a rounding: floats are compared where none are, and the int8
    cache's rounding is part of both.
    """
    checkpoint = open_checkpoint(request.getfixturevalue("q4_0_e2b" if cache == "float32" else "mobile_e2b"))
    config = checkpoint.text.config
    rows = ring_rows(config, CONTEXT)
    assert rows is not None
    assert 4 * rows < CONTEXT
    short = _session(checkpoint, cache)
    for module in ("entry", "signature"):
        monkeypatch.setattr(f"convert.targets.litert.{module}.ring_rows", lambda *_: None)
    whole = _session(checkpoint, cache, "all")
    assert [len(reached(s.model, s.model.subgraph("decode").index)) for s in (short, whole)] == [4, 0]
    assert sum(rows.nbytes for rows in short.cache.values()) < 0.6 * sum(rows.nbytes for rows in whole.cache.values())
    for seed in (1, 2):
        expected, found = (_told(session, seed, CONTEXT - sum(PIECES)) for session in (whole, short))
        if cache == "float32":
            assert snr_db(expected, found) > 90
        else:
            assert (expected.argmax(-1) == found.argmax(-1)).mean() > 0.9


def test_queries_in_parts_find_what_they_find_together(mobile_e2b: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = open_checkpoint(mobile_e2b).text
    (layer,) = [each for each in text.config.owners if each.kind == FULL][:1]
    heads, size, tokens, rows = text.config.heads, layer.head_dim, 11, 40
    shapes = {
        "query": (1, heads, tokens, size),
        "mask": (1, 1, tokens, rows),
        "keys": (1, layer.kv_heads, rows, size),
        "values": (1, layer.kv_heads, size, rows),
    }
    model = Model()
    graph = model.subgraph("main")
    ops = LitertOps(graph, text, LitertOptions(rows, (tokens,)))

    def attend(given: Given) -> Symbol:
        keys, values = Kept.whole(given.keys), Kept.whole(given.values)
        return ops_attend(ops, given.query, keys, values, given.mask, layer)

    given = Given(*(symbol(graph.input(name, shape, "float32")) for name, shape in shapes.items()))
    graph.output("together", attend(given).value)
    most = 3 * heads * rows  # a part's, of which the last has two queries
    monkeypatch.setattr("convert.targets.litert.filled.MOST_SCORES", most)
    graph.output("in parts", parted(given, attend).value)
    content, draw = packed(model), np.random.default_rng(3)
    inputs = {name: draw.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    found = Interpreter(content).run("main", inputs)
    assert snr_db(np.asarray(found["together"]), np.asarray(found["in parts"])) > 100
    read = open_tflite(content, "parts").subgraph("main")
    sizes = [int(np.prod(read.tensors[op.outputs[0]].shape)) for op in read.operators if op.code == "SOFTMAX"]
    assert sizes == [heads * tokens * rows, *[most] * 3, most // 3 * 2]


def test_branches_double_and_hold_the_call() -> None:
    assert lengths(4096, 512, 1) == (512, 1024, 2048, 4096)
    assert lengths(4096, 512, 1024) == (1024, 2048, 4096)
    assert lengths(4000, 512, 128) == (512, 1024, 4000)
    assert lengths(512, 512, 1) == (512,)
    assert lengths(2048, 64, 1) == (256, 512, 1024, 2048)
    assert lengths(131_072, 512, 1)[:3] == (512, 1024, 2048)
    assert lengths(131_072, 0, 1)[-2:] == (65_536, 131_072)


@pytest.mark.parametrize(("to", "words"), [(99, "an IF leads to subgraph 99"), (None, "leads back to itself")])
def test_branches_that_lead_nowhere_or_in_a_circle_are_refused(mobile_e2b: Path, to: int | None, words: str) -> None:
    """The runtime would follow a circle until its stack ends."""
    model = _session(open_checkpoint(mobile_e2b), "float32").model
    raw = model.raw
    index, op = next((i, op) for i, graph in enumerate(model.subgraphs) for op in graph.operators if op.branches)
    raw.subgraphs[index].operators[op.index].builtinOptions.elseSubgraphIndex = index if to is None else to
    with pytest.raises(InputError, match=words):
        Tflite(raw, model.data, "decoder")


def test_a_ring_holds_the_window_and_what_may_be_given_up(mobile_e2b: Path) -> None:
    config = open_checkpoint(mobile_e2b).text.config
    window = replace(config, window=512)
    assert ring_rows(window, 4096) == 512
    assert ring_rows(window, 4096, ahead=4) == 528
    assert ring_rows(replace(config, window=500), 4096) == 512
    assert ring_rows(window, 512) is None
    full = [replace(layer, kind=FULL) for layer in config.layers]
    assert ring_rows(replace(window, layers=tuple(full)), 4096) is None
    assert any(layer.kind == SLIDING for layer in config.owners)


def test_an_if_that_decides_by_something_else_is_looked_at_from_many_positions(mobile_e2b: Path) -> None:
    model = _session(open_checkpoint(mobile_e2b), "float32").model
    start = model.subgraph("decode").index
    assert limits(model, start, CONTEXT) == [32, 64]
    less = next(i for i, code in enumerate(model.raw.operatorCodes) if code.builtinCode == BuiltinOperator.LESS)
    model.raw.operatorCodes[less].builtinCode = BuiltinOperator.GREATER
    model.raw.operatorCodes[less].deprecatedBuiltinCode = BuiltinOperator.GREATER
    other = Tflite(model.raw, model.data, "decoder")
    assert limits(other, start, CONTEXT) == [1, 2, 4, 8, 16, 32, 64, 128]
