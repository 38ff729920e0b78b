"""``just bench drafter``: the demo's held-out questions in the stock engine, with the demo's drafter and without."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from convert import demo, tables
from convert.progress import Silent
from convert.targets import all_targets
from convert.targets.litert.options import DRAFTS

CONTEXT, TARGET = 512, "litert"


def drafter(root: Path) -> str:
    """Converts, asks all questions twice, and gives the table."""
    from convert.checkpoint import open_checkpoint, resolve
    from convert.checkpoint.drafter import open_drafter
    from runtime_tests.kinds import open_case
    from runtime_tests.litert.runners.engine import Request, ask
    from runtime_tests.rungs.asked import Asked

    target, root = all_targets()[TARGET], root.resolve()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="drafter-", dir=root) as work:
        file = Path(work) / target.model
        checkpoint = open_drafter(resolve(demo.drafter()), open_checkpoint("demo"))
        options = target.options(context=CONTEXT, prefill=target.prefill)
        target.convert(checkpoint, options, file, Silent())
        case = open_case(file, demo.folder(), drafter=demo.drafter())
        assert case.own is not None
        asked = Asked(case, case.own)
        room = DRAFTS + 1  # the engine drops a group of drafts that would exceed the limit
        steps = tuple(limit + room for limit in asked.limits)
        alone = Request(str(file), asked.texts, steps, (), (), 0, threads=1)
        rows, texts = [], []
        for name, request in (("without", alone), ("with", replace(alone, drafted=True))):
            before = os.times()
            answer = ask(request)
            after = os.times()
            spent = after.children_user + after.children_system - before.children_user - before.children_system
            texts.append(answer.texts)
            accepted = "" if answer.success is None else f"{answer.success:.1%}"
            rows.append((name, f"{spent:.1f} s", accepted))
    same = sum(a == b for a, b in zip(*texts, strict=True))
    title = f"{len(asked.texts)} held-out questions, the engine's start included; {same} texts are the same"
    return tables.table(title, ("drafter", "processor time ", "drafts accepted "), rows)
