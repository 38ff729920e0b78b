"""ONNX Runtime on the CPU: sessions of whole models and of parts that were cut out of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import CannotRunError
from runtime_tests.readers.dimensions import Dimensions
from runtime_tests.reference.model import Floats, Ids

Arrays = dict[str, NDArray[Any]]


class Runner:
    """A model that runs.

    Args:
        folder: where the external data of a model that is given as bytes lies.

    Raises:
        CannotRunError: the runtime does not take it.
    """

    def __init__(self, model: Path | bytes, threads: int, folder: Path | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4  # what is wrong is raised
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if folder is not None:
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
        try:
            self._session = onnxruntime.InferenceSession(
                model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions have no common base but this
            raise CannotRunError(f"ONNX Runtime does not load it: {' '.join(str(error).split())[:300]}") from error
        self.outputs = [item.name for item in self._session.get_outputs()]
        self.inputs = [item.name for item in self._session.get_inputs()]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """All outputs by name; inputs that the model does not have are left out.

        Raises:
            CannotRunError: the runtime refuses them.
        """
        given = {name: inputs[name] for name in self.inputs if name in inputs}
        try:
            return dict(zip(self.outputs, self._session.run(None, given), strict=True))
        except Exception as error:
            raise CannotRunError(f"ONNX Runtime stopped: {' '.join(str(error).split())[:300]}") from error


class Session:
    """One conversation: ids in, logits of the last token out; caches are carried from call to call."""

    def __init__(self, model: Runner, dims: Dimensions) -> None:
        self._model = model
        self.position = 0
        self._none = np.zeros((0, dims.hidden), np.float32)  # rows of images, of a model that takes any
        self._past: Arrays = {
            past(i, part): np.zeros((1, owner.kv_heads, 0, owner.head_dim), np.float32)
            for i, owner in enumerate(dims.owners)
            for part in ("key", "value")
        }

    def run(self, ids: Ids, rows: Floats | None = None) -> Floats:
        """Logits ``[V]`` after some more tokens.

        Args:
            rows: of images, float32 ``[n, H]``, one for each of the image tokens among them; None where there are none.
        """
        given: Arrays = {
            "input_ids": ids.astype(np.int64)[None],
            "image_features": self._none if rows is None else rows,
        }
        found = self._model.run({**given, **places(self.position, len(ids)), **self._past})
        self._past = {name: found[name.replace("past_key_values", "present", 1)] for name in self._past}
        self.position += len(ids)
        return np.asarray(found["logits"].reshape(-1), np.float32)


def past(number: int, part: str) -> str:
    """Name of a cache among the inputs, by the number of the layer among those that own one."""
    return f"past_key_values.{number}.{part}"


def places(position: int, count: int) -> Arrays:
    """What says where tokens stand: all before them are seen."""
    end = position + count
    return {
        "attention_mask": np.ones((1, end), np.int64),
        "position_ids": np.arange(position, end, dtype=np.int64)[None],
    }
