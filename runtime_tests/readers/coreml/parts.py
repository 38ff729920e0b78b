"""Packages of several parts, linked into one program.

``gemma_bridge.parts`` in the metadata of ``Model.mlpackage`` says how many there are; part k lies beside it as
``Model_<k>.mlpackage``. A call runs a function in each part that has it, in order: an output of a part is the input of
that name of any later part. Each part has states of its own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from runtime_tests.errors import InputError
from runtime_tests.readers.coreml.mlpackage import MlPackage, open_mlpackage
from runtime_tests.readers.coreml.program import Argument, Function, Operation, Type

PART, PARTS, ORIGIN = "gemma_bridge.part", "gemma_bridge.parts", "gemma_bridge.inputs.sha256"
MOST = 64
IMAGES = "Vision.mlpackage"  # beside a model that takes images, and called by itself


def open_parts(path: Path) -> MlPackage:
    """Opens a package with all its parts.

    The states of a later part are called ``<name>_<part>`` where an earlier one has a state of that name.

    Raises:
        InputError: damaged, a part is missing or of another model, or the parts do not fit together.
        CannotRunError: as for :func:`open_mlpackage`.
    """
    first = open_mlpackage(path)
    said = first.metadata.get(PARTS, "1")
    if not said.isdecimal() or not 1 <= int(said) <= MOST:
        raise InputError(f"{path.name}: it says that it has {said[:20]!r} parts")
    if said == "1":
        return first
    parts = [first]
    for number in range(2, int(said) + 1):
        part = open_mlpackage(path.with_name(f"{path.stem}_{number}{path.suffix}"))
        expected = {PART: str(number), PARTS: said, ORIGIN: first.metadata.get(ORIGIN)}
        if odd := [key for key, value in expected.items() if part.metadata.get(key) != value]:
            raise InputError(f"{part.path.name}: {odd[0]} is not what part {number} of {path.name} has")
        parts.append(part)
    names = dict.fromkeys(name for part in parts for name in part.functions)
    functions = {name: _linked(name, parts) for name in sorted(names)}
    weights = {f"{i}/{name}": file for i, part in enumerate(parts, 1) for name, file in part.weights.items()}
    return MlPackage(first.path, first.specification, functions, weights, tuple(parts))


def _linked(name: str, parts: list[MlPackage]) -> Function:
    link = _Link(name)
    for number, part in enumerate(parts, 1):
        if name in part.functions:
            link.add(part.functions[name], number, part.path.name)
    outputs = tuple(output for output in link.offered if output not in link.taken)
    return Function(name, link.inputs, tuple(link.operations), outputs)


class _Link:
    """A function under way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs: dict[str, Type] = {}
        self.operations: list[Operation] = []
        self.offered: dict[str, Type] = {}
        self.taken: set[str] = set()
        self._made: set[str] = set()

    def add(self, function: Function, number: int, where: str) -> None:
        names: dict[str, str] = {}
        for name, type in function.inputs.items():
            known = self.offered.get(name) or (None if type.state else self.inputs.get(name))
            if known is not None and known != type:
                raise InputError(f"{where}, function {self.name}: {name} is not of the type that it has before")
            if name in self.offered:
                self.taken.add(name)
            elif known is None:
                names[name] = f"{name}_{number}" if name in self.inputs or name in self._made else name
                self.inputs[names[name]] = type
        for op in function.operations:
            for name, _ in op.outputs:
                names[name] = f"{name}_in_part_{number}" if name in self._made or name in self.inputs else name
                self._made.add(names[name])
            self.operations.append(self._renamed(op, names))
        for output in function.outputs:
            self.offered[names[output]] = function.types[output]

    def _renamed(self, op: Operation, names: dict[str, str]) -> Operation:
        def new(argument: Argument) -> Argument:
            return names.get(argument, argument) if isinstance(argument, str) else argument

        return replace(
            op,
            index=len(self.operations),
            inputs={key: tuple(new(argument) for argument in found) for key, found in op.inputs.items()},
            outputs=tuple((names[name], type) for name, type in op.outputs),
        )
