"""The drafter, whose checkpoint lies in a folder of its own, as the judge reads it.

Keys as of a text decoder: ``layers.0.self_attn.q_proj``, ``lm_head``. Beside the decoder's own there are
``pre_projection`` and ``post_projection``. The head is the embedding, which nothing looks a row up in.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from runtime_tests.errors import InputError
from runtime_tests.readers.checkpoint import Folder
from runtime_tests.readers.module import Module

MODULE = Module(roots=())  # no tensor of a model is the drafter's
MODEL_TYPE = "gemma4_assistant"
HEAD, TABLE = "lm_head.weight", "model.embed_tokens.weight"
# Groups of tokens that transformers scores first; an artifact that scores all tokens does not need them.
GROUPS, CENTROIDS, ORDERING = (
    "masked_embedding.",
    "masked_embedding.centroids.weight",
    "masked_embedding.token_ordering",
)


class DrafterFolder(Folder):
    """As :class:`Folder`, of the whole drafter."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise InputError(f"{path}: no such folder; --drafter wants the folder of the drafter's checkpoint")
        super().__init__(path)
        if self.config.get("model_type") != MODEL_TYPE:
            raise InputError(f"{path.name}/config.json: model_type {self.config.get('model_type')}, not {MODEL_TYPE}")

    @cached_property
    def names(self) -> dict[str, str]:
        """Stored names of the tensors by their keys."""
        if TABLE not in self._where:
            raise InputError(f"{self.path.name}: no tensor {TABLE}")
        if HEAD in self._where:
            self._check_tied(HEAD, TABLE)
        stored = sorted(name for name in self._where if not name.startswith(GROUPS) and name not in (HEAD, TABLE))
        found = {**{name.removeprefix("model."): name for name in stored}, HEAD: TABLE}
        return found | {name: name for name in (CENTROIDS, ORDERING) if name in self._where}

    @property
    def floats(self) -> list[str]:
        """Keys of all tensors but those of the groups: nothing is stored packed."""
        return [name for name in self.names if name not in (CENTROIDS, ORDERING)]
