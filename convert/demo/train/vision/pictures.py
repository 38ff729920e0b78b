"""Pictures with something to ask about: a digit, one shape somewhere, or a few of one shape; drawn by numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.demo.train.questions import pick, share
from convert.demo.writing.tower import PATCH, POOL

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

COLOURS = {
    "red": (220, 30, 30),
    "green": (20, 160, 50),
    "blue": (30, 60, 220),
    "yellow": (240, 220, 30),
    "white": (250, 250, 250),
    "orange": (250, 135, 15),
    "pink": (250, 130, 190),
    "cyan": (40, 220, 230),
}
SHAPES = ("circle", "square", "triangle", "cross", "ring")
# Cells of a grid of three by three, row by row.
PLACES = {"top": 1, "left": 3, "middle": 4, "right": 5, "bottom": 7}
KINDS = ("digit", "digit", "one", "many")  # how often each is drawn
FEWEST, MOST = 2, 5
BRIGHT, APART = 130, 48
# In seven strokes: top, upper left, upper right, middle, lower left, lower right, bottom.
STROKES = ("1110111", "0010010", "1011101", "1011011", "0111010", "1101011", "1101111", "1010010", "1111111", "1111011")
HELD_OUT, WHERE = 6, 2  # one pair in so many: digit and colour, shape and colour; of the latter, one in so many cells


@dataclass(frozen=True)
class Scene:
    """What there is to see.

    Attributes:
        kind: ``digit``, ``one`` (shape, somewhere) or ``many`` (of one shape).
        digit: "" where there are shapes.
        shape: "" where there is a digit.
        cells: where shapes stand, of the nine of the grid.
    """

    kind: str
    colour: str
    digit: str = ""
    shape: str = ""
    cells: tuple[int, ...] = ()

    @property
    def held_out(self) -> bool:
        """Whether training never draws it."""
        pair = f"picture {self.kind} {self.digit or self.shape} {self.colour}"
        where = f"{pair} {' '.join(map(str, self.cells))}"
        return share(pair, HELD_OUT) == 0 and (bool(self.digit) or share(where, WHERE) == 0)

    @property
    def place(self) -> str:
        """Of one shape."""
        return next(name for name, cell in PLACES.items() if self.cells == (cell,))


def invent(random: np.random.Generator, held_out: bool = False, kinds: Sequence[str] = KINDS) -> Scene:
    """A scene that is held out, or one that is not; ``kinds`` are drawn equally often."""
    while True:
        kind, colour = kinds[pick(random, len(kinds))], list(COLOURS)[pick(random, len(COLOURS))]
        if kind == "digit":
            scene = Scene(kind, colour, digit=str(pick(random, 10)))
        else:
            shape = SHAPES[pick(random, len(SHAPES))]
            if kind == "one":
                cells: tuple[int, ...] = (list(PLACES.values())[pick(random, len(PLACES))],)
            else:
                count = FEWEST + pick(random, MOST - FEWEST + 1)
                cells = tuple(sorted(int(cell) for cell in random.permutation(9)[:count]))
            scene = Scene(kind, colour, shape=shape, cells=cells)
        if scene.held_out == held_out:
            return scene


def nameless(random: np.random.Generator) -> NDArray[np.int64]:
    """A colour that is none of those with a name, and that the ground does not hide."""
    while True:
        found = random.integers(0, 256, 3)
        distances = np.abs(np.array(list(COLOURS.values())) - found).max(axis=1)
        if found.max() > BRIGHT and distances.min() > APART:
            return found


def draw(
    scene: Scene,
    wide: int,
    high: int,
    random: np.random.Generator,
    blur: float = 0.0,
    colour: NDArray[np.int64] | None = None,
) -> Pixels:
    """The picture, ``[high, wide, 3]``: size and place of everything differ a little.

    Args:
        colour: another than the scene's.
        blur: width of edges in pixels, as in a picture that was enlarged; 0 for sharp ones.
    """
    ground = np.full(3, 20 + pick(random, 21)) + random.integers(-6, 7, 3)
    ink = np.clip((np.array(COLOURS[scene.colour]) if colour is None else colour) + random.integers(-12, 13, 3), 0, 255)
    picture = np.frombuffer(bytearray(ground.astype(np.uint8).tobytes() * (high * wide)), np.uint8)
    picture = picture.reshape(high, wide, 3)
    for x, y, half_wide, half_high, what in _strokes(scene, random) if scene.digit else _figures(scene, random):
        _put(picture, ink, (x * wide, y * high), (half_wide * wide, half_high * high), what, blur)
    return picture


def _figures(scene: Scene, random: np.random.Generator) -> list[tuple[float, float, float, float, str]]:
    """Centre, half of width and height, as shares of the picture's, and what to draw."""
    out = []
    size = 0.14 + 0.02 * random.random()
    for cell in scene.cells:
        x, y = ((cell % 3) + 0.5) / 3, ((cell // 3) + 0.5) / 3
        x, y = (each + 0.03 * (random.random() - 0.5) for each in (x, y))
        out.append((x, y, size, size, scene.shape))
    return out


def _strokes(scene: Scene, random: np.random.Generator) -> list[tuple[float, float, float, float, str]]:
    wide, high, thick = 0.2 + 0.02 * random.random(), 0.3 + 0.04 * random.random(), 0.055 + 0.015 * random.random()
    x, y = (0.5 + 0.04 * (random.random() - 0.5) for _ in range(2))
    bars = (
        (x, y - high, wide + thick, thick),
        (x - wide, y - high / 2, thick, high / 2),
        (x + wide, y - high / 2, thick, high / 2),
        (x, y, wide + thick, thick),
        (x - wide, y + high / 2, thick, high / 2),
        (x + wide, y + high / 2, thick, high / 2),
        (x, y + high, wide + thick, thick),
    )
    return [(*bar, "bar") for bar, lit in zip(bars, STROKES[int(scene.digit)], strict=True) if lit == "1"]


def _put(
    picture: Pixels, ink: NDArray[np.int64], at: tuple[float, float], half: tuple[float, float], what: str, blur: float
) -> None:
    """Draws a figure over what is there; middle and half of width and height in pixels."""
    margin = 1 + int(blur)
    left, top = (max(0, int(middle - size) - margin) for middle, size in zip(at, half, strict=True))
    right, bottom = (int(middle + size) + margin + 2 for middle, size in zip(at, half, strict=True))
    part = picture[top:bottom, left:right]
    u = (np.arange(left, left + part.shape[1], dtype=np.float32) + np.float32(0.5 - at[0])) / np.float32(half[0])
    v = (np.arange(top, top + part.shape[0], dtype=np.float32) + np.float32(0.5 - at[1])) / np.float32(half[1])
    inside = depth(what, u[None, :], v[:, None])
    if not blur:
        part[inside >= 0] = ink
        return
    edge = np.clip(0.5 + inside * np.float32(min(half) / blur), 0, 1)[:, :, None]
    part[:] = part + edge * (ink - part) + np.float32(0.5)


def depth(what: str, u: Floats, v: Floats) -> Floats:
    """How far inside a figure a point lies, below 0 outside; u and v go from -1 to 1, v downwards."""
    far = np.maximum(np.abs(u), np.abs(v))
    if what == "bar":
        return 1 - far
    if what == "square":
        return np.float32(0.88) - far
    if what == "circle":
        return 1 - np.hypot(u, v)
    if what == "ring":
        return np.float32(0.22) - np.abs(np.hypot(u, v) - np.float32(0.78))
    if what == "cross":
        return np.minimum(1 - far, np.float32(0.3) - np.minimum(np.abs(u), np.abs(v)))
    return np.minimum(np.float32(0.9) - v, ((v + 1) / np.float32(1.9) - np.abs(u)) * np.float32(0.8))  # triangle


def patches(picture: Pixels, kept: NDArray[np.intp] | None = None) -> tuple[Pixels, NDArray[np.int64]]:
    """Patches ``[P, rows * pixels * colours]`` and their x and y ``[P, 2]``, those of one square of nine together.

    Args:
        kept: which of each square's nine are kept, ``[squares, some]``; None: all.
    """
    high, wide = (each // (PATCH * POOL) for each in picture.shape[:2])
    cut = picture.reshape(high, POOL, PATCH, wide, POOL, PATCH, 3).transpose(0, 3, 1, 4, 2, 5, 6)
    y, x = np.indices((high * POOL, wide * POOL)).reshape(2, high, POOL, wide, POOL)
    places = np.stack([x, y], -1).transpose(0, 2, 1, 3, 4).reshape(high * wide, POOL**2, 2)
    if kept is None:
        return cut.reshape(high * wide * POOL**2, -1), places.reshape(-1, 2)
    square = np.arange(high * wide)[:, None]
    found = cut[square // wide, square % wide, kept // POOL, kept % POOL]
    return found.reshape(kept.size, -1), places[square, kept].reshape(-1, 2)
