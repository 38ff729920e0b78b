"""Rows for the decoder from a scene's attributes themselves, without a picture: what the tower is to give it.

A decoder that never saw a row of an image does not tell soon which part of it matters. It is found out here, where the
rows hold the attributes and nothing else; the tower then learns to give such rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convert.demo.train.fit import CLIP, rate
from convert.demo.train.vision import asked, pictures
from convert.demo.train.vision.asked import ATTRIBUTES, UNKNOWN
from convert.demo.train.vision.course import QUESTIONS, SIZES, Course
from convert.demo.train.vision.decoder import Decoder
from convert.progress import Stage

WIDE = 256
EPS = 1e-6


class Told(nn.Module):
    """Normalized features of each row of a square picture from the attributes, then projected.

    Attributes:
        projection: as the tower's own.
    """

    def __init__(self, hidden: int, width: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        values = sum(map(len, ATTRIBUTES.values()))
        self.rows = SIZES[0][0] * SIZES[0][1]
        self.net = nn.Sequential(nn.Linear(values, WIDE), nn.GELU(), nn.Linear(WIDE, self.rows * hidden))
        self.places = nn.Parameter(torch.randn(self.rows, hidden) * 0.5)
        self.projection = nn.Parameter(torch.randn(width, hidden) * hidden**-0.5)

    def forward(self, labels: Tensor) -> Tensor:
        """Normalized features ``[B, n, hidden]`` by labels ``[B, A]``, as :func:`asked.labels` gives them."""
        known = [
            F.one_hot(labels[:, number].clamp(0), len(values)) * (labels[:, number, None] != UNKNOWN)
            for number, values in enumerate(ATTRIBUTES.values())
        ]
        found = self.net(torch.cat(known, dim=-1).float()).reshape(len(labels), *self.places.shape) + self.places
        normed: Tensor = found * torch.rsqrt(found.square().mean(-1, keepdim=True) + EPS)
        return normed


def fit_told(
    told: Told,
    decoder: Decoder,
    course: Course,
    stage: Stage,
    tell: Callable[[int, str], None] = lambda step, said: None,
) -> None:
    """Trains in place."""
    random = np.random.default_rng(course.seed)
    optimizer = torch.optim.AdamW(told.parameters(), lr=course.rate, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, course.steps, course.warm_up))
    losses, right = list[float](), list[float]()
    for step in range(course.steps):
        scenes = [pictures.invent(random) for _ in range(course.rows)]
        features = told(torch.tensor([asked.labels(scene) for scene in scenes]))
        questions = [asked.draw(scene, QUESTIONS, random) for scene in scenes]
        logits, targets, numbers = decoder.answer_logits(
            F.linear(features, told.projection), questions, bool(random.random() < 0.5)
        )
        loss = F.cross_entropy(logits, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(told.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        right.append(1 - len(numbers[logits.argmax(-1) != targets].unique()) / (course.rows * QUESTIONS))
        stage.advance(1)
        if len(losses) == 25:
            tell(step + 1, f"loss {sum(losses) / len(losses):.4f}, right {100 * sum(right) / len(right):.1f} %")
            losses.clear()
            right.clear()
