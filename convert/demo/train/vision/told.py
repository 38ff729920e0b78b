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
from convert.demo.train.vision.asked import ATTRIBUTES, UNKNOWN, Asked
from convert.demo.train.vision.course import QUESTIONS, SIZES, Course
from convert.demo.train.vision.decoder import Decoder
from convert.progress import Stage

WAVES = 3  # of which a column's rows are mixed, from top to bottom
NOISE = 0.25  # added to features of size one: so that a tower need not meet them exactly
EPS = 1e-6


class Told(nn.Module):
    """Normalized features of each row of a square picture from the attributes, then projected.

    Every row tells one attribute, that of its column, in features that change slowly from top to bottom: what a small
    tower can learn to give, and yet different enough for the decoder to tell rows apart.

    Attributes:
        tables: of each column, what each value of its attribute adds, ``[waves, values, hidden]``.
        same: what it has anyhow, ``[columns, waves, hidden]``.
        projection: as the tower's own.
    """

    def __init__(self, hidden: int, width: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        across, down = SIZES[0]
        values, self.tells = list(ATTRIBUTES.values()), asked.told_by(across)
        self.tables = nn.ParameterList(
            nn.Parameter(torch.randn(WAVES, len(values[number]), hidden) * 0.4) for number in self.tells
        )
        self.same = nn.Parameter(torch.randn(across, WAVES, hidden) * 0.3)
        self.projection = nn.Parameter(torch.randn(width, hidden) * hidden**-0.5)
        y = torch.linspace(-1, 1, down)
        waves = [torch.ones(down), 1.5 * y, 1.4 * (y * torch.pi).cos()]
        self.waves = nn.Buffer(torch.stack(waves, -1), persistent=False)

    def forward(self, labels: Tensor, noise: float = 0.0) -> Tensor:
        """Normalized features ``[B, n, hidden]`` by labels ``[B, A]``, as :func:`asked.labels` gives them."""
        columns = []
        for number, table, same in zip(self.tells, self.tables, self.same, strict=True):
            known = (labels[:, number] != UNKNOWN).float()
            found = table[:, labels[:, number].clamp(0)] * known[:, None] + same[:, None]
            columns.append(torch.einsum("yw,wbh->byh", self.waves, found))
        rows = torch.stack(columns, dim=2).flatten(1, 2)
        rows = rows + noise * torch.randn_like(rows)
        normed: Tensor = rows * torch.rsqrt(rows.square().mean(-1, keepdim=True) + EPS)
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
        labels, questions = zip(*(_drawn(number, random) for number in range(course.rows)), strict=True)
        features = told(torch.tensor(labels), NOISE)
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


def _drawn(number: int, random: np.random.Generator) -> tuple[list[int], list[Asked]]:
    """Labels and questions: of a scene, or of what no picture shows, in turn."""
    if number % 2:
        return asked.imagine(QUESTIONS, random)
    scene = pictures.invent(random)
    return asked.labels(scene), asked.draw(scene, QUESTIONS, random)
