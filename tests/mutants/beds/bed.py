"""A checkpoint, its sound model in one target's form, and a control case whose reference runs are shared."""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from convert.bundle import papers
from convert.bundle.manifest import Parity, Rung
from convert.bundle.names import GOLDEN, PAGE, PARITY
from convert.checkpoint import open_checkpoint as read
from convert.checkpoint import open_folder, resolve, with_digests
from convert.checkpoint.drafter import open_drafter
from convert.checkpoint.types import Checkpoint
from convert.demo import folder as demo
from convert.progress import Silent
from convert.targets import all_targets
from convert.targets.target import Target
from runtime_tests.case import Case
from runtime_tests.kinds import open_case
from runtime_tests.ladder import climb
from tests.support.checkpoints import small
from tests.support.vision import towered

# Short, so that a build and a judgement take about a second; two prefill lengths, so that chunks cross them.
CONTEXT, PREFILL = 256, (16, 64)
# Of a case: what the checkpoint's files say, which no model changes, and which takes long to read.
_SHARED = ("named_stops", "_templates", "_tokenizer")


@dataclass(frozen=True)
class Bed(ABC):
    """Attributes:
    target: of its models.
    name: ``q4_0`` is a small checkpoint of that format, ``images`` one with a vision tower whose linears clip, any
        other the demo; what else is in a name is the target's.
    work: a folder for files.
    """

    name: str
    work: Path
    target: ClassVar[str]

    @property
    @abstractmethod
    def options(self) -> Any:
        """Of a conversion."""

    @abstractmethod
    def edit(self, change: Callable[[Any], None], folder: Path) -> Path:
        """A changed copy of the sound model, in a folder that is empty."""

    @cached_property
    def checkpoint(self) -> Path:
        if self.name not in _WRITERS:
            return demo()
        folder = self.work / "checkpoints" / self.name
        if not folder.is_dir():
            folder.parent.mkdir(exist_ok=True)
            _WRITERS[self.name](folder)
        return folder

    @cached_property
    def drafter(self) -> Path | None:
        """The folder of its drafter; None where there is none."""
        return None

    @cached_property
    def artifact(self) -> Path:
        """The sound model."""
        return self.convert(self.checkpoint, self._folder("sound"))

    @cached_property
    def control(self) -> Case:
        """The sound model's case."""
        return self.case(self.artifact)

    @cached_property
    def bundle(self) -> Path:
        """A bundle folder with the sound model and every paper; its reports say no more than which model they mean."""
        kind, folder, opened = self._kind, self._folder("bundle"), with_digests(read(self.checkpoint))
        shutil.copytree(self.artifact.parent, folder, dirs_exist_ok=True)
        for extra in self.extras(folder):
            extra.unlink()
        digest = kind.digest(folder / kind.model)
        (folder / PARITY).write_text(json.dumps({"artifact": {"sha256": digest}}), "utf-8")
        (folder / PAGE).write_text("<!doctype html>", "utf-8")
        (folder / GOLDEN).write_text(json.dumps({"artifact_sha256": digest}), "utf-8")
        rungs = [Rung(rung=rung.name, question=rung.question, verdict="pass") for rung in climb(self.control, ("0",))]
        parity = Parity(artifact_sha256=digest, rungs=rungs, evaluation=None)
        platform = min(kind.platforms)
        papers.finish(folder, self._slug, opened, parity, kind, platform)
        return folder

    def extras(self, folder: Path) -> list[Path]:
        """What lies beside a model here and in no bundle."""
        return []

    def convert(self, checkpoint: Path, folder: Path) -> Path:
        """Converts a checkpoint into a folder that is empty, with what a bundle has beside the model."""
        opened, out = self._opened(checkpoint), folder / self._kind.model
        self._kind.convert(opened, self.options, out, Silent())
        self._kind.collect(opened, self.options, folder)
        return out

    def case(self, made: Path) -> Case:
        """A model, or a bundle folder, opened for the ladder."""
        return open_case(made, self.checkpoint, drafter=self.drafter)

    def judged(self, made: Path) -> Case:
        """The same; what the reference has said of the sound model is taken over."""
        opened = self.case(made)
        out = self.control.like(opened.artifact)
        out.feeding = opened.feeding
        for name in _SHARED:
            if name in self.control.__dict__:
                out.__dict__[name] = self.control.__dict__[name]
        return out

    def same(self, made: Path) -> bool:
        """Whether a model, with what lies beside it, is the sound one."""
        return _content(made.parent) == _content(self.artifact.parent)

    def _opened(self, checkpoint: Path) -> Checkpoint:
        if self.name == "images":
            return open_folder(resolve(checkpoint), ("image",))
        opened = read(checkpoint)
        return opened if self.drafter is None else open_drafter(resolve(self.drafter), opened)

    @property
    def _kind(self) -> Target:
        return all_targets()[self.target]

    @property
    def _slug(self) -> str:
        return self.name.replace(" ", "_")

    def _folder(self, what: str) -> Path:
        folder = self.work / f"{self.target}_{self._slug}_{what}"
        folder.mkdir()
        return folder


def _seeing(folder: Path) -> None:
    towered.write(folder, "mobile")
    towered.clipped(folder)


_WRITERS: dict[str, Callable[[Path], object]] = {
    "q4_0": lambda folder: small.write(folder, "q4_0", "e2b"),
    "images": _seeing,
}


def _content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
