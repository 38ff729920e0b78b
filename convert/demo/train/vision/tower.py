"""The tower to be trained: transformers' own with values to start from, and the same on the mobile grid."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from convert.demo.train.convertible import HEADROOM
from convert.demo.train.fake_quant import MobileLinear, first_step
from convert.demo.train.vision.asked import ATTRIBUTES
from convert.demo.writing.tower import PATCH, POOL, VisionShape, linears, vision_config

# What the first features are made of: waves over this many patches, and waves inside a patch.
SPAN, WAVES, RIPPLES = 32, 10, 4
SAME = 6.0  # size of what all patches have in common
# One tensor feeds these, so they have one input step.
SHARED = {"k_proj": "q_proj", "v_proj": "q_proj", "up_proj": "gate_proj"}


class Tower(nn.Module):
    """The two modules under the names that they have in a whole Gemma 4, and heads that only training has.

    Attributes:
        heads: attributes of a scene from one row's features, one behind the other.
    """

    def __init__(self, shape: VisionShape, width: int, seed: int) -> None:
        from transformers import Gemma4TextConfig, Gemma4VisionConfig
        from transformers.models.gemma4 import modeling_gemma4 as gemma4

        super().__init__()
        config = Gemma4VisionConfig(**vision_config(shape))
        self.shape = shape
        self.vision_tower: Any = gemma4.Gemma4VisionModel._from_config(config, attn_implementation="sdpa")
        self.embed_vision = gemma4.Gemma4MultimodalEmbedder(config, Gemma4TextConfig(hidden_size=width))
        self.heads = nn.Linear(shape.hidden, sum(map(len, ATTRIBUTES.values())))
        self.float()
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.endswith("position_embedding_table"):
                    parameter.copy_(_smooth(parameter, generator))
                elif name.endswith("input_proj.weight"):
                    parameter.copy_(_soft(parameter.shape[0], generator))
                elif parameter.dim() == 2:
                    parameter.normal_(0, parameter.shape[1] ** -0.5, generator=generator)
                elif name.endswith("k_norm.weight"):
                    parameter.fill_(shape.head_dim**-0.5)
                else:
                    parameter.fill_(0.0 if name.endswith("bias") else 2.0 if "post_" in name else 1.0)
            self._look_at_what_is_bright(generator)

    def _look_at_what_is_bright(self, generator: torch.Generator) -> None:
        """Gives each head a query that is the same everywhere and a key that grows with brightness.

        Else attention, which sees angles alone, finds the few patches that are not ground only after a long plateau.
        """
        embedder = self.vision_tower.patch_embedder
        bright = nn.functional.normalize(embedder.input_proj.weight.sum(1), dim=0)
        same = torch.randn(len(bright), generator=generator)
        same = nn.functional.normalize(same - (same @ bright) * bright, dim=0)
        embedder.position_embedding_table[0] += SAME * same
        for layer in self.vision_tower.encoder.layers:
            for first in range(0, self.shape.heads * self.shape.head_dim, self.shape.head_dim):
                layer.self_attn.q_proj.linear.weight[first] = same
                layer.self_attn.k_proj.linear.weight[first] = bright

    def forward(self, patches: Tensor, positions: Tensor, kept: int = POOL**2) -> tuple[Tensor, Tensor]:
        """Normalized features ``[B, n, hidden]`` and rows of the decoder ``[B, n, width]``.

        Args:
            patches: ``[B, P, pixels]``, the patches of a row's square one behind the other, without padding.
            positions: ``[B, P, 2]``, their x and y.
            kept: how many patches of each square there are. Fewer than all make training faster, and a little blind.
        """
        nothing = torch.zeros(positions.shape[:2], dtype=torch.bool)
        embedded = self.vision_tower.patch_embedder(patches, positions, nothing)
        encoded = self.vision_tower.encoder(embedded, ~nothing, positions).last_hidden_state
        pooled = encoded.reshape(len(patches), -1, kept, encoded.shape[-1]).mean(2) * self.shape.hidden**0.5
        normed = self.embed_vision.embedding_pre_projection_norm(pooled)
        return normed, self.embed_vision.embedding_projection(normed)

    def attributes(self, normed: Tensor) -> list[Tensor]:
        """Logits of each attribute from each row, ``[B, n, values]``."""
        return list(self.heads(normed).split([len(values) for values in ATTRIBUTES.values()], dim=-1))

    def to_mobile(self) -> None:
        """Puts the quantized linears on their grid, in place; activations stay float for now."""
        for matrix in linears(self.shape):
            parent, _, leaf = matrix.key.rpartition(".")
            weight = getattr(self.get_submodule(parent), leaf).weight
            found = MobileLinear(weight, matrix.bits, first_step(weight, 1, matrix.bits))
            setattr(self.get_submodule(parent), leaf, found)

    def mobile_linears(self) -> dict[str, MobileLinear]:
        """By module path below ``model``."""
        found = {matrix.key: self.get_submodule(matrix.key) for matrix in linears(self.shape)}
        return {key: module for key, module in found.items() if isinstance(module, MobileLinear)}

    def watch(self, watching: bool) -> None:
        """Begins or ends the recording of magnitudes."""
        for module in self.mobile_linears().values():
            module.entering.watching = module.leaving.watching = watching

    def freeze_activations(self) -> None:
        """Sets every static step from the magnitudes that were recorded; from now on they do not change."""
        found = self.mobile_linears()
        for key, module in found.items():
            at, _, leaf = key.removesuffix(".linear").rpartition(".")
            feeding = found[f"{at}.{SHARED.get(leaf, leaf)}.linear"]
            module.entering.freeze(feeding.entering.largest * HEADROOM / 127)
            module.leaving.freeze(module.leaving.largest * HEADROOM / 127)

    def to_bfloat16(self) -> None:
        """Rounds what the mobile format keeps in bfloat16, and trains it no further."""
        kept = {id(each) for module in self.mobile_linears().values() for each in module.parameters()}
        for parameter in self.parameters():
            if id(parameter) not in kept:
                parameter.data.copy_(parameter.data.bfloat16().float())
                parameter.requires_grad_(False)


def _smooth(table: Tensor, generator: torch.Generator) -> Tensor:
    """Position embeddings that neighbours nearly share: random mixtures of slow waves."""
    axes, positions, hidden = table.shape
    at = torch.arange(positions)[:, None] * torch.arange(1, WAVES + 1)[None] * (torch.pi / SPAN)
    sizes = 1 / torch.arange(1, WAVES + 1)
    mixed = [(at.cos() * sizes) @ torch.randn(WAVES, hidden, generator=generator) for _ in range(axes)]
    return torch.stack(mixed)


def _soft(hidden: int, generator: torch.Generator) -> Tensor:
    """Patch filters ``[hidden, rows * pixels * colours]`` that see colours and edges: mixtures of the patch's slowest
    cosine waves."""
    at = (torch.arange(PATCH) + 0.5)[None] * torch.arange(RIPPLES)[:, None] * (torch.pi / PATCH)
    wave = at.cos() * (2 / PATCH) ** 0.5
    basis = torch.einsum("uy,vx,cd->uvcyxd", wave, wave, torch.eye(3)).reshape(RIPPLES**2 * 3, -1)
    return torch.randn(hidden, len(basis), generator=generator) @ basis * 0.03
