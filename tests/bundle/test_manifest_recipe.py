"""The recipe of MANIFEST.md, followed by a reader that has nothing but the bundle: it feeds what the judge feeds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert import demo
from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.forced import forced_logits
from runtime_tests.kinds import open_case
from tests.bundle.test_ios import build
from tests.support.commands import REPOSITORY

IDS = [2, 105, *range(300, 340), 106, 105]  # 44 tokens: two whole calls and one with padding, then decode
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        yield build(patch, tmp_path_factory.mktemp("recipe")).bundle


class App:
    """Reads manifest.json and the tables that it names."""

    def __init__(self, folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        self.calls = manifest["feeding"]["calls"]
        self.shapes = {(s["name"], t["name"]): t["shape"] for s in manifest["signatures"] for t in s["inputs"]}
        self.files = {key: (folder / table["file"]).read_bytes() for key, table in self.calls["tables"].items()}

    def spans(self, tokens: int) -> Iterator[tuple[str, int, int, int]]:
        """Function, its length, position and end of each call before the last token's."""
        chunks, start = self.calls["chunks"], 0
        while start < tokens - 1:
            left = tokens - 1 - start
            fit = [one for one in chunks["lengths"] if left <= one["tokens"] <= chunks["context"] - start]
            filled = [one for one in chunks["lengths"] if one["tokens"] <= left][::-1]
            one = [*fit, *filled, {"function": "decode", "tokens": 1}][0]
            end = min(start + one["tokens"], tokens - 1)
            yield one["function"], one["tokens"], start, end
            start = end

    def inputs(self, function: str, n: int, position: int, ids: list[int]) -> dict[str, Array]:
        made = {}
        for one in self.calls["inputs"]:
            name, source = one["name"], one["source"]
            if source == "table":
                value = np.zeros(self.shapes[function, name], np.float32)
                for r, token in enumerate(ids):
                    value[0, r] = self.row(one["table"], token)
            elif source == "position":
                value = np.array([position], np.int32)
            elif source == "mask":
                columns = self.columns(one["layer_type"], position, n)
                value = np.array(
                    [[[self.mask(one["layer_type"], position + r, columns) for r in range(n)]]], np.float32
                )
            elif source == "ring_rows":
                rows = self.calls["layer_types"][one["layer_type"]]["ring"]["rows"]
                kept = [self.held(rows, r, position + len(ids)) for r in range(rows)]
                value = np.array([rows + p - position if p >= position else r for r, p in enumerate(kept)], np.int32)
            else:
                value = np.stack([self.turn(one["layer_type"], position + r)[source == "sines"] for r in range(n)])
            made[name] = value
        return made

    def row(self, key: str, token: int) -> Array:
        table, file = self.calls["tables"][key], self.files[key]
        bits, out = table["bits"], []
        row = file[table["rows_offset"] + token * table["row_bytes"] :][: table["row_bytes"]]
        scales = np.frombuffer(file, "<f4", table["groups"], table["scales_offset"] + 4 * token * table["groups"])
        for c in range(table["columns"]):
            code = (row[c * bits // 8] >> (c * bits % 8)) & ((1 << bits) - 1)
            code -= (1 << bits) if code >> (bits - 1) else 0
            scale = scales[c // (table["columns"] // table["groups"])]
            out.append(np.float32(code) * scale * np.float32(table["multiplier"]))
        return np.array(out, np.float32).reshape(table["shape"])

    @staticmethod
    def held(rows: int, row: int, count: int) -> int:
        return count - 1 - (count - 1 - row) % rows

    def columns(self, kind: str, position: int, n: int) -> list[int]:
        ring = self.calls["layer_types"][kind]["ring"]
        if ring is None:
            return [*range(self.calls["chunks"]["context"])]
        return [*(self.held(ring["rows"], c, position) for c in range(ring["rows"])), *range(position, position + n)]

    def mask(self, kind: str, p: int, columns: list[int]) -> list[float]:
        window, mask = self.calls["layer_types"][kind]["window"], self.calls["mask"]
        return [mask["visible" if 0 <= c <= p and (window is None or c > p - window) else "hidden"] for c in columns]

    def turn(self, kind: str, position: int) -> tuple[Array, Array]:
        rotary = self.calls["layer_types"][kind]["rotary"]
        half = rotary["head_dim"] // 2
        cosines, sines = np.ones(2 * half, np.float32), np.zeros(2 * half, np.float32)
        for i in range(rotary["turning"]):
            exponent = np.float32(2 * i) / np.float32(rotary["head_dim"])
            frequency = np.float32(1) / np.float32(rotary["theta"] ** float(exponent))
            angle = float(np.float32(position) * frequency)
            cosines[i] = cosines[i + half] = np.cos(angle)
            sines[i] = sines[i + half] = np.sin(angle)
        return cosines, sines


@pytest.fixture(scope="module")
def case(bundle: Path) -> CoremlCase:
    found = open_case(bundle, demo.folder())
    assert isinstance(found, CoremlCase)
    return found


def logits(app: App, case: CoremlCase) -> Array:
    """Of the token behind ``IDS``, ``[V]``."""
    evaluator = case.evaluator("float64")
    state = evaluator.new_state("decode")
    calls = [*app.spans(len(IDS))]
    assert calls == [("prefill_16", 16, 0, 16), ("prefill_16", 16, 16, 32), ("prefill_16", 16, 32, 43)]
    for function, n, position, end in calls:
        evaluator.run(function, app.inputs(function, n, position, IDS[position:end]), state)
    found = evaluator.run("decode", app.inputs("decode", 1, len(IDS) - 1, IDS[-1:]), state)["logits"]
    return np.asarray(found).reshape(-1)


def test_an_app_that_follows_the_recipe_gets_the_logits_that_the_judge_gets(bundle: Path, case: CoremlCase) -> None:
    (expected,) = forced_logits(case, "float64", np.array(IDS, np.int32), len(IDS) - 1)
    assert np.allclose(logits(App(bundle), case), expected, rtol=0, atol=1e-6)
    wrong = App(bundle)
    wrong.calls["mask"]["hidden"] = -5.0
    assert abs(logits(wrong, case) - expected).max() > 0.1


@pytest.mark.parametrize(("tokens", "expected"), [(96, (80, 95)), (90, (80, 89)), (2, (0, 1)), (1, None)])
def test_calls_near_the_end_of_the_context_fit(bundle: Path, tokens: int, expected: tuple[int, int] | None) -> None:
    calls = [*App(bundle).spans(tokens)]
    assert [*calls[-1][2:]] == [*expected] if expected else calls == []
    assert all(position + n <= 96 for _, n, position, _ in calls)


def test_what_does_not_fit_padded_is_fed_by_what_it_fills(bundle: Path) -> None:
    app = App(bundle)
    app.calls["chunks"] |= {"context": 40, "lengths": [{"function": f"prefill_{n}", "tokens": n} for n in (4, 16)]}
    assert [(n, position) for _, n, position, _ in app.spans(40)] == [(16, 0), (16, 16), (4, 32), (4, 36)]
    app.calls["chunks"]["lengths"] = [{"function": "prefill_16", "tokens": 16}]
    assert [*app.spans(36)][2:] == [("decode", 1, at, at + 1) for at in (32, 33, 34)]


def test_the_figures_for_trying_a_ring_come_out() -> None:
    text = " ".join((REPOSITORY / "mobile_samples" / "MANIFEST.md").read_text("utf-8").split())
    columns = [App.held(4, row, 6) for row in range(4)]
    becomes = [4 + p - 6 if p >= 6 else row for row, p in enumerate(App.held(4, row, 9) for row in range(4))]
    assert f"the columns are {', '.join(map(str, columns))}, 6, 7, ... and `ring_rows` is" in text
    assert f"`ring_rows` is {', '.join(map(str, becomes))}." in text
