"""What the iOS sample feeds a package with, in Swift, against Python's: rows, rotary rows, masks, chunks, draws."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.targets.coreml import rows as writer
from runtime_tests.coreml.feeding import rotary_rows
from runtime_tests.coreml.greedy import chunks
from runtime_tests.readers.coreml import rings
from runtime_tests.readers.coreml.rows import open_rows
from runtime_tests.readers.feeding import Rotary
from tests.support.ios import swift_tools
from tests.support.samples.drawing import drawn

# Not slow itself: whoever comes first to Swift waits for the package to be built, and meanwhile the others have work.
pytestmark = pytest.mark.slow
Array = np.ndarray[Any, Any]
FIELDS = ("rows", "columns", "bits", "groups", "row_bytes", "rows_offset", "scales_offset", "multiplier")


def bits(array: Array) -> list[int]:
    return [int(bit) for bit in np.ascontiguousarray(array, np.float32).view(np.uint32).ravel()]


@dataclass(frozen=True)
class Integers:
    """A table for the converter's writer: random bytes are codes of any number of bits."""

    rows: int
    columns: int
    bits: int
    groups: int
    name: str = "table"
    stack: int | None = None

    def packed(self, start: int, stop: int) -> Array:
        width = -(-self.columns * self.bits // 8)
        return np.random.default_rng(7).integers(0, 256, (self.rows, width), np.uint8)[start:stop]

    def codes(self, start: int, stop: int) -> Array:
        raise NotImplementedError

    def scales(self, start: int, stop: int) -> Array:
        random = np.random.default_rng(8)
        made = random.normal(0, 0.01, (self.rows, self.groups)) * 10.0 ** random.integers(-3, 3, (self.rows, 1))
        return made.astype(np.float32)[start:stop]


@dataclass(frozen=True)
class Floats:
    """The same of floats."""

    shape: tuple[int, int]
    dtype: str
    name: str = "table"

    def float32(self, start: int = 0, stop: int | None = None) -> Array:
        return np.random.default_rng(9).normal(0, 1, self.shape).astype(np.float32)[start:stop]

    def bits16(self, start: int, stop: int) -> Array:
        return (self.float32(start, stop).view(np.uint32) >> 16).astype(np.uint16)


def written(path: Path, table: Integers | Floats, multiplier: float) -> dict[str, Any]:
    """Writes a table as the converter does, and gives what a manifest says of it."""
    with path.open("wb") as file:
        write = writer._integers if isinstance(table, Integers) else writer._floats
        write(file, "table", table, multiplier, lambda size: None)  # type: ignore[arg-type]
    made = open_rows(path)
    said = {name: getattr(made, name) for name in FIELDS}
    return said | {"file": path.name, "format": "GBROWS1", "shape": [made.columns]}


@pytest.mark.parametrize("width", [2, 4, 8])
@pytest.mark.parametrize(("columns", "groups"), [(256, 1), (256, 8), (36, 3), (52, 1)])
def test_rows_of_integers_are_read_to_the_bit(width: int, columns: int, groups: int, tmp_path: Path) -> None:
    check(tmp_path, Integers(300, columns, width, groups), 16.0)


@pytest.mark.parametrize("dtype", ["BF16", "F32"])
def test_rows_of_floats_are_read_to_the_bit(dtype: str, tmp_path: Path) -> None:
    check(tmp_path, Floats((300, 96), dtype), 96**0.5)


def check(folder: Path, table: Integers | Floats, multiplier: float) -> None:
    path, out = folder / "table.rows", folder / "out"
    said = written(path, table, multiplier)
    ids = [0, 299, *random.Random(1).choices(range(300), k=100)]
    swift_tools.driver().ask("rows", file=str(path), table=said, ids=ids, out=str(out))
    assert bits(np.fromfile(out, np.float32)) == bits(open_rows(path).lookup(np.array(ids)))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rows": 301}, "beyond"),
        ({"bits": 3}, "3 bits"),
        ({"row_bytes": 127}, "127 bytes"),
        ({"groups": 7}, "7 scales"),
        ({"rows_offset": 1 << 62}, "beyond"),
        ({"scales_offset": 9_000_000_000_000_000_000}, "beyond"),
        ({"columns": 0}, "0"),
        ({"shape": [3, 5]}, "shape"),
        ({"rows": 1 << 40}, "rows"),
        ({"rows_offset": 0}, "beyond"),
        ({"format": "GBROWS2"}, "GBROWS1"),
        ({"new": 1}, "not known"),
    ],
)
def test_a_table_that_its_file_does_not_hold_is_refused(wrong: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = tmp_path / "table.rows"
    said = written(path, Integers(300, 256, 4, 8), 16.0) | wrong
    told = swift_tools.driver().tell("rows", file=str(path), table=said, ids=[0], out=str(tmp_path / "out"))
    assert told["type"] == "Refused"
    assert says in told["error"]
    assert not (tmp_path / "out").exists()


def test_a_row_that_a_table_does_not_have_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.rows"
    said = written(path, Integers(300, 256, 4, 8), 16.0)
    for token in (-1, 300, 2**31 - 1):
        told = swift_tools.driver().tell("rows", file=str(path), table=said, ids=[token], out=str(tmp_path / "out"))
        assert told == {"type": "Refused", "error": f"table.rows: token {token} of 300 rows"}


def layer(theta: float, head: int, turning: int, window: int | None = None, ring: int | None = None) -> dict[str, Any]:
    kind = "default" if turning == head // 2 else "proportional"
    rotary = {"theta": theta, "kind": kind, "partial_factor": 2 * turning / head, "head_dim": head, "turning": turning}
    found = None if ring is None else {"rows": ring, "rule": "before_the_call_then_its_own"}
    return {"rotary": rotary | {"layout": "halves"}, "window": window, "ring": found}


@pytest.mark.parametrize(
    ("theta", "head", "turning"),
    [(10_000.0, 256, 128), (1_000_000.0, 512, 64), (10_000.0, 32, 16), (500_000.5, 96, 17), (1e6, 512, 256)],
)
def test_rotary_rows_are_pythons_to_the_bit(theta: float, head: int, turning: int, tmp_path: Path) -> None:
    said, out = layer(theta, head, turning), tmp_path / "out"
    positions = [0, 1, 2, *random.Random(2).choices(range(131_072), k=200), 131_071]
    swift_tools.driver().ask("rotary", type=said, positions=positions, out=str(out))
    found = np.fromfile(out, np.float32).reshape(2, len(positions), head)
    expected = np.stack(rotary_rows(Rotary(**said["rotary"]), np.array(positions)))
    assert bits(found) == bits(expected)


@pytest.mark.parametrize("window", [None, 1, 7, 64, 200])
def test_masks_are_pythons_to_the_bit(window: int | None, tmp_path: Path) -> None:
    out, positions, context = tmp_path / "out", [*range(100), 150], 128
    mask = {"visible": 0.0, "hidden": -1e4, "rule": "causal"}
    swift_tools.driver().ask(
        "mask", type=layer(1e4, 32, 16, window), mask=mask, context=context, positions=positions, out=str(out)
    )
    columns, rows = np.arange(context), np.array(positions)[:, None]
    seen = (columns <= rows) & (columns > rows - (window or 1 << 30))
    assert bits(np.fromfile(out, np.float32)) == bits(np.where(seen, np.float32(0), np.float32(-1e4)))


@pytest.mark.parametrize(
    ("first", "length", "count"), [(0, 16, 16), (5, 16, 7), (31, 1, 1), (60, 16, 16), (61, 64, 64), (1000, 16, 3)]
)
def test_rings_are_pythons_to_the_bit(first: int, length: int, count: int, tmp_path: Path) -> None:
    out, rows, window = tmp_path / "out", 32, 24
    mask = {"visible": 0.0, "hidden": -1e4, "rule": "causal"}
    swift_tools.driver().ask(
        "ring", type=layer(1e4, 32, 16, window, rows), mask=mask, first=first, length=length, count=count, out=str(out)
    )
    queries, columns = np.arange(first, first + length)[:, None], rings.columns(rows, first, length)
    seen = (columns >= 0) & (columns <= queries) & (columns > queries - window)
    found = out.read_bytes()
    assert found[: 4 * seen.size] == np.where(seen, np.float32(0), np.float32(-1e4)).astype("<f4").tobytes()
    assert found[4 * seen.size :] == rings.becomes(rows, first, count).astype("<i4").tobytes()


def test_a_conversation_goes_on_where_its_window_is_still_in_the_ring() -> None:
    cases = [(p, reached) for reached in (1, 24, 32, 33, 40, 200) for p in range(reached + 1)]
    found = swift_tools.driver().ask(
        "holds", type=layer(1e4, 32, 16, 24, 32), positions=[p for p, _ in cases], reached=[r for _, r in cases]
    )["holds"]
    kept = [set(rings.held(32, reached).tolist()) for _, reached in cases]
    assert found == [{*range(max(0, p - 23), p)} <= rows for (p, _), rows in zip(cases, kept, strict=True)]


def test_calls_are_planned_as_python_plans_them(tmp_path: Path) -> None:
    draw, cases, expected = random.Random(3), [], []
    for _ in range(10_000):
        context = draw.choice([96, 320, 2048, 4096, 131_072])
        lengths = sorted(draw.sample([1, 8, 16, 32, 96], draw.randint(1, 4)))
        count = draw.randint(1, min(context, 3000))
        filled = draw.choice([0, 0, draw.randint(0, count - 1)])
        cases.append({"context": context, "lengths": lengths, "filled": filled, "count": count})
        made = chunks(dict.fromkeys(lengths, ""), count - 1, context, filled)
        expected.append([[size, start, stop] for size, start, stop in made])
    file = tmp_path / "cases.json"
    file.write_text(json.dumps(cases), "utf-8")
    assert swift_tools.driver().ask("plan", file=str(file))["plans"] == expected


@pytest.mark.parametrize(
    ("top_k", "top_p", "temperature"),
    [(1, 1.0, 1.0), (64, 0.95, 1.0), (5, 1.0, 0.3), (700, 0.5, 2.0), (3000, 0.99, 1.0), (100_000, 1.0, 1.5)],
)
def test_tokens_are_drawn_as_in_python(top_k: int, top_p: float, temperature: float, tmp_path: Path) -> None:
    rows = np.random.default_rng(top_k).normal(0, 3, (200, 3000)).astype(np.float32)
    rows[:, 100:200] = np.round(rows[:, 100:200])  # equal ones
    file = tmp_path / "logits"
    rows.tofile(file)
    suppressed = [int(rows[0].argmax()), 150]
    settings = {"top_k": top_k, "top_p": top_p, "temperature": temperature, "suppressed": suppressed, "seed": 12345}
    found = swift_tools.driver().ask("draw", file=str(file), vocabulary=3000, **settings)["tokens"]
    assert found == drawn(rows, **settings)


def test_logits_that_are_no_numbers_are_never_drawn(tmp_path: Path) -> None:
    rows = np.full((2, 10), np.nan, np.float32)
    rows[1, 3] = -5
    file = tmp_path / "logits"
    rows.tofile(file)
    for top_k in (1, 5):
        found = swift_tools.driver().ask(
            "draw", file=str(file), vocabulary=10, top_k=top_k, top_p=1.0, temperature=1.0, suppressed=[], seed=1
        )
        assert found["tokens"] == [None, 3]


def test_halves_are_numpys(tmp_path: Path) -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    between = np.random.default_rng(4).integers(0, 1 << 32, 200_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    edges = np.array([65504, 65519.99, 65520, 2.0**-24, 2.0**-25, 2.0**-25 * 1.0001, 6.1e-5, -0.0, 1e-45], np.float32)
    values = np.concatenate([every, between, edges])
    source, out, back = (tmp_path / name for name in ("in", "out", "back"))
    values.tofile(source)
    swift_tools.driver().ask("half", file=str(source), out=str(out), back=str(back))
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    found = np.fromfile(out, np.uint16)
    number = ~np.isnan(values)
    assert np.array_equal(found[number], expected.view(np.uint16)[number])
    assert np.isnan(found[~number].view(np.float16)).all()
    assert bits(np.fromfile(back, np.float32)[number]) == bits(expected[number].astype(np.float32))
