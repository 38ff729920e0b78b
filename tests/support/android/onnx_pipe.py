"""ONNX Runtime for the Java stubs in ``java_stubs``: takes their calls on standard input and answers on its output.

A call is a word and its arguments, an answer an error, empty where there is none, and what was asked for; numbers as
Java's ``DataOutputStream`` writes them, tensors in little-endian bytes. Ends with its input.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, BinaryIO

import numpy as np
import onnxruntime
from numpy.typing import NDArray

DTYPES = {"FLOAT": np.dtype("<f4"), "INT64": np.dtype("<i8")}
NAMES = {"tensor(float)": "FLOAT", "tensor(int64)": "INT64", "float32": "FLOAT", "int64": "INT64"}


class Server:
    """Sessions and tensors by number."""

    def __init__(self, source: BinaryIO, out: BinaryIO) -> None:
        self._source, self._out = source, out
        self._held: dict[int, Any] = {}
        self._numbers = count(1)
        self._answers: dict[str, Callable[[], bytes]] = {
            "open": self._open,
            "session": self._session,
            "tensor": self._tensor,
            "read": self._content,
            "free": self._free,
            "run": self._run,
        }

    def serve(self) -> None:
        while first := self._source.read(2):
            word = self._source.read(struct.unpack(">H", first)[0]).decode()
            answer = self._answers[word]
            try:
                said = _text("") + answer()
            except Exception as error:
                said = _text(f"{type(error).__name__}: {error}"[:2000])
            self._out.write(said)
            self._out.flush()

    def _read(self, form: str) -> Any:
        return struct.unpack(f">{form}", self._source.read(struct.calcsize(f">{form}")))[0]

    def _word(self) -> str:
        return self._source.read(self._read("H")).decode()

    def _keep(self, value: Any) -> bytes:
        number = next(self._numbers)
        self._held[number] = value
        return struct.pack(">q", number)

    def _open(self) -> bytes:
        return struct.pack(">q", len(self._held))

    def _session(self) -> bytes:
        path, options = self._word(), onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._read("i")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        about = session.get_modelmeta().custom_metadata_map
        pairs = b"".join(_text(name) + _text(value) for name, value in about.items())
        return self._keep(session) + struct.pack(">i", len(about)) + pairs + _nodes(session)

    def _tensor(self) -> bytes:
        dtype = DTYPES[self._word()]
        shape = [self._read("q") for _ in range(self._read("i"))]
        return self._keep(np.frombuffer(self._source.read(self._read("i")), dtype).reshape(shape))

    def _content(self) -> bytes:
        content: bytes = self._held[self._read("q")].tobytes()
        return struct.pack(">i", len(content)) + content

    def _free(self) -> bytes:
        del self._held[self._read("q")]
        return b""

    def _run(self) -> bytes:
        session = self._held[self._read("q")]
        given = {self._word(): self._held[self._read("q")] for _ in range(self._read("i"))}
        names = [one.name for one in session.get_outputs()]
        made: list[NDArray[Any]] = session.run(None, given)
        parts = [
            _text(name) + self._keep(array) + _shape(str(array.dtype), array.shape)
            for name, array in zip(names, made, strict=True)
        ]
        return struct.pack(">i", len(parts)) + b"".join(parts)


def _text(text: str) -> bytes:
    content = text.encode()
    return struct.pack(">H", len(content)) + content


def _shape(kind: str, shape: Sequence[Any]) -> bytes:
    lengths = [one if isinstance(one, int) else -1 for one in shape]
    return _text(NAMES[kind]) + struct.pack(f">i{len(lengths)}q", len(lengths), *lengths)


def _nodes(session: onnxruntime.InferenceSession) -> bytes:
    out = b""
    for nodes in (session.get_inputs(), session.get_outputs()):
        out += struct.pack(">i", len(nodes)) + b"".join(_text(one.name) + _shape(one.type, one.shape) for one in nodes)
    return out


if __name__ == "__main__":
    Server(sys.stdin.buffer, sys.stdout.buffer).serve()
