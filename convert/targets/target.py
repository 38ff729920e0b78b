"""What a target says of itself. Whoever plans, converts, inspects or packs asks this and knows no target by name.

A target is a folder of this package with a ``TARGET``. It is found there by :func:`convert.targets.all_targets`;
nothing else lists it. Its functions import what they need when they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convert.checkpoint.types import Checkpoint
    from convert.costs import TargetCosts
    from convert.feeding import Calls
    from convert.images import Images
    from convert.inspection.report import Report
    from convert.inspection.weights import Share
    from convert.progress import Progress


@dataclass(frozen=True)
class Sizes:
    """What a model takes, in bytes, estimated upwards from the checkpoint's headers.

    Attributes:
        model: the model file, or all that lies in its place.
        tables: what of it the embedding tables take.
        cache: KV cache of one conversation at full context.
        elements: type of the cache's elements.
        modalities: what of the model file takes in something beside text, by what it is.
        working: what the runtime takes of memory beside it while it takes in the largest such thing.
    """

    model: int
    tables: int
    cache: int
    elements: str
    modalities: Mapping[str, int] = field(default_factory=dict)
    working: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Drafting:
    """How a drafter in a finished model is called: its section and signature, the model's signature that verifies, and
    how many tokens are drafted at a time."""

    section: str
    signature: str
    verify: str
    drafts: int


@dataclass(frozen=True)
class Described:
    """A finished model, read back.

    Attributes:
        report: signatures, cache, sections.
        weights: all of them, tables that lie beside the model included.
        mapped_weights, mapped_embeddings: bytes that every token reads, and of tables of which it reads a few rows.
        drafting: None where there is no drafter.
        mapped_images: bytes of what reads images.
    """

    report: Report
    weights: tuple[Share, ...]
    mapped_weights: int
    mapped_embeddings: int
    drafting: Drafting | None = None
    mapped_images: int = 0


def _none(checkpoint: Checkpoint, options: Any) -> tuple[int, ...]:
    return ()


def _no_images(checkpoint: Checkpoint, folder: Path) -> Images | None:
    return None


@dataclass(frozen=True)
class Target:
    """A kind of model file.

    Attributes:
        name: of its folder.
        container: in what the tensors are, in words, for NOTICE.
        model: file or folder name of the model in a bundle.
        platforms: names of those that can ship it.
        options: the dataclass of its choices, frozen, with ``context`` and ``prefill``; see ``convert.choices``.
        prefill: default tokens per prefill call.
        pads: its runtime pads a last piece, so that short prefill lengths are added; see ``convert.lengths``.
        renders: its runtime renders the chat template itself, so that this is adapted to it.
        kernels: weights it can multiply with, as (bits, columns per scale; 0 is one scale a row).
        toolchain: packages that have a say in the bytes or in the judgement.
        runtime: name and least version of what runs the model.
        agree: refuses options that do not go together. PlanError.
        check: refuses a checkpoint that it cannot hold exactly, beyond ``kernels``. PlanError.
        needs: refuses a checkpoint that lacks a file which a bundle cannot do without. CheckpointError.
        sizes: estimates of a checkpoint's model.
        costs: what the judge's stages cost, see ``convert.costs``.
        convert: writes the model to a path, and whatever lies beside it into the same folder, which is empty.
        place: refuses a path for a model that holds something of the user's. PlanError.
        collect: copies what an app needs beside the model into a bundle's folder, before there is a model.
        files: what a bundle's folder has to hold of all this, as relative names.
        digest: of a model, as the judge's report gives it: hex SHA-256.
        describe: the model in a bundle's folder.
        calls: what a call of that model takes, where an app makes the calls itself; None where a runtime does.
        inspect: a file or folder that is a model of this kind; None where it is none.
        kinds: how such files are called, in words.
        modules: names of those that it converts; others stay out, which a plan says.
        packs: bytes of the files that its runtime writes when it first loads a model on a CPU; 0: it writes none.
        experts: whether it can multiply with a stack of matrices of which each token takes some.
        longer: tokens per prefill call that a checkpoint's modules want beside the default ones.
        images: how the model in a bundle's folder is given images; None where it takes none.
        image_working: estimate of the bytes that its runtime takes beside the weights while it reads an image of so
            many tokens; None: there is none.
    """

    name: str
    container: str
    model: str
    platforms: frozenset[str]
    options: type[Any]
    prefill: tuple[int, ...]
    pads: bool
    renders: bool
    kernels: frozenset[tuple[int, int]]
    toolchain: tuple[str, ...]
    runtime: Callable[[], tuple[str, str]]
    agree: Callable[[str, Any], None]
    check: Callable[[str, Checkpoint, Any], None]
    needs: Callable[[Checkpoint], None]
    sizes: Callable[[Checkpoint, Any], Sizes]
    costs: Callable[[], TargetCosts]
    convert: Callable[[Checkpoint, Any, Path, Progress], None]
    place: Callable[[Path, str], None]
    collect: Callable[[Checkpoint, Any, Path], None]
    files: Callable[[Path, Checkpoint], set[str]]
    digest: Callable[[Path], str]
    describe: Callable[[Path], Described]
    calls: Callable[[Checkpoint, Path], Calls | None]
    inspect: Callable[[Path], Report | None]
    kinds: tuple[str, ...]
    modules: frozenset[str] = frozenset({"text"})
    packs: Callable[[Checkpoint], int] = lambda checkpoint: 0
    experts: bool = False
    longer: Callable[[Checkpoint, Any], tuple[int, ...]] = _none
    images: Callable[[Checkpoint, Path], Images | None] = _no_images
    image_working: Callable[[Checkpoint, int], int | None] = lambda checkpoint, tokens: None
