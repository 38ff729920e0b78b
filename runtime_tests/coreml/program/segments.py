"""A program cut into segments that run one after the other, each for all calls: so that no weight is needed twice.

Every function is cut behind each value ``layers_<i>_output``; a segment is what lies between two cuts in all functions.
Running a segment for every call before the next segment begins gives what running call after call gives, to the bit,
if no segment reads what a later one has written in an earlier call. Here is looked for what each operation reads of a
state and writes to it, by index of the state's first axis (one layer that owns keys and values); segments that do not
allow it are joined. In the worst case one segment is left, and that is the program as it was.

Each segment has states of its own. It begins by repeating the updates that earlier segments have made to what it reads,
so that at each call it sees what it would have seen: no row of a later call. Values that a later segment reads are
outputs of the segment that makes them; constants, and what only moves elements of a state, are made anew.

A matrix too large to be unpacked at once, as the head is, is cut into rows: ``linear`` becomes a ``concat`` of several,
each a segment of its own.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import prod

import numpy as np

from runtime_tests.coreml.program.ops import KERNELS
from runtime_tests.readers.coreml.blobs import Blob
from runtime_tests.readers.coreml.mlpackage import MlPackage
from runtime_tests.readers.coreml.program import Argument, Constant, Function, Operation, Type

WIDE = 1 << 26  # elements of a matrix that is not cut; as float64 half a GiB
_END = re.compile(r"layers_(\d+)_output")
_CONSTANT = re.compile(r"const|constexpr_.*")

Label = tuple[int, int]  # cuts behind layers, cuts at wide matrices since
Extent = tuple[int, int]  # of a state's first axis


@dataclass(frozen=True)
class Segment:
    """What one segment runs of each function.

    Attributes:
        layer: index of its first layer; the number of layers for what lies behind them.
        functions: by the name of the whole one; those that have nothing to do here are left out.
        reads: what it reads of each state, by index of the first axis.
        writes: by function, what it writes to each state, not counting what it repeats.
        last: by function, the values that no later segment reads.
    """

    layer: int
    functions: dict[str, Function]
    reads: dict[str, list[Extent]]
    writes: dict[str, dict[str, list[Extent]]]
    last: dict[str, frozenset[str]]


def cut(package: MlPackage, wide: int = WIDE) -> list[Segment]:
    """The segments of all functions, in order.

    Args:
        wide: elements; larger matrices are cut into rows.
    """
    traced = {name: _Traced(*_widened(function, wide)) for name, function in package.functions.items()}
    starts = sorted({label for function in traced.values() for label in function.labels})
    while (joined := _joined(traced, starts)) is not None:
        starts = joined
    parts = [_parts(traced, starts, number) for number in range(len(starts))]
    made, needed = list[Segment](), {name: set(traced[name].function.outputs) for name in traced}
    for number in reversed(range(len(starts))):
        reads, functions = parts[number]
        last = {}
        for name, function in functions.items():
            outputs = tuple(output for output in function.outputs if output in needed[name])
            functions[name] = replace(function, outputs=outputs)
            last[name] = frozenset(function.inputs) - needed[name]
            needed[name] |= set(function.inputs)
        writes = {name: _writes(function, starts, number) for name, function in traced.items()}
        made.append(Segment(starts[number][0], functions, reads, writes, last))
    return made[::-1]


@dataclass(frozen=True)
class _Root:
    """A value that shows a part of a state: made by ``read_state``, or from such a value by moves alone."""

    state: str
    extent: Extent | None  # None: read_state itself
    index: int  # of the read_state


@dataclass(frozen=True)
class _Read:
    """An operation that looks at a state through a value: index, the value, and what of the state that shows."""

    index: int
    name: str
    state: str
    extent: Extent
    root: int  # index of the read_state


@dataclass(frozen=True)
class _Write:
    """A ``write_state``; ``update`` is the ``slice_update`` of the state's own content that it stores, or None."""

    index: int
    state: str
    extent: Extent
    update: Operation | None


class _Traced:
    """What a function's operations do with its states.

    Args:
        labels: of each operation.
    """

    def __init__(self, function: Function, labels: list[Label]) -> None:
        self.function, self.labels = function, labels
        self.roots: dict[str, _Root] = {}
        self.reads: list[_Read] = []
        self.writes: list[_Write] = []
        self.names = [
            list(dict.fromkeys(a for items in op.inputs.values() for a in items if isinstance(a, str)))
            for op in function.operations
        ]
        for op in function.operations:
            self._look(op)
        for op in function.operations:
            if op.kind == "write_state":
                self.writes.append(self._write(op))
        updates = {(w.update.index, function.one(w.update, "x")) for w in self.writes if w.update is not None}
        self.reads = [read for read in self.reads if (read.index, read.name) not in updates]

    def _look(self, op: Operation) -> None:
        """Notes what an operation reads of states, and whether it only moves it."""
        if op.kind == "read_state":
            self.roots[op.name] = _Root(str(self.function.one(op, "input")), None, op.index)
        for name in self.names[op.index]:
            if (root := self.roots.get(name)) is None:
                continue
            extent = root.extent
            if extent is None:
                sliced = op.kind == "slice_by_index" and name == self.function.one(op, "x")
                extent = self._extent(op, root.state) if sliced else self._whole(root.state)
            self.reads.append(_Read(op.index, name, root.state, extent, root.index))
            others = [a for items in op.inputs.values() for a in items if a != name]
            moves = op.kind in KERNELS and KERNELS[op.kind].moves and op.kind != "slice_update"
            if moves and all(self.function.constant(a) is not None for a in others):
                self.roots[op.name] = _Root(root.state, extent, root.index)

    def _write(self, op: Operation) -> _Write:
        state, data = str(self.function.one(op, "input")), self.function.one(op, "data")
        made = self.function.producer.get(data) if isinstance(data, str) else None
        opaque = _Write(op.index, state, self._whole(state), None)
        if made is None or made.kind != "slice_update" or self.labels[made.index] != self.labels[op.index]:
            return opaque
        x = self.function.one(made, "x")
        root = self.roots.get(x) if isinstance(x, str) else None
        if root is None or root.state != state or root.extent is not None:
            return opaque
        stale = any(w.state == state and w.index > root.index for w in self.writes)
        alone = self.function.consumers[made.name] == [op] and made.name not in self.function.outputs
        shown = any(name in self.roots for name in self.names[made.index] if name != x)
        if stale or shown or not alone:
            return opaque
        return _Write(op.index, state, self._extent(made, state), made)

    def _whole(self, state: str) -> Extent:
        return 0, (self.function.types[state].shape or (1,))[0]

    def _extent(self, op: Operation, state: str) -> Extent:
        """Indices of the first axis from ``begin`` to ``end``; all where that cannot be seen."""
        first, after = (self._first(self.function.one(op, corner)) for corner in ("begin", "end"))
        low, high = self._whole(state)
        plain = set(op.inputs) <= {"x", "update", "begin", "end"}
        if not plain or first is None or after is None or not low <= first < after <= high:
            return low, high
        return first, after

    def _first(self, argument: Argument | None) -> int | None:
        """The first of some integers, where the program says it: in a constant, or as what others are joined to."""
        constant = None if argument is None else self.function.constant(argument)
        if constant is not None:
            found = constant.array().reshape(-1)
            return int(found[0]) if len(found) else None
        made = self.function.producer.get(argument) if isinstance(argument, str) else None
        if made is None or made.kind != "concat" or not made.inputs.get("values"):
            return None
        return self._first(made.inputs["values"][0])


def _group(starts: list[Label], label: Label) -> int:
    return bisect_right(starts, label) - 1


def _meet(one: Extent, other: Extent) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _joined(traced: dict[str, _Traced], starts: list[Label]) -> list[Label] | None:
    """Fewer segments where these cannot run one after the other; None where they can."""
    pairs = [pair for function in traced.values() for pair in _held_up(function, starts)]
    reads = {
        (_group(starts, function.labels[read.index]), read.state, read.extent)
        for function in traced.values()
        for read in function.reads
    }
    for function in traced.values():
        for write in function.writes:
            number = _group(starts, function.labels[write.index])
            for reader, state, extent in reads:
                if state == write.state and _meet(extent, write.extent):
                    if reader < number:  # it sees in a later call what is written behind it
                        pairs.append((reader, number))
                    elif reader > number and write.update is None:  # which cannot be repeated there
                        pairs.append((number, reader))
    if not pairs:
        return None
    inside = {number for first, last in pairs for number in range(first + 1, last + 1)}
    return [start for number, start in enumerate(starts) if number not in inside]


def _held_up(traced: _Traced, starts: list[Label]) -> Iterator[tuple[int, int]]:
    """Segments between which a state that was read is written before it is used."""
    begins: dict[int, int] = {}
    for op in traced.function.operations:
        begins.setdefault(_group(starts, traced.labels[op.index]), op.index)
    for read in traced.reads:
        first, last = (_group(starts, traced.labels[i]) for i in (read.root, read.index))
        if first < last and any(
            w.state == read.state and read.root < w.index < begins[last] and _meet(w.extent, read.extent)
            for w in traced.writes
        ):
            yield first, last


def _parts(
    traced: dict[str, _Traced], starts: list[Label], number: int
) -> tuple[dict[str, list[Extent]], dict[str, Function]]:
    """What a segment reads of the states, and its functions; their outputs are all that they make themselves."""
    reads: dict[str, list[Extent]] = {}
    for function in traced.values():
        for read in function.reads:
            known = reads.setdefault(read.state, [])
            if _group(starts, function.labels[read.index]) == number and read.extent not in known:
                known.append(read.extent)
    made = {name: _Part(function, starts, number, reads).function() for name, function in traced.items()}
    return reads, {name: function for name, function in made.items() if function.operations}


def _writes(function: _Traced, starts: list[Label], number: int) -> dict[str, list[Extent]]:
    out: dict[str, list[Extent]] = {}
    for write in function.writes:
        if _group(starts, function.labels[write.index]) == number:
            out.setdefault(write.state, []).append(write.extent)
    return out


class _Part:
    """One function's part in a segment, under way."""

    def __init__(self, traced: _Traced, starts: list[Label], number: int, reads: dict[str, list[Extent]]) -> None:
        self.traced, self.whole, self.number = traced, traced.function, number
        self.group = [_group(starts, label) for label in traced.labels]
        self.operations: list[Operation] = []
        self.made: set[str] = set()
        for write in traced.writes:
            seen = any(_meet(write.extent, extent) for extent in reads.get(write.state, ()))
            if self.group[write.index] < number and seen:
                self._repeat(write)
        self.own = [op for op in self.whole.operations if self._belongs(op)]
        for name in dict.fromkeys(name for op in self.own for name in traced.names[op.index]):
            self._provide(name)
        for op in self.own:
            self._add(op)

    def function(self) -> Function:
        """The part; its outputs are all values of its own."""
        types = self.whole.types
        read = dict.fromkeys(a for op in self.operations for i in op.inputs.values() for a in i if isinstance(a, str))
        inputs = {name: types[name] for name in read if name not in self.made}
        outputs = tuple(name for op in self.own for name, _ in op.outputs)
        operations = tuple(replace(op, index=index) for index, op in enumerate(self.operations))
        return Function(self.whole.name, inputs, operations, outputs)

    def _belongs(self, op: Operation) -> bool:
        """Whether an operation is this segment's; a state that is not used here is not read here."""
        if self.group[op.index] != self.number or _CONSTANT.fullmatch(op.kind):
            return False
        readers = self.whole.consumers.get(op.name, [])
        return op.kind != "read_state" or any(self.group[reader.index] == self.number for reader in readers)

    def _repeat(self, write: _Write) -> None:
        """An update that an earlier segment has made, once more for this segment's own state."""
        assert write.update is not None
        update, x = write.update, self.whole.one(write.update, "x")
        old = f"{update.name}@old"
        for name in self.traced.names[update.index]:
            if name != x:
                self._provide(name)
        type = replace(self.whole.types[write.state], state=False)
        self._add(Operation(-1, "read_state", {"input": (write.state,)}, ((old, type),)))
        self._add(replace(update, inputs={**update.inputs, "x": (old,)}))
        self._add(self.whole.operations[write.index])

    def _provide(self, name: str) -> None:
        """Constants, and what shows a state as it was before this segment, are made here as well."""
        op = self.whole.producer.get(name)
        if op is None or name in self.made:
            return
        early = self.group[op.index] < self.number and name in self.traced.roots
        if early or _CONSTANT.fullmatch(op.kind):
            for argument in self.traced.names[op.index]:
                self._provide(argument)
            self._add(op)

    def _add(self, op: Operation) -> None:
        self.operations.append(op)
        self.made.update(name for name, _ in op.outputs)


def _widened(function: Function, wide: int) -> tuple[Function, list[Label]]:
    """The function with its wide matrices cut, and the label of each operation."""
    operations, labels, label = list[Operation](), list[Label](), (0, 0)

    def add(op: Operation) -> None:
        operations.append(replace(op, index=len(operations)))
        labels.append(label)

    for op in function.operations:
        pieces = list(_pieces(function, op, wide)) if op.kind == "linear" else []
        for weight, product in pieces:
            label = (label[0], label[1] + 1)
            add(weight)
            add(product)
        if pieces:
            label = (label[0], label[1] + 1)
            axis, no = (Constant(Type(kind, ()), np.array(value)) for kind, value in (("int32", -1), ("bool", False)))
            values = tuple(product.name for _, product in pieces)
            add(replace(op, kind="concat", inputs={"values": values, "axis": (axis,), "interleave": (no,)}))
        else:
            add(op)
        if any(_END.fullmatch(name) for name, _ in op.outputs):
            label = (label[0] + 1, 0)
    return replace(function, operations=tuple(operations)), labels


def _pieces(function: Function, op: Operation, wide: int) -> Iterator[tuple[Operation, Operation]]:
    """Rows of a wide matrix and the product with them; nothing where it is not wide, or cannot be cut."""
    weight = function.one(op, "weight")
    made = function.producer.get(weight) if isinstance(weight, str) else None
    if made is None or set(op.inputs) != {"x", "weight"} or not _CONSTANT.fullmatch(made.kind):
        return
    type = made.outputs[0][1]
    if len(type.shape) != 2 or prod(type.shape) <= wide:
        return
    count = -(-prod(type.shape) // wide)
    step = -(-type.shape[0] // count // 8) * 8  # rows of any number of bits begin at a byte
    for start in range(0, type.shape[0], step):
        stop = min(start + step, type.shape[0])
        cut, name = partial(_rows, rows=type.shape[0], start=start, stop=stop), f"{made.name}@{start}"
        constants = {key: tuple(function.constant(a) for a in items) for key, items in made.inputs.items()}
        inputs: dict[str, tuple[Argument, ...]] = {
            key: tuple(cut(c) for c in items if c is not None) for key, items in constants.items()
        }
        held = None if made.constant is None else cut(made.constant)
        rows = replace(type, shape=(stop - start, type.shape[1]))
        part = Operation(-1, made.kind, inputs, ((name, rows),), held)
        output = op.outputs[0][1]
        shape = replace(output, shape=(*output.shape[:-1], stop - start))
        yield part, replace(op, inputs={**op.inputs, "weight": (name,)}, outputs=((f"{op.name}@{start}", shape),))


def _rows(constant: Constant, rows: int, start: int, stop: int) -> Constant:
    """Those rows of a constant that has so many; others are for all rows."""
    shape, held = constant.type.shape, constant.held
    if isinstance(held, str) or not shape or shape[0] != rows:
        return constant
    type = replace(constant.type, shape=(stop - start, *shape[1:]))
    if isinstance(held, Blob):
        width = prod(shape[1:]) * held.bits
        return Constant(
            type, replace(held, data=held.data[start * width // 8 : -(-stop * width // 8)], shape=type.shape)
        )
    return Constant(type, held[start:stop])
