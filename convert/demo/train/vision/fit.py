"""The lessons: what is in a picture, then what the decoder is to say of it, then the same on the mobile grid."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from convert.demo.train.fit import CLIP, rate
from convert.demo.train.questions import pick
from convert.demo.train.vision import asked, pictures
from convert.demo.train.vision.asked import ATTRIBUTES, UNKNOWN, Asked
from convert.demo.train.vision.course import ALL, QUESTIONS, SIZES, Course
from convert.demo.train.vision.decoder import Decoder
from convert.demo.train.vision.pictures import Scene
from convert.demo.train.vision.told import Told
from convert.demo.train.vision.tower import Tower
from convert.demo.writing.tower import PATCH, POOL
from convert.progress import Stage

PIXELS = PATCH * POOL
# A step is a tenth of its weights in size; so are its changes. The projection has to learn a language from nothing.
FASTER = {"step": 0.1, "projection": 1.5, "other": 1.0}
LIKE = 0.3  # what being like the rows that the decoder was taught with weighs
HINT = 0.2  # what telling the attributes weighs beside the answers


@dataclass(frozen=True)
class Batch:
    """Pictures of one size: patches ``[B, P, pixels]``, their places ``[B, P, 2]``, labels of the attributes ``[B, A]``
    and questions ``[B][Q]``."""

    patches: Tensor
    places: Tensor
    labels: Tensor
    asked: list[list[Asked]]


def batch(random: np.random.Generator, course: Course) -> Batch:
    """Draws pictures that are not held out, and questions; of patches those that are kept, by chance."""
    (across, down), kept = SIZES[pick(random, len(SIZES))], course.kept
    scenes, labels, cut = list[Scene](), list[list[int]](), []
    for _ in range(course.rows):
        scene = pictures.invent(random, kinds=course.kinds)
        scenes.append(scene)
        labels.append(asked.labels(scene))
        colour = None
        if course.nameless and random.random() < course.nameless:
            colour = pictures.nameless(random)
            labels[-1][list(ATTRIBUTES).index("color")] = UNKNOWN
        blur = 0.0 if random.random() < 0.5 else 4.0 * random.random()
        drawn = pictures.draw(scene, across * PIXELS, down * PIXELS, random, blur, colour)
        chosen = random.random((across * down, ALL)).argpartition(kept - 1, axis=1)[:, :kept] if kept < ALL else None
        cut.append(pictures.patches(drawn, chosen))
    return Batch(
        torch.from_numpy(np.stack([patches for patches, _ in cut])).float() / 255,
        torch.from_numpy(np.stack([places for _, places in cut])),
        torch.tensor(labels),
        [asked.draw(scene, QUESTIONS, random) for scene in scenes],
    )


def telling(tower: Tower, normed: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the attributes that the scenes have, told by each row of its columns and by all of them."""
    losses = []
    tells = torch.tensor(asked.told_by(SIZES[0][0]) * SIZES[0][1])
    for number, logits in enumerate(tower.attributes(normed)):
        logits = logits[:, tells == number]
        known = labels[:, number] != UNKNOWN
        if bool(known.any()):
            wanted = labels[known, number]
            each = wanted[:, None].expand(-1, logits.shape[1])
            losses.append(F.cross_entropy(logits[known].flatten(0, 1), each.flatten()))
            losses.append(F.cross_entropy(logits[known].mean(1), wanted))
    return torch.stack(losses).mean()


def kind(name: str) -> str:
    """Which of ``FASTER`` a parameter is, by its name."""
    if name.endswith(".step"):
        return "step"
    return "projection" if name.startswith("embed_vision.") else "other"


def fit(
    tower: Tower,
    decoder: Decoder | None,
    course: Course,
    stage: Stage,
    at: dict[int, Callable[[], None]] | None = None,
    tell: Callable[[int, str], None] = lambda step, said: None,
    told: Told | None = None,
) -> None:
    """Trains in place.

    Args:
        told: whose features the tower's are to be like.
        decoder: answers; None: the attributes alone are learned.
        at: what to do before a step, by its number.
        tell: is given, every 25 steps, the loss and the share of questions whose every token is right.
    """
    random, coin = (np.random.default_rng([course.seed, number]) for number in range(2))
    parameters = list(tower.parameters())
    groups = [
        {
            "params": [each for name, each in tower.named_parameters() if kind(name) == wanted],
            "lr": course.rate * factor,
        }
        for wanted, factor in FASTER.items()
    ]
    optimizer = torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=course.rate, betas=(0.9, 0.98), weight_decay=0.0
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, course.steps, course.warm_up))
    losses, right = list[float](), list[float]()
    with ThreadPoolExecutor(1) as painter:  # the next batch is drawn while this one is learned
        ahead = painter.submit(batch, random, course)
        for step in range(course.steps):
            if at and step in at:
                at[step]()
            drawn, ahead = ahead.result(), painter.submit(batch, random, course)
            normed, rows = tower(drawn.patches, drawn.places, course.kept)
            loss = hint = telling(tower, normed, drawn.labels)
            if decoder is not None:
                logits, targets, numbers = decoder.answer_logits(rows, drawn.asked, bool(coin.random() < 0.5))
                loss = F.cross_entropy(logits, targets) + HINT * hint
                wrong = numbers[logits.argmax(-1) != targets].unique()
                right.append(1 - len(wrong) / (len(drawn.asked) * QUESTIONS))
            if told is not None:
                with torch.no_grad():
                    wanted = told(drawn.labels)
                loss = (
                    HINT * hint + F.mse_loss(normed, wanted)
                    if decoder is None
                    else loss + LIKE * F.mse_loss(normed, wanted)
                )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, CLIP)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
            stage.advance(1)
            if len(losses) == 25:
                share = f", right {100 * sum(right) / len(right):.1f} %" if right else ""
                tell(step + 1, f"loss {sum(losses) / len(losses):.4f}, attributes {hint.item():.4f}{share}")
                losses.clear()
                right.clear()
