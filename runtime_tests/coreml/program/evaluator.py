"""Runs the functions of a saved ML Program in torch.

Every operation computes in float32 and its result is rounded to the type that the program declares for it, so float16
programs round after each operation and accumulate in float32. In float64 nothing is rounded: the distance between the
two is what the program's own arithmetic costs. This judges the program and its weights; a device's Neural Engine, GPU
or CPU orders its sums and fuses its operations otherwise.

Why our own: Core ML predicts on Apple's systems alone, and coremltools computes no saved program with states elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch

from runtime_tests.coreml.program.kernel import CONVERT, Kernel
from runtime_tests.coreml.program.ops import KERNELS
from runtime_tests.coreml.program.values import ROOM, Weights, rounded, small, to_torch, where
from runtime_tests.errors import CannotRunError
from runtime_tests.readers.coreml.mlpackage import MlPackage
from runtime_tests.readers.coreml.program import Argument, Constant, Function, Operation, Type

Arithmetic = Literal["declared", "float64"]
State = dict[str, torch.Tensor]
Values = dict[str, torch.Tensor]


@dataclass(slots=True)
class Step:
    """One operation, ready to run: parameters that are known, those that are computed, values to drop after it."""

    op: Operation
    kernel: Kernel
    fixed: dict[str, Any]
    lazy: list[tuple[str, Any]]
    named: list[tuple[str, Any, Any]]  # parameter, name or names, conversion
    drop: tuple[str, ...]
    reuse: str = ""  # of a slice_update: the state whose content nothing else can see, once this call has copied it


class Evaluator:
    """A package, ready to run.

    Args:
        package: the opened package.
        arithmetic: ``declared`` or ``float64``.
        activations: False leaves the static quantization of activations out: ``quantize`` and the ``dequantize`` of
            the same scale behind it hand their input on.
        weights: decompressed weights to share with another evaluator of the same arithmetic and file.
        room: bytes of decompressed weights to keep, where they are not shared.

    Raises:
        CannotRunError: a function holds an operation or a parameter that is not known; the message names it.
    """

    def __init__(
        self,
        package: MlPackage,
        arithmetic: Arithmetic = "declared",
        activations: bool = True,
        weights: Weights | None = None,
        room: int = ROOM,
    ) -> None:
        self.package, self.activations = package, activations
        self.working = torch.float64 if arithmetic == "float64" else torch.float32
        self.weights = Weights(self.working, room) if weights is None else weights
        self._compressed: dict[str, dict[str, Any]] = {name: {} for name in package.functions}
        self._steps = {name: self._compile(function) for name, function in package.functions.items()}

    def function(self, name: str) -> Function:
        """A function of the program.

        Raises:
            CannotRunError: there is none of that name.
        """
        if name not in self.package.functions:
            raise CannotRunError(f"no function {name}; the program has {', '.join(sorted(self.package.functions))}")
        return self.package.functions[name]

    def new_state(self, function: str) -> State:
        """Zeroed states by name."""
        states = {name: type.shape for name, type in self.function(function).inputs.items() if type.state}
        try:
            return {name: torch.zeros(shape, dtype=self.working) for name, shape in states.items()}
        except RuntimeError as error:  # a negative or an unpayable size
            raise CannotRunError(f"states {states} of {function} cannot be made") from error

    def run(
        self,
        function: str,
        inputs: Mapping[str, Any],
        state: State | None = None,
        given: Mapping[str, Any] | None = None,
        wanted: tuple[str, ...] = (),
        owned: bool = False,
    ) -> Values:
        """One call.

        Args:
            function: its name.
            inputs: numpy arrays or tensors by name, of the declared shapes.
            state: from :meth:`new_state`; entries are replaced as the program writes them.
            given: values by name that the operations behind read instead of what the program made there.
            wanted: names of inner values to hand back as well, as the program made them.
            owned: the states' tensors may be written into, and their content is not kept.

        Returns:
            outputs and wanted values by name, floats in the working type.

        Raises:
            CannotRunError: an operation fails or gives another shape than declared; the message names it.
        """
        program, steps = self.function(function), self._steps[function]
        values, state = self._inputs(program, inputs), {} if state is None else state
        replaced = {name: self._value(array, program.types[name]) for name, array in (given or {}).items()}
        keep, made = {*program.outputs, *wanted}, Values()
        copied = set(state) if owned else set[str]()  # states that are this call's own tensors, not the caller's
        with torch.no_grad():
            for step in steps:
                for (name, _), result in zip(step.op.outputs, self._run(step, values, state, copied), strict=True):
                    if name in keep:
                        made[name] = result
                    values[name] = replaced.get(name, result) if replaced else result
                for name in step.drop:
                    del values[name]
        return {name: made[name] if name in made else values[name] for name in (*program.outputs, *wanted)}

    def weight(self, function: str, name: str) -> torch.Tensor:
        """The value of a constant or compressed weight, as operations see it."""
        if (found := self._compressed[function].get(name)) is not None:
            return found()
        constant = self.function(function).constant(name)
        if constant is None:
            raise CannotRunError(f"{name} is no constant of {function}")
        return self._constant(constant)

    def _inputs(self, program: Function, inputs: Mapping[str, Any]) -> Values:
        expected = {name: type for name, type in program.inputs.items() if not type.state}
        if set(expected) != set(inputs):
            odd = sorted(set(expected) ^ set(inputs))
            raise CannotRunError(f"{program.name} takes {', '.join(expected)}; {odd[0]} is missing or not among them")
        return {name: self._value(inputs[name], type) for name, type in expected.items()}

    def _value(self, array: Any, type: Type) -> torch.Tensor:
        tensor = array if isinstance(array, torch.Tensor) else to_torch(np.asarray(array), type, self.working)
        if tuple(tensor.shape) != type.shape:
            raise CannotRunError(f"a value of shape {list(tensor.shape)} where {list(type.shape)} is declared")
        return rounded(tensor.to(self.working) if tensor.is_floating_point() else tensor, type.dtype, self.working)

    def _run(self, step: Step, values: Values, state: State, copied: set[str]) -> tuple[torch.Tensor, ...]:
        op = step.op
        try:
            if op.kind == "read_state":
                return (state[step.fixed["input"]],)
            if op.kind == "write_state":
                state[step.fixed["input"]] = values[step.named[0][1]]
                return ()
            arguments = dict(step.fixed)
            for parameter, make in step.lazy:
                arguments[parameter] = make()
            for parameter, name, convert in step.named:
                if isinstance(name, tuple):
                    arguments[parameter] = tuple(self._read(part, values) for part in name)
                else:
                    arguments[parameter] = convert(values[name]) if convert else values[name]
            if step.reuse in copied:
                arguments["in_place"] = True
            elif step.reuse:
                copied.add(step.reuse)
            result = step.kernel.run(**arguments)
        except CannotRunError as error:
            raise CannotRunError(f"operation {op.name}: {error}") from error
        except (RuntimeError, IndexError, ValueError, TypeError, KeyError) as error:
            line = " ".join(str(error).split())
            raise CannotRunError(f"operation {op.name} ({op.kind}): {line[:200]}") from error
        results = result if isinstance(result, tuple) else (result,)
        if len(results) != len(op.outputs):
            raise CannotRunError(f"operation {op.name}: {len(results)} results, declared are {len(op.outputs)}")
        return tuple(self._declared(op, step, *pair) for pair in zip(results, op.outputs, strict=True))

    def _declared(self, op: Operation, step: Step, result: torch.Tensor, output: tuple[str, Type]) -> torch.Tensor:
        name, type = output
        if tuple(result.shape) != type.shape and not _fits(tuple(result.shape), type.shape):
            raise CannotRunError(
                f"operation {name} ({op.kind}) gives shape {list(result.shape)}, declared is {list(type.shape)}"
            )
        if step.kernel.moves:
            return result
        if type.dtype.startswith("float") and result.dtype != self.working:  # a cast of integers
            result = result.to(self.working)
        return rounded(result, type.dtype, self.working)

    @staticmethod
    def _read(part: Any, values: Values) -> torch.Tensor:
        return values[part] if isinstance(part, str) else part

    def _constant(self, constant: Constant) -> torch.Tensor:
        if small(constant.type):
            return to_torch(constant.array(), constant.type, self.working)
        return self.weights.get(where(constant), lambda: to_torch(constant.array(), constant.type, self.working))

    def _codes(self, constant: Constant) -> torch.Tensor:
        return to_torch(constant.array(), constant.type, self.working, codes=True)

    def _compile(self, program: Function) -> list[Step]:
        bypassed = set() if self.activations else _pairs(program)
        steps = []
        for op in program.operations:
            if op.kind == "const":
                continue
            step = self._bind(program, op, bypassed)
            if op.kind.startswith("constexpr_"):
                self._defer(program, op, step)
            else:
                steps.append(step)
        last: dict[str, int] = {}
        for i, step in enumerate(steps):
            for _, name, _ in step.named:
                last.update(
                    dict.fromkeys((n for n in name if isinstance(n, str)) if isinstance(name, tuple) else [name], i)
                )
            last.update((name, i) for name, _ in step.op.outputs if name not in program.consumers)
        for name, i in last.items():
            if name not in program.outputs and name not in program.inputs:
                steps[i].drop = (*steps[i].drop, name)
        _mark_reuse(program, steps, last)
        return steps

    def _bind(self, program: Function, op: Operation, bypassed: set[int]) -> Step:
        if op.kind in ("read_state", "write_state"):
            return self._bind_state(program, op)
        if op.index in bypassed:
            (value,) = op.inputs["input"]
            return Step(op, KERNELS["identity"], {}, [], [("x", value, None)], ())
        if op.kind not in KERNELS:
            raise CannotRunError(f"op {op.kind} is not known to the evaluator (operation {op.name})")
        kernel = KERNELS[op.kind]
        step = Step(op, kernel, {}, [], [], ())
        for parameter, arguments in op.inputs.items():
            if parameter not in kernel.parameters:
                raise CannotRunError(
                    f"op {op.kind} has the parameter {parameter!r}, which is not known to the evaluator ({op.name})"
                )
            self._bind_parameter(program, step, parameter, arguments)
        missing = [name for name, (_, optional) in kernel.parameters.items() if not optional and name not in op.inputs]
        if missing:
            raise CannotRunError(f"op {op.kind} lacks the parameter {missing[0]!r} ({op.name})")
        return step

    def _bind_parameter(self, program: Function, step: Step, parameter: str, arguments: tuple[Argument, ...]) -> None:
        kind = step.kernel.parameters[parameter][0]
        if kind == "Tensors":
            parts = tuple(self._known(program, argument) for argument in arguments)
            step.named.append((parameter, parts, None))
            return
        if len(arguments) != 1:
            raise CannotRunError(f"op {step.op.kind}: {len(arguments)} arguments for {parameter!r} ({step.op.name})")
        (argument,) = arguments
        constant = program.constant(argument)
        if constant is None and isinstance(argument, str) and argument in self._compressed[program.name]:
            step.lazy.append((parameter, self._compressed[program.name][argument]))
        elif constant is None:
            step.named.append((parameter, argument, None if kind == "Tensor" else CONVERT[kind]))
        elif kind == "Text" or isinstance(constant.held, str):
            if not isinstance(constant.held, str) or kind != "Text":
                raise CannotRunError(f"op {step.op.kind}: parameter {parameter!r} is no {kind} ({step.op.name})")
            step.fixed[parameter] = constant.held
        elif kind != "Tensor" or small(constant.type):
            step.fixed[parameter] = CONVERT[kind](self._constant(constant))
        elif step.op.kind.startswith("constexpr_"):  # read once, so past the store of weights
            step.lazy.append((parameter, partial(self._codes, constant)))
        else:
            step.lazy.append((parameter, partial(self._constant, constant)))

    def _known(self, program: Function, argument: Argument) -> Any:
        constant = program.constant(argument)
        return argument if constant is None else self._constant(constant)

    def _bind_state(self, program: Function, op: Operation) -> Step:
        state = program.one(op, "input")
        if not isinstance(state, str) or not program.inputs.get(state, Type("", ())).state:
            raise CannotRunError(f"op {op.kind} of something that is no state ({op.name})")
        extra = set(op.inputs) - {"input", "data"}
        if extra:
            raise CannotRunError(f"op {op.kind} has the parameter {min(extra)!r}, which is not known to the evaluator")
        step = Step(op, Kernel(lambda: None, moves=True), {"input": state}, [], [], ())
        if op.kind == "write_state":
            data = program.one(op, "data")
            if not isinstance(data, str) or program.types[data].shape != program.types[state].shape:
                raise CannotRunError(f"write_state of another shape than that of {state}")
            step.named.append(("data", data, None))
        return step

    def _defer(self, program: Function, op: Operation, step: Step) -> None:
        """A compressed weight is decompressed when it is first read, and once for all functions that hold it."""
        if step.named:
            raise CannotRunError(f"op {op.kind} of a value that is computed ({op.name})")
        constants = [program.constant(a) for items in op.inputs.values() for a in items]
        key = (op.kind, *(where(constant) for constant in constants if constant is not None))

        def make() -> torch.Tensor:
            return self._run(step, {}, {}, set())[0]

        self._compressed[program.name][op.name] = lambda: self.weights.get(key, make)


def _mark_reuse(program: Function, steps: list[Step], last: dict[str, int]) -> None:
    """Finds updates of a state that may be made where it lies: no value that shares its memory is read later.

    Args:
        last: index of the step that reads each value last.
    """
    shares: dict[str, str] = {}  # values by the state whose memory they may share
    for i, step in enumerate(steps):
        names = [name for _, name, _ in step.named if isinstance(name, str)]
        if step.op.kind == "read_state":
            shares[step.op.name] = step.fixed["input"]
        elif step.op.kind == "slice_update" and isinstance(x := program.one(step.op, "x"), str) and x in shares:
            live = [name for name, state in shares.items() if state == shares[x] and last.get(name, -1) > i]
            if not live and x not in program.outputs and _stored_next(program, step.op, shares[x]):
                step.reuse = shares[x]
            shares[step.op.name] = shares[x]
        elif step.kernel.moves:
            found = {shares[name] for name in names if name in shares}
            shares.update((name, state) for state in found for name, _ in step.op.outputs)


def _stored_next(program: Function, update: Operation, state: str) -> bool:
    """Whether an updated state is written back before anything else looks at the state, and read by nothing else.

    Where the write is missing, the update must not be seen.
    """
    readers = program.consumers.get(update.name, [])
    if len(readers) != 1 or readers[0].kind != "write_state" or program.one(readers[0], "input") != state:
        return False
    between = program.operations[update.index + 1 : readers[0].index]
    return not any(op.kind.endswith("_state") and program.one(op, "input") == state for op in between)


def _fits(found: tuple[int, ...], declared: tuple[int, ...]) -> bool:
    return len(found) == len(declared) and all(d in (-1, f) for f, d in zip(found, declared, strict=True))


def _pairs(program: Function) -> set[int]:
    """Indices of every ``quantize`` whose readers all are ``dequantize`` of the same scale, and of those."""
    out: set[int] = set()
    for op in program.operations:
        if op.kind != "quantize":
            continue
        readers = program.consumers.get(op.name, [])
        for reader in readers:
            if reader.kind != "dequantize" or _grid(program, reader) != _grid(program, op):
                raise CannotRunError(f"{op.name} is read by {reader.name}, so its quantization cannot be left out")
        out |= {op.index, *(reader.index for reader in readers)}
    return out


def _grid(program: Function, op: Operation) -> list[Any]:
    constants = [
        program.constant(found) if (found := program.one(op, p)) else None for p in ("scale", "zero_point", "axis")
    ]
    return [None if constant is None else constant.array().tolist() for constant in constants]
