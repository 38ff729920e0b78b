"""One ONNX decoder with its embedding model, one checkpoint: what the rungs for ONNX share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from runtime_tests.case import Case
from runtime_tests.errors import InputError
from runtime_tests.onnx.runner import Runner, Session
from runtime_tests.onnx.weights import matrix
from runtime_tests.questions.chunks import chunks
from runtime_tests.readers.checkpoint import Folder, open_checkpoint
from runtime_tests.readers.onnx.model import OnnxModel, open_onnx
from runtime_tests.readers.regular import file_sha256, listing_sha256
from runtime_tests.reference.model import Floats, Ids
from runtime_tests.reference.vision.tower import Tower
from runtime_tests.reference.widening import Source
from runtime_tests.weights.recovered import Recovered

EMBEDDING, TEXT, VISION = "embedding.onnx", "text.onnx", "vision.onnx"
CONTEXT = "gemma_bridge.context"
LONGEST = 512  # tokens of a piece of a prompt


@dataclass(frozen=True)
class Pair:
    """The models of a bundle: decoder, embedding, both in one, and what reads images, if anything does."""

    decoder: OnnxModel
    embedding: OnnxModel
    text: OnnxModel
    images: OnnxModel | None = None

    @property
    def path(self) -> Path:
        return self.decoder.path

    @property
    def size(self) -> int:
        """Bytes of all files; both in one has weights of its own nowhere."""
        return sum(path.stat().st_size for path in self.files)

    @property
    def files(self) -> list[Path]:
        """All files, by name."""
        seeing = () if self.images is None else self.images.files
        return sorted({*self.decoder.files, *self.embedding.files, *self.text.files, *seeing})

    def sha256(self) -> str:
        """Hex SHA-256 of the lines that ``sha256sum`` prints of the files, by name."""
        return listing_sha256({path.name: file_sha256(path) for path in self.files})


def open_pair(path: Path) -> Pair:
    """Opens a decoder and the models beside it.

    Raises:
        InputError: one is missing or damaged.
    """
    seeing = path.with_name(VISION)
    images = open_onnx(seeing) if seeing.is_file() else None
    return Pair(open_onnx(path), open_onnx(path.with_name(EMBEDDING)), open_onnx(path.with_name(TEXT)), images)


class OnnxCase(Case):
    """As :class:`Case`, for an ONNX decoder."""

    target = "onnx"
    artifact: Pair

    def __init__(
        self,
        artifact: Pair,
        folder: Folder,
        threads: int | None = None,
        evaluation: Path | None = None,
        float_model: Path | None = None,
        questions: int | None = None,
    ) -> None:
        super().__init__(artifact, folder, threads, evaluation, float_model, questions)
        self.decoder, self.embedding, self.text = artifact.decoder, artifact.embedding, artifact.text

    def like(self, artifact: Any) -> Self:
        """As :meth:`Case.like`; the tower is the checkpoint's alone."""
        other = super().like(artifact)
        for name in ("vision", "tower"):
            if name in self.__dict__:
                setattr(other, name, getattr(self, name))
        return other

    @cached_property
    def context(self) -> int:
        """As the model's metadata says it: its dimensions are open."""
        said = self.decoder.metadata.get(CONTEXT, "")
        if not said.isdecimal() or int(said) < 1:
            raise InputError(f"{self.decoder.path.name}: its metadata says {CONTEXT} {said[:20]!r}")
        return int(said)

    @cached_property
    def vision(self) -> Folder:
        """The checkpoint's vision tower and its projection into the text decoder."""
        return open_checkpoint(self.folder.path, "vision")

    @cached_property
    def tower(self) -> Tower:
        """transformers' own of them, with the model's weights where these are what the checkpoint rounded: see rung 0.

        Raises:
            InputError: the checkpoint has none.
        """
        found = {}
        if self.artifact.images is not None and self.folder.storage != "integers":
            for name in self.vision.floats:
                if not isinstance(stored := matrix(self.artifact.images, name.removesuffix(".weight")), str):
                    found[name.removesuffix(".weight")] = stored.values(0, stored.shape[0])
        return Tower(self.folder.path, self.threads, found)

    @cached_property
    def runner(self) -> Runner:
        """The whole model, as an app runs it; made once."""
        return Runner(self.text.path, self.threads)

    def session(self) -> Session:
        """An empty conversation."""
        return Session(self.runner, self.dims)

    def forced(self, ids: Ids, prompt: int) -> NDArray[np.float32]:
        """Logits of the tokens from ``prompt`` on, each decoded after its given predecessors, ``[T - prompt, V]``."""
        session = self.session()
        for start, stop in chunks(prompt, LONGEST):
            session.run(ids[start:stop])
        return np.stack([session.run(ids[i : i + 1]) for i in range(prompt, len(ids))])

    def greedy(self, prompts: Sequence[Ids], steps: Sequence[int], images: Sequence[Floats] = ()) -> list[Ids]:
        """See :meth:`Case.greedy`.

        Args:
            images: of each prompt the rows of its images, float32 ``[n, H]``, one for each image token; none for text.
        """
        stops, out, place = frozenset(self.stops), [], getattr(self.folder.transformers, "image_token_id", None)
        for number, (ids, most) in enumerate(zip(prompts, steps, strict=True)):
            session, chosen, logits = self.session(), list[int](), None
            rows = images[number] if images else None
            for start in range(0, len(ids), LONGEST):
                piece, some = ids[start : start + LONGEST], rows
                if rows is not None:
                    count = int(np.count_nonzero(piece == place))
                    some, rows = rows[:count], rows[count:]
                logits = session.run(piece, some)
            last = int(ids[-1])
            while len(chosen) < most and last not in stops:
                assert logits is not None
                last = int(logits.argmax())
                chosen.append(last)
                if len(chosen) < most and last not in stops:
                    logits = session.run(np.array([last], np.int32))
            out.append(np.array(chosen, np.int32))
        return out

    def lattice_source(self) -> Source:
        """The artifact's own lattice where the checkpoint leaves a choice."""
        recovered = Recovered(self.folder)

        def source(key: str) -> object:
            found = matrix(self.decoder, key)
            if isinstance(found, str) or found.shape != self.folder.shape(f"{key}.weight"):
                return recovered(key)
            return recovered.nearest_to(key, found.values)

        return source

    def release(self) -> None:
        self.__dict__.pop("runner", None) if self.large else None
        super().release()
