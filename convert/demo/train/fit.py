"""The loop: batches in, a trained model out. Steps, not seconds, so that every machine trains the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.demo.train.convertible import head
from convert.demo.train.curriculum import Curriculum
from convert.demo.train.network import answer_logits
from convert.progress import Stage

WARM_UP, END_OF_RATE = 100, 0.01
CLIP = 1.0


@dataclass(frozen=True)
class Course:
    """How long and how fast.

    Attributes:
        steps: updates.
        rows: conversations of a batch.
        rate: highest learning rate; it falls as a cosine to a hundredth of it.
        decay: AdamW's weight decay of matrices.
        seed: of the batches.
    """

    steps: int
    rows: int
    rate: float
    decay: float
    seed: int


def fit(
    model: Any,
    curriculum: Curriculum,
    course: Course,
    stage: Stage,
    at: dict[int, Callable[[], None]] | None = None,
    tell: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Trains in place.

    Args:
        at: what to do before a step, by its number.
        tell: is given the mean loss of every hundred steps, in nats a token.
    """
    import torch
    import torch.nn.functional as F

    random = np.random.default_rng(course.seed)
    optimizer = torch.optim.AdamW(_groups(model, course), lr=course.rate, betas=(0.9, 0.98), eps=1e-8)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, course.steps))
    losses: list[float] = []
    for step in range(course.steps):
        if at and step in at:
            at[step]()
        batch = curriculum.batch(random, course.rows)
        ids, targets = torch.from_numpy(batch.ids), torch.from_numpy(batch.targets)
        loss = F.cross_entropy(*answer_logits(model, ids, targets, head(model)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        stage.advance(1)
        if len(losses) == 100:
            tell(step + 1, sum(losses) / len(losses))
            losses.clear()


def rate(step: int, steps: int, warm_up: int = WARM_UP) -> float:
    """A warm-up, then a cosine down to a hundredth; a factor."""
    warm = min(1.0, (step + 1) / min(warm_up, steps))
    return warm * (END_OF_RATE + (1 - END_OF_RATE) * 0.5 * (1 + math.cos(math.pi * step / steps)))


def _groups(model: Any, course: Course) -> list[dict[str, Any]]:
    matrices: list[Any] = []
    steps: list[Any] = []
    others: list[Any] = []
    for name, parameter in model.model.language_model.named_parameters():
        group = steps if name.endswith(".step") else matrices if parameter.dim() == 2 else others
        group.append(parameter)
    return [
        {"params": matrices, "weight_decay": course.decay},
        {"params": others, "weight_decay": 0.0},
        # A step is a tenth of its weights in size; so are its changes.
        {"params": steps, "weight_decay": 0.0, "lr": course.rate * 0.1},
    ]
