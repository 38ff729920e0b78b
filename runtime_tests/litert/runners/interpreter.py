"""Runs sections of a ``.litertlm`` in the LiteRT interpreter, feeding them the way the engine does.

Chunks of a prompt go through the shortest ``prefill_<n>`` that holds them; the rows past the chunk are padding with
position 0 and a fully masked row (LiteRT-LM, ``llm_litert_compiled_model_executor.cc``, ``PrefillInternal``).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import CannotRunError
from runtime_tests.litert.runners.protocol import Runner
from runtime_tests.memory.pages import release, release_file
from runtime_tests.readers.litert.litertlm import Section
from runtime_tests.readers.litert.tflite import Tflite

Floats = NDArray[np.float32]
MASKED = np.float32(-0.7 * np.finfo(np.float32).max)  # litert_compiled_model_executor_utils.cc, InitializeAttentionMask
KERNELS = {"xnnpack": "BUILTIN", "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "reference": "BUILTIN_REF"}
_IN_MEMORY, _AT_ONCE = 256 << 20, 64 << 20
VERIFY = "verify"  # takes a token and the drafts behind it
SPARING = 128  # tokens a call: where one prefill signature serves all prompts


class Interpreter:
    """An interpreter over bytes or a file, with its signatures.

    Args:
        model: the model's bytes, or a file that holds nothing else.
        kernels: ``xnnpack`` as on a phone, ``builtin`` without the delegate, ``reference`` the plain C++ ones.
        threads: CPU threads.

    Raises:
        CannotRunError: the runtime refuses the model; its message is passed on.
    """

    def __init__(self, model: bytes | Path, kernels: str = "xnnpack", threads: int = 2) -> None:
        from ai_edge_litert.interpreter import Interpreter as Native
        from ai_edge_litert.interpreter import OpResolverType

        source: dict[str, Any] = {"model_path": str(model)} if isinstance(model, Path) else {"model_content": model}
        resolver = OpResolverType[KERNELS[kernels]]
        try:
            self._native = Native(**source, num_threads=threads, experimental_op_resolver_type=resolver)
            self._native.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise CannotRunError(f"the LiteRT interpreter refuses the model: {' '.join(str(error).split())}") from error
        self._runners: dict[str, Any] = {}

    def run(self, signature: str, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One invocation; arrays by name in and out.

        Raises:
            CannotRunError: the runtime fails; its message is passed on.
        """
        try:
            if signature not in self._runners:
                self._runners[signature] = self._native.get_signature_runner(signature)
            return dict(self._runners[signature](**inputs))
        except (ValueError, RuntimeError) as error:
            raise CannotRunError(f"LiteRT, signature {signature}: {' '.join(str(error).split())}") from error


def interpret(section: Section, kernels: str = "xnnpack", threads: int = 2) -> Interpreter:
    """An interpreter over a section."""
    return interpreter_of([section.data], kernels, threads)


def interpreter_of(pieces: Sequence[Any], kernels: str = "xnnpack", threads: int = 2) -> Interpreter:
    """An interpreter over bytes that lie in several places; many go through a file, to be mapped and not held.

    Raises:
        CannotRunError: the runtime refuses the model.
    """
    if sum(map(len, pieces)) <= _IN_MEMORY:
        return Interpreter(b"".join(pieces), kernels, threads)
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        for piece in pieces:
            for start in range(0, len(piece), _AT_ONCE):
                part = piece[start : start + _AT_ONCE]
                file.write(part)
                release(part)
        file.flush()
        made = Interpreter(Path(file.name), kernels, threads)  # the mapping outlives the name
        release_file(Path(file.name))  # XNNPACK has packed what it needs
        return made


def lookup(interpreter: Runner, model: Tflite, ids: NDArray[np.int32]) -> Floats:
    """Rows of an embedding section, one token per call as the engine does: ``[T] -> [T, ...]``."""
    if [(len(s.inputs), len(s.outputs)) for s in model.signatures.values()] != [(1, 1)]:
        raise CannotRunError(f"{model.where} is no table: it should have one signature with one input and one output")
    (signature,) = model.signatures.values()
    (source,), (target,) = signature.inputs, signature.outputs
    rows = [interpreter.run(signature.name, {source: np.array([[token]], np.int32)})[target][0, 0] for token in ids]
    return np.stack(rows)


def prefill_lengths(model: Tflite) -> dict[int, str]:
    """Signature names of the prefill lengths, ascending."""
    found = {int(match[1]): name for name in model.signatures if (match := re.fullmatch(r"prefill_(\d+)", name))}
    return dict(sorted(found.items()))


def entry_lengths(model: Tflite) -> dict[str, int]:
    """Tokens a call of every signature of the decoder that is there: prefills ascending, decode, verify."""
    found = {name: length for length, name in prefill_lengths(model).items()}
    found |= {"decode": 1} if "decode" in model.signatures else {}
    if VERIFY in model.signatures and (index := model.signatures[VERIFY].inputs.get("embeddings")) is not None:
        found[VERIFY] = model.subgraph(VERIFY).tensors[index].shape[1]
    return found


def shortest(model: Tflite, count: int) -> str:
    """The shortest prefill signature that takes so many tokens.

    Raises:
        CannotRunError: there is none.
    """
    fitting = [name for length, name in prefill_lengths(model).items() if length >= count]
    if not fitting:
        raise CannotRunError(f"{model.where} has no signature prefill_<n> for {count} tokens")
    return fitting[0]


def empty_cache(model: Tflite, signature: str = "decode") -> dict[str, NDArray[Any]]:
    """Zeroed KV caches by name, in the types that the signature takes."""
    graph, entry = model.subgraph(signature), model.signatures[signature]
    caches = {name: graph.tensors[index] for name, index in entry.inputs.items() if name.startswith("kv_cache_")}
    return {n: np.zeros(t.shape, np.int8 if t.type == "INT8" else np.float32) for n, t in caches.items()}


def feed(
    model: Tflite, signature: str, start: int, embeddings: Floats, per_layer: Floats | None
) -> dict[str, NDArray[Any]]:
    """Inputs of a signature for tokens at positions ``start...``, padded to its length; caches are not among them.

    Args:
        embeddings: ``[m, H]``, m at most the signature's length.
        per_layer: ``[m, L, P]`` or None.
    """
    graph, entry = model.subgraph(signature), model.signatures[signature]
    length, count = graph.tensors[entry.inputs["embeddings"]].shape[1], len(embeddings)
    context = graph.tensors[entry.inputs["mask"]].shape[3]
    if not 0 < count <= length or start + count > context:
        raise ValueError(f"{count} tokens at {start} do not fit {signature} with a context of {context}")
    mask = np.full((1, 1, length, context), MASKED, np.float32)
    for row in range(count):
        mask[0, 0, row, : start + row + 1] = 0.0
    positions = np.zeros(length, np.int32)
    positions[:count] = np.arange(start, start + count)
    inputs: dict[str, NDArray[Any]] = {"input_pos": positions, "mask": mask}
    for name, rows in (("embeddings", embeddings), ("per_layer_embeddings", per_layer)):
        if rows is not None and name in entry.inputs:
            inputs[name] = np.zeros((1, length, *rows.shape[1:]), np.float32)
            inputs[name][0, :count] = rows
    return inputs


class Session:
    """A conversation with the decoder section: caches, a position, prefill in chunks, decode token by token.

    Attributes:
        longest: tokens of a chunk, at most.
    """

    def __init__(self, interpreter: Runner, model: Tflite, sparing: bool = False) -> None:
        """Args:
        sparing: prefill with one signature alone, for a runtime packs all weights anew for each that is used.
        """
        self.interpreter, self.model = interpreter, model
        self.cache, self.position = empty_cache(model), 0
        self._parked: dict[str, tuple[tuple[int, ...], NDArray[Any]]] = {}
        lengths = prefill_lengths(model)
        self.longest = max(lengths)
        self._only = None
        if sparing:
            self.longest = next((length for length in lengths if length >= SPARING), self.longest)
            self._only = lengths[self.longest]

    def prefill(self, embeddings: Floats, per_layer: Floats | None) -> None:
        """One chunk, ``[m, H]`` and ``[m, L, P]``."""
        self._step(self._only or shortest(self.model, len(embeddings)), embeddings, per_layer)

    def decode(self, embeddings: Floats, per_layer: Floats | None) -> Floats:
        """One token, ``[1, H]`` and ``[1, L, P]``; returns its logits ``[V]``."""
        return np.asarray(self._step("decode", embeddings, per_layer)["logits"]).reshape(-1)

    def park(self) -> None:
        """Keeps of the caches what is not zero, until the next step: of a long context a short prompt fills little."""
        if not self._parked:
            self._parked = {name: (rows.shape, _box(rows)) for name, rows in self.cache.items()}
            self.cache = {}

    def _unpark(self) -> None:
        for name, (shape, box) in self._parked.items():
            self.cache[name] = np.zeros(shape, box.dtype)
            self.cache[name][tuple(map(slice, box.shape))] = box
        self._parked = {}

    def _step(self, name: str, embeddings: Floats, per_layer: Floats | None) -> dict[str, NDArray[Any]]:
        self._unpark()
        inputs = feed(self.model, name, self.position, embeddings, per_layer)
        wanted = self.model.signatures[name].inputs
        inputs.update({key: rows for key, rows in self.cache.items() if key in wanted})
        out = self.interpreter.run(name, inputs)
        self.cache.update({key: rows for key, rows in out.items() if key in self.cache})
        self.position += len(embeddings)
        return out


def _box(array: NDArray[Any]) -> NDArray[Any]:
    """A copy of the smallest corner of an array beyond which all is zero."""
    axes = range(array.ndim)
    used = (array.any(axis=tuple(other for other in axes if other != axis)) for axis in axes)
    return array[tuple(slice(0, int(np.flatnonzero(some).max(initial=-1)) + 1) for some in used)].copy()
