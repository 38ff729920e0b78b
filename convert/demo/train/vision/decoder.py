"""The trained decoder as a thing to talk to: its weights stay, gradients go through it to the rows of an image.

Several questions about one picture share the picture's rows: each sees the picture and itself, as if it were asked
alone. Layers that share keys and values are computed where something is answered, and nowhere else: the rest of what
they make is read by nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convert.demo.train.curriculum import END, IGNORED, MODEL, USER
from convert.demo.train.vision.asked import Asked
from convert.demo.writing.tokenizer import NAMED, PICTURE

PAD, START = NAMED["pad_token"][0], NAMED["bos_token"][0]


class _Rounded(torch.autograd.Function):
    """int8 with one static step; gradients pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: float) -> Tensor:
        return x.div(step).round_().clamp_(-128, 127).mul_(step)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class _Linear(nn.Module):
    def __init__(self, loaded: Any) -> None:
        super().__init__()
        self.weight = nn.Buffer(loaded._dequantize_weights().clone())
        self.steps = loaded.input_activation_scale.item(), loaded.output_activation_scale.item()

    def forward(self, x: Tensor) -> Tensor:
        entering, leaving = self.steps
        x = F.linear(_Rounded.apply(x, entering) if entering else x, self.weight)
        return _Rounded.apply(x, leaving) if leaving else x


class _Table(nn.Module):
    def __init__(self, loaded: Any) -> None:
        super().__init__()
        self.weight = nn.Buffer(loaded.weight * loaded.scalar_embed_scale)

    def forward(self, ids: Tensor) -> Tensor:
        return F.embedding(ids, self.weight)


class Decoder:
    """A checkpoint's decoder, frozen.

    Attributes:
        width: of its rows.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer
        from transformers import AutoModelForCausalLM
        from transformers.integrations.gemma_quant import QuantizedEmbedding, QuantizedLinear

        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
        for name, module in list(model.named_modules()):
            if isinstance(module, QuantizedLinear):
                model.set_submodule(name, _Linear(module))
            elif isinstance(module, QuantizedEmbedding):
                model.set_submodule(name, _Table(module))
        model.eval().requires_grad_(False)
        self._layers = getattr(model.model, "language_model", model.model)
        self._head, self._config = model.lm_head, self._layers.config
        self.width = int(self._config.hidden_size)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        begin, _, end = PICTURE.values()
        self._before, self._behind = [START, *self.ids(USER), begin], [end]

    def ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def answer_logits(
        self, rows: Tensor, asked: Sequence[Sequence[Asked]], end_is_padding: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits where something is to be said, what that is, and to which question it belongs.

        Args:
            rows: of the pictures, ``[B, n, width]``.
            asked: ``[B][Q]``.
            end_is_padding: the token behind a picture has the padding's per-layer row, as in an engine.

        Returns:
            ``[N, vocab]``, ``[N]`` and ``[N]``, the last with numbers from 0 to B * Q - 1.
        """
        ids, at, targets, place, own = self._laid_out(rows.shape[1], asked)
        config, before = self._config, len(self._before)
        per_layer = ids.clone()
        if end_is_padding:
            per_layer[:, before + rows.shape[1]] = PAD
        hidden = self._layers.embed_tokens(ids)
        hidden = torch.cat([hidden[:, :before], rows, hidden[:, before + rows.shape[1] :]], dim=1)
        inputs = self._layers.project_per_layer_inputs(hidden, self._layers.get_per_layer_inputs(per_layer))
        ahead = place[:, None] - place[None]
        seen = (ahead >= 0) & ((own[None] < 0) | (own[None] == own[:, None]))
        masks = {"full_attention": seen, "sliding_attention": seen & (ahead < config.sliding_window)}
        turns = {kind: self._layers.rotary_emb(hidden, place[None], kind) for kind in masks}
        masks = {kind: mask[None, None] for kind, mask in masks.items()}
        flat, shared = at.reshape(len(ids), -1), dict[str, Any]()
        for index, layer in enumerate(self._layers.layers):
            kind = config.layer_types[index]
            if index == config.num_hidden_layers - config.num_kv_shared_layers:
                hidden = hidden.gather(1, flat[..., None].expand(-1, -1, hidden.shape[-1]))
                inputs = inputs.gather(1, flat[..., None, None].expand(-1, -1, *inputs.shape[2:]))
                turns = {name: tuple(each[0][flat] for each in turn) for name, turn in turns.items()}
                masks = {name: mask[0, 0][flat][:, None] for name, mask in masks.items()}
            hidden = layer(
                hidden,
                inputs[:, :, index],
                shared_kv_states=shared,
                position_embeddings=turns[kind],
                attention_mask=masks[kind],
            )
        wanted = targets.reshape(len(ids), -1) >= 0
        cap = config.final_logit_softcapping
        logits = self._head(self._layers.norm(hidden)[wanted])
        count = at.shape[1]
        numbers = torch.arange(len(ids) * count).reshape(len(ids), count, 1).expand_as(at)
        return torch.tanh(logits / cap) * cap, targets[targets >= 0], numbers[targets >= 0]

    def _laid_out(self, rows: int, asked: Sequence[Sequence[Asked]]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Ids ``[B, T]``; where the answers' tokens are foretold and what they are ``[B, Q, A]``; of each column its
        position and its question (-1: of the picture) ``[T]``."""
        parts = [
            [(self.ids(each.question + END + MODEL), self.ids(each.answer + END)[:-1]) for each in line]
            for line in asked
        ]
        count, shared = len(asked[0]), len(self._before) + rows + len(self._behind)
        longest = max(len(prompt) + len(said) - 1 for line in parts for prompt, said in line)
        most = max(len(said) for line in parts for _, said in line)
        ids = torch.full((len(asked), shared + count * longest), PAD)
        ids[:, : len(self._before)] = torch.tensor(self._before)
        ids[:, shared - len(self._behind) : shared] = torch.tensor(self._behind)
        at = torch.zeros(len(asked), count, most, dtype=torch.long)
        targets = torch.full((len(asked), count, most), IGNORED)
        for row, line in enumerate(parts):
            for number, (prompt, said) in enumerate(line):
                start = shared + number * longest
                ids[row, start : start + len(prompt) + len(said) - 1] = torch.tensor((prompt + said)[:-1])
                first = start + len(prompt) - 1
                at[row, number, : len(said)] = torch.arange(first, first + len(said))
                targets[row, number, : len(said)] = torch.tensor(said)
        positions = [torch.arange(shared), *[torch.arange(shared, shared + longest)] * count]
        own = [torch.full((shared,), -1), *[torch.full((longest,), number) for number in range(count)]]
        return ids, at, targets, torch.cat(positions), torch.cat(own)
