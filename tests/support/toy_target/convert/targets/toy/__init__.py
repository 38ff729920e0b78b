"""The toy target: a checkpoint becomes one `.toy`, a program of named steps with its weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convert.choices import choice
from convert.errors import PlanError
from convert.outputs import check_file, check_folder
from convert.targets.target import Described, Sizes, Target

if TYPE_CHECKING:
    from convert.checkpoint.types import Checkpoint
    from convert.costs import TargetCosts
    from convert.feeding import Calls
    from convert.inspection.report import Report
    from convert.progress import Progress

MAGIC = b"TOY1"
COLOUR = "colour.txt"


@dataclass(frozen=True)
class ToyOptions:
    """Attributes:
    context: positions of the KV cache, in tokens.
    prefill: tokens per prefill call, one function each.
    paint: what the file says of its colour; nothing depends on it.
    """

    context: int
    prefill: tuple[int, ...]
    paint: str = choice("red", ("red", "blue"), "colour of the toy")


def _convert(checkpoint: Checkpoint, options: ToyOptions, out: Path, progress: Progress) -> None:
    from convert.targets.toy.build import build

    with progress.stage("write the toy"):
        build(checkpoint, options, out)


def _agree(asked: str, options: ToyOptions) -> None:
    """All of its choices go together."""


def _check(asked: str, checkpoint: Checkpoint, options: ToyOptions) -> None:
    if checkpoint.text.stored != "integers":
        raise PlanError(asked, f"the checkpoint stores a {checkpoint.text.stored}", "Use one that stores integers")
    if checkpoint.text.config.tied:
        raise PlanError(asked, "the checkpoint has no head of its own", "Use one whose head is not the embedding")


def _needs(checkpoint: Checkpoint) -> None:
    """It brings its tokens with it."""


def _sizes(checkpoint: Checkpoint, options: ToyOptions) -> Sizes:
    from convert.costs import float_bytes, model_bytes
    from convert.targets.toy.build import matrix_bytes

    tables, others = float_bytes(checkpoint, head=0)
    others += sum(sum(matrix_bytes(tensor)) for tensor in checkpoint.text.quants.values())
    cache = sum(2 * layer.kv_heads * layer.head_dim * options.context * 4 for layer in checkpoint.text.config.owners)
    return Sizes(model_bytes(tables, others), tables, cache, "float32")


def _costs() -> TargetCosts:
    from convert import costs

    def judged(s: costs.Sizes, rates: costs.Rates) -> list[costs.Stage]:
        return [costs.floor(s, rates, 5), costs.zeroth(s, rates, 0), costs.first(s, rates, 5)]

    return costs.TargetCosts({"integers": 4.0}, judged)


def _place(out: Path, asked: str) -> None:
    check_folder(out.parent, asked)
    check_file(out, asked, MAGIC, "a .toy")


def _collect(checkpoint: Checkpoint, options: ToyOptions, folder: Path) -> None:
    (folder / COLOUR).write_text(f"{options.paint}\n", "utf-8")


def _files(folder: Path, checkpoint: Checkpoint) -> set[str]:
    return {TARGET.model, COLOUR}


def _digest(model: Path) -> str:
    with model.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _described(folder: Path) -> Described:
    from convert.targets.toy.inspect import inspect

    found = inspect(folder / TARGET.model)
    return Described(found, found.weights, found.section("tensors"), 0)


def _calls(checkpoint: Checkpoint, folder: Path) -> Calls | None:
    """The toy's runtime makes the calls."""
    return None


def _inspect(path: Path) -> Report | None:
    from convert.targets.toy.inspect import inspect

    return inspect(path) if path.suffix == ".toy" and path.is_file() else None


TARGET = Target(
    name="toy",
    container="a toy",
    model="model.toy",
    platforms=frozenset({"toybox", "android"}),
    options=ToyOptions,
    prefill=(16,),
    pads=False,
    renders=False,
    kernels=frozenset({(2, 0), (4, 0), (8, 0)}),
    toolchain=("numpy",),
    runtime=lambda: ("Toy", "1"),
    agree=_agree,
    check=_check,
    needs=_needs,
    sizes=_sizes,
    costs=_costs,
    convert=_convert,
    place=_place,
    collect=_collect,
    files=_files,
    digest=_digest,
    describe=_described,
    calls=_calls,
    inspect=_inspect,
    kinds=("a .toy",),
)
