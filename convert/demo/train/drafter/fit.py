"""The training of a drafter: it learns to say what the model says next, four tokens at a time.

The model is the finished checkpoint, as transformers runs it. It hears a stock of conversations once; its own best
token at each place is what the drafter has to draft there. A draft's input is the token before and a hidden state: the
model's for the first, the drafter's own for the next ones, so that it learns from its own states.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from convert.demo.train.curriculum import IGNORED, Curriculum
from convert.demo.train.fake_quant import Q40Linear
from convert.demo.train.fit import CLIP, Course, rate
from convert.progress import Stage

DRAFTS = 4
HIDDEN_POSITION = -1e9
SLIDING, FULL = "sliding_attention", "full_attention"


@dataclass(frozen=True)
class Heard:
    """What the model makes of conversations.

    Attributes:
        ids: their tokens, ``[rows, tokens]``.
        states: after the final norm, ``[rows, tokens, hidden]``.
        best: its best next token, ``IGNORED`` where it does not answer, ``[rows, tokens]``.
        caches: by kind of layer, keys and values of the last owner, ``[rows, kv, tokens, head_dim]``.
    """

    ids: Tensor
    states: Tensor
    best: Tensor
    caches: dict[str, tuple[Tensor, Tensor]]

    def rows(self, chosen: Tensor) -> Heard:
        """Some of the conversations."""
        caches = {kind: (keys[chosen], values[chosen]) for kind, (keys, values) in self.caches.items()}
        return Heard(self.ids[chosen], self.states[chosen], self.best[chosen], caches)


def load(folder: Path) -> Any:
    """The finished model, for reading alone."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)


def network(config: dict[str, Any], seed: int) -> Any:
    """A drafter whose linears are rounded to the q4_0 lattice, its head among them."""
    from transformers import Gemma4AssistantConfig, Gemma4AssistantForCausalLM

    torch.manual_seed(seed)
    fields = {name: value for name, value in config.items() if name not in ("architectures", "dtype")}
    made = Gemma4AssistantForCausalLM(Gemma4AssistantConfig(**fields, attn_implementation="eager")).float()
    for name, module in list(made.named_modules()):
        if isinstance(module, torch.nn.Linear):
            parent, _, leaf = name.rpartition(".")
            setattr(made.get_submodule(parent), leaf, Q40Linear(module.weight))
    return made


def hear(model: Any, curriculum: Curriculum, course: Course, batches: int, stage: Stage) -> Heard:
    """Runs the model over ``batches`` times the course's rows of conversations."""
    random, decoder, parts = np.random.default_rng(course.seed), model.model.language_model, list[Heard]()
    for _ in range(batches):
        batch = curriculum.batch(random, course.rows)
        ids, targets = torch.from_numpy(batch.ids), torch.from_numpy(batch.targets)
        with torch.no_grad():
            out = decoder(input_ids=ids, use_cache=False, return_shared_kv_states=True)
            best = model.lm_head(out.last_hidden_state).argmax(-1)
        caches = {kind: (keys, values) for kind, (keys, values) in out.shared_kv_states.items()}
        best = torch.where(targets == IGNORED, IGNORED, best)
        parts.append(Heard(ids, out.last_hidden_state, best, caches))
        stage.advance(1)
    joined = {
        kind: (torch.cat([p.caches[kind][0] for p in parts]), torch.cat([p.caches[kind][1] for p in parts]))
        for kind in parts[0].caches
    }
    ids, states, best = (torch.cat([getattr(p, name) for p in parts]) for name in ("ids", "states", "best"))
    return Heard(ids, states, best, joined)


def beginnings(best: Tensor) -> Tensor:
    """Places of the tokens that a chain of drafts begins with, ``[rows, most of a row]``; -1 fills up.

    Such a token was said by the model, and so is the next.
    """
    said = best != IGNORED
    begins = said & F.pad(said, (1, 0))[:, :-1]
    most = int(begins.sum(1).max())
    places = torch.where(begins, torch.arange(best.shape[1])[None], -1)
    return places.sort(1, descending=True).values[:, :most]


def masks(places: Tensor, tokens: int, window: int) -> dict[str, Tensor]:
    """Added to the scores: a token sees those before it, and not itself, as in a cache; ``[rows, 1, N, tokens]``."""
    behind = places[:, :, None] - torch.arange(tokens)[None, None]
    seen = {FULL: behind > 0, SLIDING: (behind > 0) & (behind < window)}
    return {kind: torch.where(some, 0.0, HIDDEN_POSITION)[:, None] for kind, some in seen.items()}


def drafts(drafter: Any, embed: Callable[[Tensor], Tensor], heard: Heard, window: int) -> list[tuple[Tensor, Tensor]]:
    """For each draft of a chain, from all beginnings at once: logits ``[N, vocab]`` and what the model says ``[N]``.

    A chain goes on with the model's own tokens, and ends where the model's answer does.

    Args:
        embed: the model's embeddings of tokens, times sqrt(hidden).
    """
    tokens, places = heard.ids.shape[1], beginnings(heard.best)
    seen, going = masks(places, tokens, window), places >= 0
    # Where nothing begins the first places stand in; nobody looks at what comes out there.
    standing = places.clamp_min(1)
    state = heard.states.gather(1, (standing - 1)[:, :, None].expand(-1, -1, heard.states.shape[2]))
    out = []
    for step in range(DRAFTS):
        token = heard.ids.gather(1, (standing + step).clamp_max(tokens - 1))
        wanted = F.pad(heard.best, (0, DRAFTS), value=IGNORED).gather(1, standing + step)
        going = going & (wanted != IGNORED)
        found = drafter.model(
            inputs_embeds=drafter.pre_projection(torch.cat([embed(token), state], -1)),
            attention_mask=seen,
            position_ids=standing,
            shared_kv_states=dict(heard.caches),
            use_cache=False,
        ).last_hidden_state
        state = drafter.post_projection(found)
        out.append((drafter.lm_head(found[going]), wanted[going]))
    return out


def fit(
    drafter: Any,
    model: Any,
    heard: Heard,
    course: Course,
    stage: Stage,
    tell: Callable[[int, float, list[float]], None] = lambda step, loss, right: None,
) -> None:
    """Trains in place.

    Args:
        tell: is given, every hundred steps, the mean loss in nats a token, and of each draft how many are right.
    """
    random = torch.Generator().manual_seed(course.seed)
    window, embed = model.config.get_text_config().sliding_window, model.model.language_model.embed_tokens
    groups = [
        {"params": [p for p in drafter.parameters() if p.dim() == 2], "weight_decay": course.decay},
        {"params": [p for p in drafter.parameters() if p.dim() != 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=course.rate, betas=(0.9, 0.98), eps=1e-8)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, course.steps))
    losses: list[float] = []
    shares: list[list[float]] = []
    for step in range(course.steps):
        chosen = torch.randint(len(heard.ids), (course.rows,), generator=random)
        found = drafts(drafter, embed, heard.rows(chosen), window)
        loss = torch.stack([F.cross_entropy(*pair) for pair in found]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(drafter.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        stage.advance(1)
        losses.append(loss.item())
        shares.append([(logits.argmax(-1) == wanted).float().mean().item() for logits, wanted in found])
        if len(losses) == 100:
            tell(step + 1, sum(losses) / 100, [round(sum(each) / 100, 3) for each in zip(*shares, strict=True)])
            losses.clear()
            shares.clear()
