"""The drafter's mathematics against transformers' own, over caches that somebody else filled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from convert import demo
from convert.checkpoint import open_checkpoint, resolve
from convert.checkpoint.drafter import open_drafter
from convert.model.drafter import Drafter
from convert.model.eager import EagerOps
from tests.support.drafter.assistant import write_assistant
from tests.support.litert.tools import decibels

MASKED = -2e38


@pytest.fixture(scope="module", params=["demo", "q4_0_e4b"])  # one and two key/value heads
def model(request: pytest.FixtureRequest) -> Path:
    return demo.folder() if request.param == "demo" else Path(request.getfixturevalue(request.param))


@pytest.mark.parametrize("lattice", [True, False])
def test_a_draft_is_transformers_to_100_db(model: Path, lattice: bool, tmp_path: Path) -> None:
    from transformers import Gemma4AssistantForCausalLM

    folder = write_assistant(tmp_path / "drafter", model, lattice=lattice)
    checkpoint = open_drafter(resolve(folder), open_checkpoint(model))
    module, config = checkpoint.modules["drafter"], checkpoint.text.config
    theirs = Gemma4AssistantForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    run: Drafter[torch.Tensor, torch.Tensor] = Drafter(module.config, EagerOps(module))
    window = config.window
    for count in (1, window - 1, window, window + 1, 2 * window + 5):
        random, context = torch.Generator().manual_seed(count), count + 9
        given = torch.randn(1, 1, 2 * config.hidden, generator=random)
        caches, shared = {}, {}
        for owner in {layer.owner for layer in module.config.text.layers}:
            layer = config.layers[owner]
            keys, values = (torch.randn(1, layer.kv_heads, context, layer.head_dim, generator=random) for _ in "kv")
            keys = keys / layer.head_dim**0.5  # as norms make them: peaked scores multiply the last bits
            caches[owner] = keys, values.transpose(2, 3)
            first = max(0, count - window + 1) if layer.kind == "sliding_attention" else 0
            shared[layer.kind] = keys[:, :, first:count], values[:, :, first:count]
        mask = torch.where(torch.arange(context) < count, 0.0, MASKED).reshape(1, 1, 1, -1)
        with torch.no_grad():
            position = torch.tensor([count - 1], dtype=torch.int32)
            logits, state = run(given, position, run.masks(mask, position), caches)
            out = theirs(inputs_embeds=given, position_ids=torch.tensor([[count]]), shared_kv_states=shared)
        assert decibels(np.asarray(out.logits[0]), np.asarray(logits[0])) >= 100, count
        assert decibels(np.asarray(out.last_hidden_state[0]), np.asarray(state[0])) >= 100, count
