"""transformers' own drafter in float32, fed by hand: an embedding, a hidden state, and keys and values of the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import InputError

Floats = NDArray[np.float32]


class DrafterReference:
    """A loaded drafter.

    Attributes:
        ordered: whether it scores the likeliest groups of tokens alone, and gives all others one low logit.
    """

    def __init__(self, folder: Path, weights: Mapping[str, Floats] | None = None) -> None:
        """Args:
            weights: other weights of linears by module path, such as a lattice before it was rounded for storage.

        Raises:
            InputError: transformers refuses the folder; its own message is passed on in one line.
        """
        import torch
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        try:
            model, told = transformers.Gemma4AssistantForCausalLM.from_pretrained(
                folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, AttributeError, KeyError, TypeError) as error:
            line = " ".join(str(error).split())
            raise InputError(f"{folder.name}: transformers cannot load the drafter: {line[:300]}") from error
        if lacking := sorted(map(str, [*told["missing_keys"], *told["mismatched_keys"]])):
            raise InputError(f"{folder.name}: transformers misses {len(lacking)} tensors, first {lacking[0]}")
        self._model = model.eval().requires_grad_(False)
        self.ordered = bool(model.config.use_ordered_embeddings)
        for path, rows in (weights or {}).items():
            module = self._model.get_submodule(path if path.partition(".")[0] != "layers" else f"model.{path}")
            module.weight = torch.nn.Parameter(torch.from_numpy(np.ascontiguousarray(rows)), requires_grad=False)

    def draft(
        self, embedding: Floats, hidden: Floats, position: int, caches: Mapping[str, tuple[Floats, Floats]]
    ) -> tuple[Floats, Floats]:
        """One draft.

        Args:
            embedding: of the last token, ``[H]``, times sqrt(H).
            hidden: the model's last hidden state, or what the draft before gave, ``[H]``.
            position: of the last token, whose keys and values are not there yet.
            caches: by kind of layer, keys and values ``[kv, L, head_dim]`` of the last layer of that kind that has
                some: those rows that a token at this position sees.

        Returns:
            logits ``[V]`` and the state for the next draft ``[H]``.
        """
        import torch

        given = torch.from_numpy(np.concatenate([embedding, hidden])[None, None])
        shared = {kind: tuple(torch.from_numpy(rows[None]) for rows in pair) for kind, pair in caches.items()}
        with torch.no_grad():
            out: Any = self._model(
                inputs_embeds=given, position_ids=torch.tensor([[position]]), shared_kv_states=shared
            )
        return np.asarray(out.logits[0, 0].numpy()), np.asarray(out.last_hidden_state[0, 0].numpy())
