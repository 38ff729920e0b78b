"""What messages with an image, and texts of as many tokens, become: the columns of ``just bench image``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convert import tables
from convert.errors import ArtifactError
from tests.bench.peers.figures import spread


@dataclass(frozen=True)
class Turn:
    """One message in a process of its own.

    Attributes:
        wall: seconds from sending it to the first token of the answer.
        decoder: seconds of them by the engine's clock, which begins when an image's rows are there.
        processor: seconds of all threads meanwhile.
        tower: bytes of memory, the most beyond what was held before, until the rows are there; pages of files left out.
        taken: the same until the first token.
        prompt: tokens that were read.
        resident: most bytes that the process held, mapped pages of files included.
    """

    wall: float
    decoder: float
    processor: float
    tower: int
    taken: int
    prompt: int
    resident: int


@dataclass(frozen=True)
class Budget:
    """Messages with an image of so many tokens and texts as long, turn about.

    Attributes:
        tokens: that an image becomes.
        sections: bytes of the file that are the tower's.
        images, texts: one of each for a round.
    """

    tokens: int
    sections: int
    images: tuple[Turn, ...]
    texts: tuple[Turn, ...]

    def __post_init__(self) -> None:
        """Holds both to one length.

        Raises:
            ArtifactError: the engine read more tokens of one than of another.
        """
        if len(read := {turn.prompt for turn in (*self.images, *self.texts)}) > 1:
            found = f"the engine read {' and '.join(map(str, sorted(read)))} tokens"
            raise ArtifactError(f"an image of {self.tokens} tokens and a text as long", found, "Report it")

    def figures(self) -> dict[str, str]:
        """Medians over the rounds, with the least and the most; differences and ratios are those of one round."""
        rounds = tuple(zip(self.images, self.texts, strict=True))
        return {
            "tokens read in all": str(self.images[0].prompt),
            "the tower in the file": tables.size(self.sections),
            "from the image to its rows": _seconds([image.wall - image.decoder for image in self.images]),
            "processor time of that": _seconds([image.processor - text.processor for image, text in rounds]),
            "first token after the image": _seconds([image.wall for image in self.images]),
            "first token after a text as long": _seconds([text.wall for text in self.texts]),
            "times as long": _spread([image.wall / text.wall for image, text in rounds]),
            "memory taken until the rows are there": _size([image.tower for image in self.images]),
            "memory taken until the first token": _size([image.taken for image in self.images]),
            "the same, of the text": _size([text.taken for text in self.texts]),
            "most resident, files included": _size([image.resident for image in self.images]),
            "the same, of the text without a tower": _size([text.resident for text in self.texts]),
        }


def table(title: str, budgets: Sequence[Budget]) -> str:
    """For people: a column for each budget."""
    columns = [budget.figures() for budget in budgets]
    rows = [(name, *(column[name] for column in columns)) for name in columns[0]]
    return tables.table(title, ("", *(f"{budget.tokens} tokens " for budget in budgets)), rows)


def _seconds(values: Sequence[float]) -> str:
    return _spread(values, " s")


def _spread(values: Sequence[float], unit: str = "") -> str:
    found = spread(values)
    return f"{found.median:.2f}{unit} ({found.least:.2f} - {found.most:.2f})"


def _size(values: Sequence[int]) -> str:
    return tables.size(round(spread(values).median))
