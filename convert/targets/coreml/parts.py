"""A program in parts, as the Neural Engine wants it: where the layers are cut, and what goes from part to part.

The decoder runs over symbols once, as for one part, and its layers are counted off: each operation remembers the part
of the layer that made it. Then operations are dealt out. Constants, and what only moves elements of inputs, are made
in every part that reads them; keys and values stay in the state of their part; everything else that a later part reads
is an output of the part that makes it and an input, of the same name, of those that read it. Whoever makes such a
value offers it: see ``Function.offer``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

from convert.checkpoint.config import TextConfig
from convert.checkpoint.types import Checkpoint
from convert.model.signature import Signature, Tensor
from convert.targets.coreml.blob import Blob
from convert.targets.coreml.graph import Function, Operation, Program, Value
from convert.targets.coreml.options import CoremlOptions

PART_BYTES = 1_700_000_000  # of weights as float16: what one part may have (measured on devices by others)
_MOVES = frozenset({"reshape", "transpose", "slice_by_index", "concat", "cast"})
PER_LAYER = "per_layer_inputs"


def last_layers(checkpoint: Checkpoint, options: CoremlOptions) -> tuple[int, ...]:
    """The last layer of each part: as few parts as will do, as equal as they can be. The head is in the last one."""
    sizes = layer_bytes(checkpoint)
    if options.profile != "ane":
        return (len(sizes) - 1,)
    count = len(_cut(sizes, options.part_layers, PART_BYTES))
    low, high = 0, PART_BYTES
    while low < high:
        middle = (low + high) // 2
        if len(_cut(sizes, options.part_layers, middle)) <= count:
            high = middle
        else:
            low = middle + 1
    return _cut(sizes, options.part_layers, high)


def _cut(sizes: list[int], layers: int, limit: int) -> tuple[int, ...]:
    """Fills one part after the other; a layer above the limit has a part of its own."""
    ends, held, start = [], 0, 0
    for i, size in enumerate(sizes):
        if i > start and (i - start == layers or held + size > limit):
            ends.append(i - 1)
            held, start = 0, i
        held += size
    return (*ends, len(sizes) - 1)


def layer_bytes(checkpoint: Checkpoint) -> list[int]:
    """Bytes of each layer's matrices as float16, the head's with the last layer's."""
    text = checkpoint.text
    config = text.config
    sizes = [0] * len(config.layers)
    shapes: dict[str, tuple[int, ...]] = {key: (t.rows, t.columns) for key, t in text.quants.items()}
    shapes |= {key.removesuffix(".weight"): tensor.shape for key, tensor in text.floats.items()}
    for key, shape in shapes.items():
        if key.startswith("layers."):
            sizes[int(key.split(".")[1])] += 2 * prod(shape)
    sizes[-1] += 2 * config.vocab * config.hidden
    return sizes


def split(program: Program, entries: tuple[Signature, ...], count: int) -> list[tuple[Program, tuple[Signature, ...]]]:
    """Deals a program out; a part lacks the functions that have nothing to do in it."""
    names = {id(blob): key for key, blob in program.storage.blobs.items()}
    made: list[tuple[Program, list[Signature]]] = [(Program(), []) for _ in range(count)]
    for entry in entries:
        deal = _Deal(program.functions[entry.name], entry)
        for part, (into, kept) in enumerate(made):
            if deal.kept.get(part):
                kept.append(deal.write(part, into, names))
    return [(into, tuple(kept)) for into, kept in made]


class _Deal:
    """The operations of one function by part."""

    def __init__(self, function: Function, entry: Signature) -> None:
        self.function, self.entry, self.live = function, entry, function.live()
        self.maker = {id(op.output): op for op in self.live if op.output is not None}
        self.results = {id(value) for value in function.outputs}
        self.known = {tensor.name: tensor for tensor in (*entry.inputs, *entry.outputs)}
        count = max(op.part for op in self.live) + 1
        self.kept: dict[int, set[int]] = {}
        self.read: dict[int, dict[int, Value]] = {}  # inputs, and what other parts make
        for part in range(count):
            self.kept[part], self.read[part] = self._needed(part)
        self.crossing = {i: value for read in self.read.values() for i, value in read.items() if i in self.maker}
        for value in self.crossing.values():
            value.name = function.offers[id(value)].name

    def _needed(self, part: int) -> tuple[set[int], dict[int, Value]]:
        stack = [op for op in self.live if op.part == part and (self._fixed(op) or id(op.output) in self.results)]
        kept, read = {id(op) for op in stack}, dict[int, Value]()
        while stack:
            for value in _values(stack.pop()):
                made = self.maker.get(id(value))
                if made is None or (made.part != part and self._fixed(made)):
                    read[id(value)] = value
                elif id(made) not in kept:
                    kept.add(id(made))
                    stack.append(made)
        return kept, read

    def _fixed(self, op: Operation) -> bool:
        """Whether an operation belongs to its part alone."""
        if op.type == "const" or op.type.startswith("constexpr_"):
            return False
        whole = op.output is not None and op.output.dtype == "int32"  # positions
        sources = (self.maker.get(id(value)) for value in _values(op))
        return not (whole or op.type in _MOVES) or any(m is not None and m.type == "read_state" for m in sources)

    def write(self, part: int, into: Program, names: dict[int, str]) -> Signature:
        """Makes the function of one part and says what it takes and gives."""
        function = into.function(self.function.name)
        kept = [op for op in self.live if id(op) in self.kept[part]]
        function.operations = [_moved(op, into, names) for op in kept]
        read = self.read[part]
        function.inputs = [value for value in self.function.inputs if id(value) in read]
        come = [value for i, value in self.crossing.items() if i in read]
        function.inputs += come
        made = {id(op.output) for op in kept}
        gone = [value for i, value in self.crossing.items() if i in made]
        results = [value for value in self.function.outputs if id(value) in made]
        function.outputs = [*gone, *results]
        states = tuple(value for value in function.inputs if value.state)
        for value in states:
            value.name = self.function.offers[id(value)].name
        return Signature(
            self.entry.name,
            self.entry.length,
            inputs=tuple(self._tensor(value) for value in function.inputs if not value.state),
            outputs=tuple(self._tensor(value) for value in function.outputs),
            states=tuple(self._offered(value) for value in states),
        )

    def _tensor(self, value: Value) -> Tensor:
        return self._offered(value) if id(value) in self.crossing else self.known[value.name]

    def _offered(self, value: Value) -> Tensor:
        return Tensor(value.name, value.shape, value.dtype, self.function.offers[id(value)].meaning)


def _values(op: Operation) -> Iterator[Value]:
    return (value for values in op.inputs.values() for value in values if isinstance(value, Value))


def _moved(op: Operation, into: Program, names: dict[int, str]) -> Operation:
    """The operation with its records in the weights of another program."""

    def record(blob: Blob) -> Blob:
        return into.blob(names[id(blob)], lambda: (blob.dtype, blob.shape, blob.chunks))

    inputs = {
        key: tuple(record(value) if isinstance(value, Blob) else value for value in values)
        for key, values in op.inputs.items()
    }
    return replace(op, inputs=inputs, constant=record(op.constant) if isinstance(op.constant, Blob) else op.constant)


def owners_by_part(config: TextConfig, ends: tuple[int, ...]) -> list[list[int]]:
    """Layers that own keys and values, by part."""
    starts = (0, *(end + 1 for end in ends[:-1]))
    return [
        [layer.index for layer in config.owners if start <= layer.index <= end]
        for start, end in zip(starts, ends, strict=True)
    ]
