"""What mutants grow on: a checkpoint, its sound artifact, and a control case whose reference runs are shared."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from convert.checkpoint import open_checkpoint as read
from convert.checkpoint import with_digests
from convert.demo import folder as demo
from convert.progress import Silent
from convert.targets.litert import TARGET, LitertOptions, convert
from runtime_tests.litert.case import LitertCase
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from tests.support.checkpoints import small

# Short, so that a build and a judgement take about a second; two prefill lengths, so that chunks cross them.
CONTEXT, PREFILL = 256, (16, 64)
BEDS = {"mobile": "float32", "int8 cache": "int8", "q4_0": "float32"}


@dataclass(frozen=True)
class Bed:
    """Attributes:
    name: ``mobile`` (the demo), ``int8 cache`` (the demo with a quantized KV cache) or ``q4_0`` (a small one).
    work: a folder for files.
    """

    name: str
    work: Path

    @cached_property
    def checkpoint(self) -> Path:
        if self.name != "q4_0":
            return demo()
        folder = self.work / "q4_0"
        small.write(folder, "q4_0", "e2b")
        return folder

    @cached_property
    def artifact(self) -> Path:
        out = self.work / f"{self.name.replace(' ', '_')}.litertlm"
        self.convert(self.checkpoint, out)
        return out

    @cached_property
    def control(self) -> LitertCase:
        """The sound artifact's case."""
        return LitertCase(open_litertlm(self.artifact), open_checkpoint(self.checkpoint))

    @cached_property
    def bundle(self) -> Path:
        """A bundle folder with the sound artifact, a report that allows publication, and every paper."""
        from convert.bundle import papers
        from convert.bundle.names import GOLDEN, PAGE, PARITY
        from convert.pipeline import read_parity
        from runtime_tests.ladder import asked, climb
        from runtime_tests.report import golden
        from runtime_tests.report import parity as report
        from runtime_tests.report.html import page

        folder = self.work / f"bundle_{self.name.replace(' ', '_')}"
        folder.mkdir()
        shutil.copy(self.artifact, folder / TARGET.model)
        case = self.control.like(open_litertlm(folder / TARGET.model))
        parity = report.report(case, climb(case, asked(case, None)))
        (folder / PARITY).write_text(report.dump(parity), "utf-8")
        (folder / PAGE).write_text(page.render(parity.model_dump(mode="json")), "utf-8")
        (folder / GOLDEN).write_text(golden.dump(golden.golden(case)), "utf-8")
        summary = read_parity(folder / PARITY, folder / TARGET.model, TARGET)
        papers.finish(folder, self.name, with_digests(read(self.checkpoint)), summary, TARGET, "android")
        return folder

    def convert(self, checkpoint: Path, out: Path) -> None:
        """Converts a checkpoint with this bed's options."""
        options = LitertOptions(context=CONTEXT, prefill=PREFILL, cache=BEDS[self.name])
        convert(read(checkpoint), options, out, Silent())
