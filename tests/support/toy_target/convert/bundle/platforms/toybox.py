"""A platform that ships toys, and packs a card with each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.bundle.platform import Packing, Platform
from convert.choices import choice

if TYPE_CHECKING:
    from convert.progress import Progress

CARD = "card.txt"


@dataclass(frozen=True)
class Choices:
    """Attributes:
    card: whether a card lies in the box.
    """

    card: str = choice("with", ("with", "without"), "a card in the box")


def _pack(folder: Path, tools: Any, choices: Choices, work: Path, progress: Progress) -> str | None:
    from convert.bundle import papers

    if choices.card == "without":
        return None
    (folder / CARD).write_text("For you.\n", "utf-8")
    papers.add(folder, [folder / CARD])
    return f"card: {CARD}"


PLATFORM = Platform("toybox", "toy", {"toy": Packing(choices=Choices, pack=_pack)})
