"""What is asked about a picture: the question of each kind, the right answer, and a scene's attributes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convert.demo.train.vision.pictures import COLOURS, MOST, PLACES, SHAPES, Scene

WORDINGS = {
    "number": "What number is it?",
    "color": "What color is it?",
    "shape": "What shape is it?",
    "count": "How many?",
    "place": "Where is it?",
}
ASKED = {
    "number": ("number", "color"),
    "one": ("shape", "color", "place", "count"),
    "many": ("count", "shape", "color"),
}
# Values of the attributes that the tower first learns to tell, each by a linear head.
ATTRIBUTES = {
    "tens": tuple(range(1, 10)),
    "ones": tuple(range(10)),
    "color": tuple(COLOURS),
    "shape": SHAPES,
    "count": tuple(range(1, MOST + 1)),
    "place": tuple(PLACES),
}
UNKNOWN = -100


@dataclass(frozen=True)
class Asked:
    """A question about a scene and its one right answer."""

    kind: str
    question: str
    answer: str


def answer(scene: Scene, kind: str) -> str:
    """The right one."""
    known = {"number": scene.number, "color": scene.colour, "shape": scene.shape, "count": len(scene.cells)}
    return scene.place if kind == "place" else str(known[kind])


def ask(scene: Scene, kind: str) -> Asked:
    """A question about a scene."""
    return Asked(kind, WORDINGS[kind], answer(scene, kind))


def draw(scene: Scene, count: int, random: np.random.Generator) -> list[Asked]:
    """So many questions about a scene, of as many kinds as there are."""
    kinds = [ASKED[scene.kind][int(i)] for i in random.permutation(len(ASKED[scene.kind]))]
    return [ask(scene, (kinds * count)[i]) for i in range(count)]


def labels(scene: Scene) -> list[int]:
    """Index of the scene's value of each attribute; ``UNKNOWN`` where it has none."""
    tens, ones = divmod(scene.number, 10)
    value = {
        "tens": tens if scene.number else None,
        "ones": ones if scene.number else None,
        "color": scene.colour,
        "shape": scene.shape or None,
        "count": len(scene.cells) or None,
        "place": scene.place if scene.kind == "one" else None,
    }
    return [
        UNKNOWN if value[name] is None else tuple(map(str, values)).index(str(value[name]))
        for name, values in ATTRIBUTES.items()
    ]
