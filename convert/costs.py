"""What each stage of a build costs here: minutes, memory, disk. The one place with the figures of that estimate.

Work is counted in units that a machine can be asked about: floating-point operations of a matrix product, bytes that
one thread takes through numpy, bytes that are hashed. ``rates`` asks, in a third of a second; so the same counts serve
any machine, and a busy one says so. The counts of the judge are those of its passes: how many tokens go how often
through all weights, in transformers or in the artifact's runtime. Figures without a formula were measured, see each.

``just fullsize e2b mobile --judge`` prints beside each estimate what it was.

An estimate errs upwards. Memory is the sum over all processes at the worst moment, as ``ps`` shows it. Part of it is
pages of files that are mapped: these the system takes back when it must, so they are no reason to refuse.

Disk is what lies on the output's file system beyond what is there now. Everything is written beside the bundle: the
judge's scratch files too, so that no second disk can be too small. The bundle of that name that is there stays until
the new one is whole; nothing is subtracted for it. ``tests/builds/test_disk.py`` holds what was measured.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

from convert.checkpoint.types import Checkpoint, Module
from convert.lattice import packed_width

MB = 1 << 20
OVERHEAD, MARGIN = 4 * MB, 0.01  # of a model file

# -- Memory of processes before they have read anything: Python with its packages. Bytes, measured. Of the judge, the
# builder and a child of the judge together some are pages of libraries. The demo's judge passes where 0.6 GB are free.
BUILDER, CONVERTER, JUDGE, CHILD = 95 * MB, 280 * MB, 480 * MB, 250 * MB
LIBRARIES = 250 * MB

# -- Converting.
CONVERT_MEMORY = 600 * MB  # graph and the pieces in hand: 0.72 to 0.87 GB with the process itself, whatever the size

# -- The judge.
THREADS = 2  # at most, for models that are not small: Case.threads
LARGE = 512 * MB  # Case.large: from here on fewer draws, and no other runtime plays the whole decoder
DECODE_STEPS, WINDOWS, BEYOND, LEAST = 64, 1.5, 9, 109  # the forced sequence: Case.prompt, Case.ids
DRAWS, LARGE_DRAWS = 5, 3  # floor.DRAWS, Case.draws
# Rung 3, and the goldens of the report: prompts, tokens of one with its answer; continuations.DRAWS.
PROMPTS, GOLDENS, PROMPT_TOKENS, PROMPT_DRAWS, LARGE_PROMPT_DRAWS = 8, 9, 64, 8, 4
ANSWER, QUESTION = 32, 64  # rung 4: tokens of an answer and of a question, about
# A pass: bytes through numpy for each weight, from what is stored to float32.
UNPACK = {"integers": 12.0, "rounded lattice": 8.0}
# A pass in the time of its linears' products alone: attention, norms, roundings, and matrices that no cache holds.
# E2B mobile, rung 1, on a busy machine: 320 s of processor time for 17 TFLOP.
BEYOND_PRODUCTS = 2.0
# Rung 0: bytes through numpy for each byte of the model.
COMPARE_PASSES = {"integers": 10.0, "rounded lattice": 40.0}
# Seconds on a model that is all but empty: processes that start, graphs that are read.
STARTING = {"convert": 4.0, "0": 4.0, "1": 8.0, "2a": 4.0, "2b": 6.0, "3": 8.0, "4": 2.0}
STARTING |= {"noise floor": 4.0, "report": 3.0}
WRITTEN = 400e6  # bytes that a disk takes for good in a second
NEW_PAGES = 0.4  # speed of bytes through numpy whose result needs new pages, as most do, of one that does not
TOUCHED = 0.6  # of a mapped file's pages, what a rung leaves resident: E2B mobile, rung 2a: 2.75 of 4.7 GB
BATCH_STATES = 24  # float32 values of a token that a batch holds at once, in hidden sizes: residuals, MLP, scores
# What the reference keeps unpacked while it writes itself, where no artifact's tokens stand to be read: answers.py.
KEPT_FLOATS, KEPT_CODES = 1 << 30, 5 << 29
HEAD_SLICE = 256 * MB  # widening.SLICED_FROM as float32

# Images. Of every kind at the fewest rows; few at others, and some of the first again. A runtime's pass of the tower in
# one of the reference.
EVERY_IMAGE, FEW_IMAGES, OTHER_IMAGES, RUNTIME = 8, 3, 2, 0.8
# Rung 3 of a large model: conversations, images in them, passes of the tower (two images, each disturbed once as well),
# and how often the reference reads them: as trained, as an engine asks, disturbed.
CONVERSATIONS, SHOWN, LOOKS, READINGS = 2, 3, 4, 3

# -- The judge's files.
REPORTS = 2 * MB


@dataclass(frozen=True)
class Stage:
    """What a stage costs.

    Attributes:
        name: as progress and messages call it.
        seconds: on the wall.
        memory: bytes, of all processes at the worst moment.
        mapped: how much of it are pages of files, which the system can take back.
        disk: bytes on the output's file system at the worst moment.
    """

    name: str
    seconds: float
    memory: int
    mapped: int
    disk: int


@dataclass(frozen=True)
class Rates:
    """What a machine does in a second, with the judge's threads: products and sums in float32, bytes, bytes hashed."""

    flops: float
    bytes: float
    hashed: float


@dataclass(frozen=True)
class Tower:
    """A vision tower.

    Attributes:
        weights: of its layers' matrices.
        hidden, layers: of its attention.
        rows: that an image becomes at most, by signature; fewest first.
        pool: side of the square of patches that becomes one.
    """

    weights: int
    hidden: int
    layers: int
    rows: tuple[int, ...]
    pool: int


@dataclass(frozen=True)
class Sizes:
    """What the costs depend on. Bytes, but for the numbers of weights, tokens and layers.

    Attributes:
        files: of the checkpoint's weights, towers included.
        stored: of its text weights.
        model, tables: of the model file, and of the embedding tables in it.
        cache: KV cache of one conversation at full context.
        linears, head: weights that a token is multiplied with, in the layers and in the head.
        largest: bytes of the largest matrix of a layer in float32.
        owners: layers with keys and values of their own.
        prefills: prefill signatures.
        questions: of rung 4.
        drafter: weights of the drafter's matrices; 0: there is none.
        tower: that sees images; None: they are left out.
        kind, static: facts of the checkpoint, ``stored`` and ``static_activations``.
    """

    kind: str
    static: bool
    files: int
    stored: int
    model: int
    tables: int
    cache: int
    linears: int
    head: int
    largest: int
    layers: int
    owners: int
    hidden: int
    vocab: int
    window: int
    context: int
    prefills: int
    questions: int
    drafter: int = 0
    tower: Tower | None = None


@dataclass(frozen=True)
class TargetCosts:
    """What a target costs.

    Attributes:
        convert_passes: processor time of converting over the bytes of the model, in bytes that go once through numpy:
            reading, proving a lattice, turning codes over, writing. By how the weights are stored.
        judged: the judge's stages, in order.
    """

    convert_passes: Mapping[str, float]
    judged: Callable[[Sizes, Rates], list[Stage]]


def sizes(
    checkpoint: Checkpoint,
    *,
    model: int,
    tables: int,
    cache: int,
    context: int,
    prefills: int,
    questions: int,
    image_rows: Sequence[int] = (),
) -> Sizes:
    """The sizes of what is to be built from a checkpoint; see :class:`Sizes`.

    Args:
        image_rows: that an image becomes at most, by signature; none where images are left out.
    """
    text, stored, head, linears, largest = checkpoint.text, 0, 0, 0, 0
    config = text.config
    for key, tensor in text.quants.items():
        stored += tensor.rows * (packed_width(tensor.columns, tensor.bits) + 4 * tensor.groups)
        weights = tensor.rows * tensor.columns
        if key == "lm_head":
            head = weights
        elif key not in text.tables:
            linears, largest = linears + weights, max(largest, 4 * weights)
    for key, floats in text.floats.items():
        weights, name = prod(floats.shape), key.removesuffix(".weight")
        stored += weights * (4 if floats.dtype == "F32" else 2)
        if name == "lm_head":
            head = weights
        elif len(floats.shape) == 2 and name not in text.tables:
            linears, largest = linears + weights, max(largest, 4 * weights)
    return Sizes(
        kind=text.stored,
        static=text.static_activations,
        files=sum(path.stat().st_size for path in checkpoint.folder.glob("*.safetensors")),
        stored=stored,
        model=model,
        tables=tables,
        cache=cache,
        linears=linears,
        head=head or config.vocab * config.hidden,
        largest=largest,
        layers=len(config.layers),
        owners=len(config.owners),
        hidden=config.hidden,
        vocab=config.vocab,
        window=config.window,
        context=context,
        prefills=prefills,
        questions=questions,
        drafter=0 if checkpoint.drafter is None else sum(map(_weights, checkpoint.drafter.modules.values())),
        tower=_tower(checkpoint, image_rows),
    )


def _tower(checkpoint: Checkpoint, rows: Sequence[int]) -> Tower | None:
    module = checkpoint.modules.get("vision")
    if module is None or not rows:
        return None
    config = module.config
    return Tower(_weights(module), config.hidden, config.layers, tuple(rows), config.pool)


def _weights(module: Module[Any]) -> int:
    """Of its matrices."""
    exact = sum(tensor.rows * tensor.columns for tensor in module.quants.values())
    return exact + sum(prod(floats.shape) for floats in module.floats.values() if len(floats.shape) == 2)


def model_bytes(tables: int, others: int) -> int:
    """A model file of so many bytes of weights.

    Graph, metadata, tokenizer, alignment come on top: some of it is the same for all models, some grows with the
    weights.
    """
    return OVERHEAD + round((tables + others) * (1 + MARGIN))


def float_bytes(checkpoint: Checkpoint, head: int) -> tuple[int, int]:
    """Bytes of the text decoder's floats in a model: of the tables, and of all others, which become float32.

    Tables of bfloat16 rows keep their 16 bits.

    Args:
        head: bytes of a weight of a tied head that is not quantized, which is in the model once more.
    """
    tables = others = 0
    text = checkpoint.text
    for key, floats in text.floats.items():
        count = prod(floats.shape)
        if key.removesuffix(".weight") in text.tables:
            tables += count * (2 if floats.dtype == "BF16" else 4)
        else:
            others += count * 4
        if key.removesuffix(".weight") in text.ties.values():
            others += count * head
    return tables, others


def tokens(s: Sizes) -> int:
    """Length of the forced sequence that the judge feeds."""
    return min(max(LEAST, int(WINDOWS * s.window) + BEYOND), s.context)


def stages(s: Sizes, rate: Rates, target: TargetCosts, packing: Sequence[Stage] = ()) -> tuple[Stage, ...]:
    """Every stage of a bundle in order; the judge's by rung.

    Args:
        packing: what a platform does with the finished papers.
    """
    converted = STARTING["convert"] + target.convert_passes[s.kind] * s.model / rate.bytes + s.model / rate.hashed
    return (
        Stage("digest", s.files / rate.hashed, BUILDER, 0, 0),
        Stage("convert", converted, BUILDER + CONVERTER + _convert_memory(s), 0, s.model),
        *target.judged(s, rate),
        Stage("papers", s.model / rate.hashed, BUILDER, 0, s.model + REPORTS),
        *packing,
        Stage("publish", s.model / WRITTEN, BUILDER, 0, s.model + REPORTS),
    )


def converting(s: Sizes) -> tuple[Stage, ...]:
    """The stage of a bare conversion, without an estimate of its time."""
    return (Stage("convert", 0.0, CONVERTER + _convert_memory(s), 0, s.model),)


def _convert_memory(s: Sizes) -> int:
    return min(CONVERT_MEMORY, 4 * s.model)


def one_pass(s: Sizes, rate: Rates, length: float, rows: float, passes: float = 1.0) -> float:
    """Seconds of the reference over ``length`` tokens, ``rows`` of which go through the head, in so many batches.

    The weights are made float32 anew for each batch.
    """
    products = 2.0 * length * s.linears * BEYOND_PRODUCTS + 2.0 * rows * s.head
    return products / rate.flops + passes * UNPACK[s.kind] * (s.linears + s.head) / rate.bytes


def draws(s: Sizes) -> tuple[int, int]:
    """How many disturbed runs make the noise floor, and that of short prompts."""
    return (LARGE_DRAWS, LARGE_PROMPT_DRAWS) if s.model >= LARGE else (DRAWS, PROMPT_DRAWS)


def read_once(s: Sizes, draws: int) -> int:
    """What the reference holds while a batch of the sequence and its draws goes through it.

    A matrix in float32, the head in slices, the states of the batch, and the logits that are judged.
    """
    states = (1 + draws) * tokens(s) * BATCH_STATES * s.hidden * 4
    return 2 * s.largest + min(4 * s.head, HEAD_SLICE) + states + (draws + 4) * rows_judged(s) * s.vocab * 4


def kept(s: Sizes) -> int:
    """What the reference holds of the weights while it writes answers itself: floats, integers of a byte, or nothing.

    Only integers are unpacked by the reference; a rounded lattice is stored as floats.
    """
    weights = s.linears + s.head
    if s.kind != "integers":
        return 0
    return 4 * weights if 4 * weights <= KEPT_FLOATS else weights if weights <= KEPT_CODES else 0


def rows_judged(s: Sizes) -> int:
    return min(DECODE_STEPS, tokens(s))


def seeing(s: Sizes, rate: Rates) -> dict[str, float]:
    """Seconds that images add to the judge's rungs, by rung; nothing where they are left out.

    E2B mobile, 280 rows: a pass of the tower 9 s. Layer by layer, in graphs of their own, it takes twice as long.
    """
    if s.tower is None:
        return {}
    passes = [_look(s.tower, rows) / rate.flops for rows in s.tower.rows]
    others = sum((FEW_IMAGES + OTHER_IMAGES) * (1 + RUNTIME) * each for each in passes[1:])
    told = READINGS * (SHOWN * s.tower.rows[-1] + PROMPT_TOKENS)
    return {
        "2a": 2 * (2 + RUNTIME) * sum(passes),
        "2b": (EVERY_IMAGE * (1 + RUNTIME) + DRAWS) * passes[0] + others,
        "3": (LOOKS + SHOWN * RUNTIME) * passes[-1]
        + one_pass(s, rate, told, READINGS * PROMPT_TOKENS, CONVERSATIONS)
        + 2.0 * told * s.linears / rate.flops,
    }


def _look(tower: Tower, rows: int) -> float:
    """Operations of one image: its linears, and the attention of all patches to all."""
    patches = rows * tower.pool**2
    return 2.0 * patches * tower.weights + 4.0 * patches**2 * tower.hidden * tower.layers


def questions(s: Sizes, rate: Rates, step: float) -> float:
    """Rung 4: the artifact answers, token by token; then the reference reads all of it, in batches."""
    read = s.questions * (QUESTION + ANSWER)
    return s.questions * ANSWER * step + one_pass(s, rate, read, s.questions * ANSWER, read / 4096)


def rung(name: str, seconds: float, held: int, mapped: int, disk: int) -> Stage:
    """A rung by what the judge holds beyond its packages; ``mapped`` are file pages beside that."""
    begun = STARTING[name]
    memory = BUILDER + JUDGE + CHILD + held + mapped
    title = f"rung {name}" if name[0].isdigit() else name
    return Stage(title, begun + seconds, memory, LIBRARIES + mapped, disk + REPORTS)


def floor(s: Sizes, rate: Rates, draws: int) -> Stage:
    """The reference as it is and disturbed; of a small q4_0 also with the weights before their rounding.

    Of a large one rung 2a runs these.
    """
    length, rows = tokens(s), rows_judged(s)
    seconds = one_pass(s, rate, (1 + draws) * length, (1 + draws) * rows)
    if s.kind == "rounded lattice" and s.model < LARGE:
        seconds += one_pass(s, rate, length, rows)
    return rung("noise floor", seconds, read_once(s, draws), int(TOUCHED * s.stored), s.model)


def first(s: Sizes, rate: Rates, draws: int) -> Stage:
    """Rung 1: the reference and our decoder over the sequence, of mobile ours also with rounded activations."""
    length, rows = tokens(s), rows_judged(s)
    seconds = (3 if s.static else 2) * one_pass(s, rate, length, rows)
    files = 2 * (s.layers + 1) * length * s.hidden * 4 + rows * s.vocab * 4  # what each layer was given and gave
    return rung("1", seconds, read_once(s, draws), int(TOUCHED * s.stored), s.model + files)


def prompts(s: Sizes, rate: Rates, count: int, draws: int) -> float:
    """Prompts with the artifact's answers, read by the reference as it is and disturbed."""
    read = (1 + draws) * count * PROMPT_TOKENS
    return one_pass(s, rate, read, read / 2)


def zeroth(s: Sizes, rate: Rates, mapped: int) -> Stage:
    """Rung 0 reads everything, once."""
    return rung("0", COMPARE_PASSES[s.kind] * s.model / rate.bytes, min(512 * MB, 2 * s.model), mapped, s.model)


@cache
def rates() -> Rates:
    """Asks this machine. The product is as wide as a layer; the bytes are more than a cache holds."""
    import numpy as np

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    side = 1024
    a, b = np.ones((side, side), np.float32), np.ones((side, side), np.float32)
    a @ b  # the first one starts the threads
    flops = 2 * side**3 * _often(lambda: a @ b, 0.06) * min(1.0, THREADS / cores)
    data = np.ones(32 * MB, np.uint8)
    # Not into new pages: how fast a system gives these varies twentyfold from one moment to the next.
    result = data.copy()
    passed = NEW_PAGES * data.size * _often(lambda: np.bitwise_xor(data, np.uint8(0x88), out=result), 0.05)
    piece = bytes(4 * MB)
    hashed = len(piece) * _often(lambda: hashlib.sha256(piece), 0.02)
    return Rates(flops, passed, hashed)


def _often(work: object, seconds: float) -> float:
    """How often in a second, tried for so many seconds."""
    begin, count = time.perf_counter(), 0
    while (took := time.perf_counter() - begin) < seconds or not count:
        work()  # type: ignore[operator]
        count += 1
    return count / took
