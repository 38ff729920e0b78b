"""A decoder in parts: each a model of its own, together the whole; mapped pages are given back."""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime_tests.litert import forced_calls, tapes
from runtime_tests.litert.cache import Cache
from runtime_tests.litert.case import DECODER, EMBEDDER, PER_LAYER, LitertCase
from runtime_tests.litert.cuts import one_by_one
from runtime_tests.litert.cuts.forced import BETWEEN, Cut, alone
from runtime_tests.litert.cuts.one_by_one import OneByOne
from runtime_tests.litert.rungs.lowering import forced_logits
from runtime_tests.litert.rungs.second import opinions
from runtime_tests.litert.runners import greedy
from runtime_tests.litert.runners import interpreter as litert
from runtime_tests.litert.runners.interpreter import Session
from runtime_tests.litert.runners.process import Process
from runtime_tests.memory import pages
from runtime_tests.memory.pages import release
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.readers.litert.tflite import Tflite, open_tflite
from runtime_tests.reference.model import Reference


@pytest.fixture(scope="module")
def case(demo_file: Path) -> LitertCase:
    from convert import demo

    return LitertCase(open_litertlm(demo_file), open_checkpoint(demo.folder()))


def weights(model: Tflite) -> set[str]:
    tensors = (tensor for graph in model.subgraphs for tensor in graph.tensors)
    named = (tensor.name for tensor in tensors if len(model.buffer(tensor.buffer)))
    return {match[1] for name in named if (match := re.match(r"(layers\.\d+|[a-z_]+)\b.*\.weight$", name))}


@pytest.mark.parametrize("signature", ["decode", "prefill_64"])
def test_every_output_is_in_one_part_and_a_part_holds_its_own_weights_alone(case: LitertCase, signature: str) -> None:
    cut = Cut(case.model(DECODER), signature)
    parts = {part: cut.join([part]) for part in cut.parts}
    whole = cut.join(cut.parts)
    names = [name for forced in parts.values() for name in forced.outputs]
    assert sorted(names) == sorted(whole.outputs)
    assert {*case.model(DECODER).signatures[signature].outputs} <= whole.outputs
    first = case.dims.first_shared
    for part, forced in parts.items():
        held = weights(open_tflite(memoryview(forced.model()), "part"))
        expected = {"front": {"per_layer_model_projection", "per_layer_projection_norm"}, "head": {"norm", "lm_head"}}
        assert held <= expected.get(str(part), {f"layers.{part}"})
        own = {f"kv_cache_{letter}_{part}" for letter in "kv"} if isinstance(part, int) and part < first else set()
        assert own == {name for name in forced.outputs if name.startswith("kv_cache_")}


def test_a_part_that_is_cut_between_layers_alone_gives_what_the_whole_gives(case: LitertCase) -> None:
    """Layer 3 by itself: its inner boundaries are made by it, and not given."""
    cut = Cut(case.model(DECODER), "decode", BETWEEN)
    forced = cut.part(3)
    assert forced is not None
    assert forced.given == {"layers.2/output", "layers.3/per_layer_input"}
    assert {"layers.3/attention", "layers.3/mlp", "layers.3/output"} <= forced.boundaries


def test_a_large_part_goes_through_a_mapped_file(case: LitertCase, monkeypatch: pytest.MonkeyPatch) -> None:
    layout, cut = Cache(case), Cut(case.model(DECODER), "decode")
    forced = cut.part(1)
    assert forced is not None
    inputs = forced_calls.fed(case, "decode", (9, 1), forced, layout)
    expected = forced.interpreter(threads=1).run("forced", inputs)
    monkeypatch.setattr(litert, "_IN_MEMORY", 0)
    found = forced.interpreter(threads=1).run("forced", inputs)
    assert all(np.array_equal(found[name], value) for name, value in expected.items())


def test_signatures_one_by_one_give_what_the_file_gives_and_one_of_them_is_held(case: LitertCase) -> None:
    runner = OneByOne(case.model(DECODER), 1)
    rows = forced_logits(case, case.ids[:20], 17, Session(runner, case.model(DECODER)))
    whole = litert.interpret(case.artifact.model(DECODER), threads=1)
    assert np.array_equal(rows, forced_logits(case, case.ids[:20], 17, Session(whole, case.model(DECODER))))
    assert [*runner._loaded] == ["decode"]
    session = Session(runner, case.model(DECODER))
    session.prefill(case.trace.embeddings[:3], None if case.trace.per_layer is None else case.trace.per_layer[:3])
    assert [*runner._loaded] == ["prefill_64"]


def test_prompts_in_groups_are_continued_as_each_alone_and_load_two_signatures_a_group(
    case: LitertCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = list[str]()

    def seen(model: Tflite, name: str) -> list[Any]:
        loaded.append(name)
        return alone(model, name)

    monkeypatch.setattr(one_by_one, "alone", seen)
    monkeypatch.setattr(greedy, "GROUP", 3)
    model, (first, second) = case.model(DECODER), ((case.interpreter(n), case.model(n)) for n in (EMBEDDER, PER_LAYER))
    prompts, steps = [case.ids[start : 2 * start + 3] for start in range(5)], [4, 2, 3, 5, 3]
    runner = OneByOne(model, 1)
    made = greedy.greedy((runner, model), (first, second), prompts, steps, [], sparing=True)
    assert loaded == ["prefill_64", "decode"] * 2
    whole = litert.interpret(case.artifact.model(DECODER), threads=1)
    for ids, most, found in zip(prompts, steps, made, strict=True):
        longer = np.concatenate([ids, found[:-1]])
        rows = forced_logits(case, longer, len(ids) - 1, Session(whole, model, sparing=True))
        assert found.tolist() == rows.argmax(axis=-1).tolist()
        assert len(found) == most


def test_of_a_large_decoder_other_runtimes_play_some_layers_and_say_which(
    case: LitertCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tapes, "SMALL", 0)
    checks = {check.name: check for check in opinions(case, [Process("same", "litert", "ai_edge_litert")]).checks}
    note = checks["same: calls compared"].note
    assert re.fullmatch(r"of 10 layers 0, [\d, ]*9: the first, the last, one of each kind and bits", note)
    assert checks["same: int8 outputs equal"].found == 1.0
    assert checks["same: forced steps"].note.startswith("not run: each runtime would load 0.0 GB")


def test_pages_of_a_file_are_given_back_and_no_other_memory_is(tmp_path: Path) -> None:
    path, count = tmp_path / "file", 4 << 20
    content = np.random.default_rng(0).integers(0, 256, count).astype(np.uint8)
    path.write_bytes(content.tobytes())
    with path.open("rb") as file:
        view = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    mine = content.copy()
    assert np.array_equal(view, mine)
    before = _resident(view)
    release(view, mine)
    assert before > 3 << 20 > 1 << 20 > _resident(view)
    assert np.array_equal(mine, content), "memory that no file stands behind keeps what it holds"
    assert np.array_equal(view, content), "a page that was given back is read again"


def _resident(view: np.ndarray) -> int:
    """Bytes of an array that this process holds in memory."""
    smaps, start = Path("/proc/self/smaps"), view.ctypes.data
    if not smaps.exists():
        pytest.skip("not run: only Linux tells what is resident")
    lines = smaps.read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith(f"{start:x}-"))
    rss = next(line for line in lines[place:] if line.startswith("Rss:"))
    return int(rss.split()[1]) << 10


def test_the_reference_gives_the_pages_of_a_layers_weights_back_when_it_has_run(
    case: LitertCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = Reference(case.folder.path, 1)
    weight = reference.decoder.layers[2].mlp.up_proj.weight.data.numpy()
    expected, kept = reference.logits(case.ids[:20]), weight.copy()
    monkeypatch.setattr(pages, "_WORTHWHILE", 0)
    assert _present(weight) == 1.0
    assert np.array_equal(reference.logits(case.ids[:20]), expected)
    assert _present(weight) == 0.0
    assert np.array_equal(weight, kept)


def _present(array: np.ndarray) -> float:
    """The fraction of an array's whole pages that this process holds in memory."""
    pagemap, (start, stop) = Path("/proc/self/pagemap"), np.lib.array_utils.byte_bounds(array)
    if not pagemap.exists():
        pytest.skip("not run: only Linux tells what is resident")
    first, last = -(-start // 4096), stop // 4096
    with pagemap.open("rb") as file:
        file.seek(8 * first)
        entries = np.frombuffer(file.read(8 * (last - first)), np.uint64)
    return float((entries >> np.uint64(63)).mean())
