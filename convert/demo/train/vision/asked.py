"""What is asked about a picture: the question of each kind, the right answer, and a scene's attributes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convert.demo.train.questions import pick
from convert.demo.train.vision.pictures import COLOURS, MOST, PLACES, SHAPES, Scene

WORDINGS = {
    "number": "What number is it?",
    "color": "What color is it?",
    "shape": "What shape is it?",
    "count": "How many?",
    "place": "Where is it?",
}
ASKED = {
    "digit": ("number", "color"),
    "one": ("shape", "color", "place", "count"),
    "many": ("count", "shape", "color"),
}
# Values of the attributes that the tower first learns to tell, each by a linear head.
ATTRIBUTES = {
    "digit": tuple("0123456789"),
    "color": tuple(COLOURS),
    "shape": SHAPES,
    "count": tuple(range(1, MOST + 1)),
    "place": tuple(PLACES),
}
UNKNOWN = -100
ABOUT = {"number": "digit"}  # the attribute that a kind of question is about, where it has another name


def told_by(across: int) -> list[int]:
    """Which attribute each column of an image's rows is to tell, by number: so that no row has to tell all of them."""
    return [column * len(ATTRIBUTES) // across for column in range(across)]


@dataclass(frozen=True)
class Asked:
    """A question about a scene and its one right answer."""

    kind: str
    question: str
    answer: str


def answer(scene: Scene, kind: str) -> str:
    """The right one."""
    known = {"number": scene.digit, "color": scene.colour, "shape": scene.shape, "count": len(scene.cells)}
    return scene.place if kind == "place" else str(known[kind])


def ask(scene: Scene, kind: str) -> Asked:
    """A question about a scene."""
    return Asked(kind, WORDINGS[kind], answer(scene, kind))


def imagine(count: int, random: np.random.Generator) -> tuple[list[int], list[Asked]]:
    """Labels of attributes as no picture has them together, a digit beside a shape for one, and questions about them.

    So each is learned apart from the others. What is held out of pictures is not among them.
    """
    while True:
        chosen = [pick(random, len(values)) if random.random() < 0.6 else UNKNOWN for values in ATTRIBUTES.values()]
        known = {
            name: str(values[at]) for at, (name, values) in zip(chosen, ATTRIBUTES.items(), strict=True) if at >= 0
        }
        colour, digit, shape = (known.get(name, "") for name in ("color", "digit", "shape"))
        cells = (PLACES[known["place"]],) if "place" in known else ()
        scenes = [Scene("digit", colour, digit=digit)] * bool(digit)
        scenes += [Scene("one", colour, shape=shape, cells=cells)] * bool(shape and cells)
        if known and not (colour and any(scene.held_out for scene in scenes)):
            break
    kinds = [kind for kind in WORDINGS if ABOUT.get(kind, kind) in known]
    asked = [kinds[int(i)] for i in random.permutation(len(kinds))] * count
    return chosen, [Asked(kind, WORDINGS[kind], known[ABOUT.get(kind, kind)]) for kind in asked[:count]]


def draw(scene: Scene, count: int, random: np.random.Generator) -> list[Asked]:
    """So many questions about a scene, of as many kinds as there are."""
    kinds = [ASKED[scene.kind][int(i)] for i in random.permutation(len(ASKED[scene.kind]))]
    return [ask(scene, (kinds * count)[i]) for i in range(count)]


def labels(scene: Scene) -> list[int]:
    """Index of the scene's value of each attribute; ``UNKNOWN`` where it has none."""
    value = {
        "digit": scene.digit or None,
        "color": scene.colour,
        "shape": scene.shape or None,
        "count": len(scene.cells) or None,
        "place": scene.place if scene.kind == "one" else None,
    }
    return [
        UNKNOWN if value[name] is None else tuple(map(str, values)).index(str(value[name]))
        for name, values in ATTRIBUTES.items()
    ]
