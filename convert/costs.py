"""What each stage of a build costs here: minutes, memory, disk. The one place with the figures of that estimate.

Work is counted in units that a machine can be asked about: floating-point operations of a matrix product, bytes that
one thread takes through numpy, bytes that are hashed. ``rates`` asks, in a third of a second; so the same counts serve
any machine, and a busy one says so. The counts of the judge are those of its passes: how many tokens go how often
through all weights, in transformers or in the artifact's runtime. Figures without a formula were measured, see each.

An estimate errs upwards. Memory is the sum over all processes at the worst moment, as ``ps`` shows it. Part of it is
pages of files that are mapped: these the system takes back when it must, so they are no reason to refuse.

Disk is what lies on the output's file system beyond what is there now. Everything is written beside the bundle: the
judge's scratch files too, so that no second disk can be too small. The bundle of that name that is there stays until
the new one is whole; nothing is subtracted for it. ``tests/test_disk.py`` holds what was measured.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from functools import cache
from math import prod

from convert.checkpoint.types import Checkpoint
from convert.lattice import packed_width

MB = 1 << 20
TABLES = ("embed_tokens", "embed_tokens_per_layer")

# -- Memory that a process takes before it has read anything: Python with its packages.
BUILDER, CONVERTER, JUDGE = 95 * MB, 280 * MB, 700 * MB
ENGINE = 150 * MB  # the stock engine's process in rung 3

# -- Converting. Bytes through numpy for each byte of the model file: read, turned over, copied, hashed.
CONVERT_PASSES = {"mobile": 6.0, "q4_0": 9.0}
CONVERT_MEMORY = 400 * MB  # graph and the piece in hand

# -- The judge's passes.
THREADS = 2  # at most, for models that are not small: runtime_tests/case.py
SMALL = 64 * MB  # below it one thread
DECODE_STEPS, WINDOWS, BEYOND, LEAST = 64, 1.5, 9, 109  # the forced sequence: Case.prompt, Case.ids
DRAWS = 5  # floor.DRAWS
PRECISE = 3.0  # a float64 pass, in float32 passes: twice the bytes and what is made wider first
ATTENTION = 1.15  # a pass, in that of its linears alone
UNPACK = {"mobile": 12.0, "q4_0": 8.0}  # bytes through numpy for each weight of a pass: codes to float32
PROMPTS, PROMPT_TOKENS, PROMPT_DRAWS = 8, 40 + 24, 9  # rung 3: prompts, tokens with the answer, passes of each
QUESTION_TOKENS = 96  # rung 4: a question with its answer
INTEGER = 4.0  # products of small integers in XNNPACK, in float32 products (litert: 0.5 to 1.7 TOPS of two threads)
COMPARE_PASSES = {"mobile": 10.0, "q4_0": 40.0}  # rung 0, bytes through numpy for each byte of the model file
EVALUATOR = 6.0  # the Core ML evaluator's pass in float64, in float32 passes
STARTING = {"convert": 4.0, "0": 4.0, "1": 8.0, "2a": 4.0, "2b": 6.0, "3": 8.0, "4": 1.0}  # seconds on a small model

# -- The judge's files.
MAPPED_FROM = 256 * MB  # runtime_tests/runners/litert.py: larger sections are copied to be mapped
PACKED_UP_TO = 100_000_000  # convert/bundle/sample.py: larger models are not put into the APK
REPORTS, LAYER_FILES, APK = 2 * MB, 1 * MB, 96 * MB
PLAYED_CACHES = 6  # second opinions: the cache at four positions, copied once more at times
WRITTEN = 400e6  # bytes that a disk takes for good in a second
HEAD_SLICE = 256 * MB  # runtime_tests/widening.py


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
class Sizes:
    """What the costs depend on. Bytes, but for the numbers of weights, tokens and layers.

    Attributes:
        files: of the checkpoint's weights, towers included.
        stored: of its text weights.
        model, tables: of the model file, and of the embedding tables in it.
        cache: KV cache of one conversation at full context.
        linears, head: weights that a token is multiplied with, in the layers and in the head.
        largest: bytes of the largest matrix of a layer in float32.
        prefills: prefill signatures.
        questions: of rung 4.
        apk: an APK may be built.
    """

    format: str
    platform: str
    files: int
    stored: int
    model: int
    tables: int
    cache: int
    linears: int
    head: int
    largest: int
    layers: int
    hidden: int
    vocab: int
    window: int
    context: int
    prefills: int
    questions: int
    apk: bool


def sizes(
    checkpoint: Checkpoint,
    platform: str,
    *,
    model: int,
    tables: int,
    cache: int,
    context: int,
    prefills: int,
    questions: int,
    apk: bool,
) -> Sizes:
    """The sizes of what is to be built from a checkpoint; see :class:`Sizes`."""
    config, stored, head, linears, largest = checkpoint.config, 0, 0, 0, 0
    for key, tensor in checkpoint.quants.items():
        stored += tensor.rows * (packed_width(tensor.columns, tensor.bits) + 4 * tensor.groups)
        weights = tensor.rows * tensor.columns
        if key == "lm_head":
            head = weights
        elif key not in TABLES:
            linears, largest = linears + weights, max(largest, 4 * weights)
    for key, floats in checkpoint.floats.items():
        weights, name = prod(floats.shape), key.removesuffix(".weight")
        stored += weights * (4 if floats.dtype == "F32" else 2)
        if name == "lm_head":
            head = weights
        elif len(floats.shape) == 2 and name not in TABLES:
            linears, largest = linears + weights, max(largest, 4 * weights)
    return Sizes(
        format=checkpoint.format,
        platform=platform,
        files=sum(path.stat().st_size for path in checkpoint.folder.glob("*.safetensors")),
        stored=stored,
        model=model,
        tables=tables,
        cache=cache,
        linears=linears,
        head=head or config.vocab * config.hidden,
        largest=largest,
        layers=len(config.layers),
        hidden=config.hidden,
        vocab=config.vocab,
        window=config.window,
        context=context,
        prefills=prefills,
        questions=questions,
        apk=apk,
    )


def tokens(s: Sizes) -> int:
    """Length of the forced sequence that the judge feeds."""
    return min(max(LEAST, int(WINDOWS * s.window) + BEYOND), s.context)


def stages(s: Sizes, rate: Rates) -> tuple[Stage, ...]:
    """Every stage of a bundle in order; the judge's by rung."""
    packed = 3 * s.model if s.apk and s.model <= PACKED_UP_TO else 0
    hashed = s.files / rate.hashed
    made = [
        Stage("digest", hashed, BUILDER, 0, 0),
        Stage("convert", _convert_seconds(s, rate), BUILDER + CONVERTER + _convert_memory(s), 0, s.model),
        *(_coreml if s.platform == "ios" else _litert)(s, rate),
        Stage("papers", s.model / rate.hashed, BUILDER, 0, s.model + REPORTS),
    ]
    if s.apk:
        made.append(Stage("app.apk", 10.0 + packed / rate.hashed, BUILDER + 3 * packed, 0, s.model + packed + APK))
    return (*made, Stage("publish", s.model / WRITTEN, BUILDER, 0, s.model + REPORTS))


def converting(s: Sizes) -> tuple[Stage, ...]:
    """The stage of a bare conversion, without an estimate of its time."""
    return (Stage("convert", 0.0, CONVERTER + _convert_memory(s), 0, s.model),)


def _convert_seconds(s: Sizes, rate: Rates) -> float:
    return STARTING["convert"] + CONVERT_PASSES[s.format] * max(s.model, s.stored) / rate.bytes + s.model / rate.hashed


def _convert_memory(s: Sizes) -> int:
    return min(CONVERT_MEMORY, 2 * s.model)


def _passes(s: Sizes, rate: Rates, count: float, length: int, rows: int) -> float:
    """Seconds of so many passes of the reference over so many tokens, of which some rows go through the head.

    The weights are made float32 anew for each pass.
    """
    products = 2.0 * length * s.linears * ATTENTION + 2.0 * rows * s.head
    return count * (products / rate.flops + UNPACK[s.format] * (s.linears + s.head) / rate.bytes)


def _reference_memory(s: Sizes, passes: int) -> int:
    """A matrix in float32, the head in slices, hidden states and scores of a batch, and the rows that are judged."""
    length, rows = tokens(s), min(DECODE_STEPS, tokens(s))
    states = passes * length * 4 * (12 * s.hidden + 2 * s.layers * 256)
    return 2 * s.largest + min(4 * s.head, HEAD_SLICE) + states + (passes + 3) * rows * s.vocab * 4


def _litert(s: Sizes, rate: Rates) -> list[Stage]:
    length, rows, decoder = tokens(s), min(DECODE_STEPS, tokens(s)), s.model - s.tables
    base, lean = BUILDER + JUDGE, 1 if s.format == "mobile" else 2  # q4_0: its weights before rounding, too
    copied = s.model if s.model > MAPPED_FROM else 0
    played = decoder + PLAYED_CACHES * s.cache + LAYER_FILES * s.layers
    integers = 2.0 * (s.linears * length) / (INTEGER * rate.flops)
    one = decoder / rate.bytes  # a decode step reads all weights
    numbers = _reference_memory(s, 1 + DRAWS)
    running = decoder + 2 * s.cache  # the runtime's own order of the weights
    first = _passes(s, rate, 4 + DRAWS, length, rows) + PRECISE * _passes(s, rate, 1, length, rows)
    asked = PROMPTS * PROMPT_TOKENS
    told = _passes(s, rate, 1, PROMPT_DRAWS * asked, PROMPT_DRAWS * PROMPTS * 40) + 2 * asked * one
    questions = _passes(s, rate, 1, s.questions * QUESTION_TOKENS, s.questions * 8) + s.questions * 8 * one
    disk = s.model + REPORTS
    return [
        Stage(
            "rung 0",
            STARTING["0"] + COMPARE_PASSES[s.format] * s.model / rate.bytes,
            base + 512 * MB,
            s.stored + s.model,
            disk,
        ),
        Stage("rung 1", STARTING["1"] + first, base + numbers, s.stored, disk + length * s.vocab * 4),
        Stage(
            "rung 2a",
            STARTING["2a"] + _passes(s, rate, lean, length, rows) + s.prefills * integers + 3 * one,
            base + numbers + 2 * s.cache,
            s.stored + s.model,
            disk + s.largest,
        ),
        Stage(
            "rung 2b",
            STARTING["2b"] + integers + 4 * rows * one,
            base + running,
            s.stored + s.model,
            disk + copied + played,
        ),
        Stage("rung 3", STARTING["3"] + told, base + ENGINE + 2 * running, s.stored + 2 * s.model, disk + copied),
        *(
            [Stage("rung 4", STARTING["4"] + questions, base + ENGINE + running, s.stored + s.model, disk)]
            if s.questions
            else []
        ),
    ]


def _coreml(s: Sizes, rate: Rates) -> list[Stage]:
    length, rows = tokens(s), min(DECODE_STEPS, tokens(s))
    base, numbers, disk = BUILDER + JUDGE, _reference_memory(s, 1 + DRAWS), s.model + REPORTS
    whole = EVALUATOR * _passes(s, rate, 1, length, rows)
    first = _passes(s, rate, 4 + DRAWS, length, rows) + PRECISE * _passes(s, rate, 1, length, rows)
    told = _passes(s, rate, 1, PROMPT_DRAWS * PROMPTS * PROMPT_TOKENS, PROMPT_DRAWS * PROMPTS * 40)
    return [
        Stage(
            "rung 0",
            STARTING["0"] + COMPARE_PASSES[s.format] * s.model / rate.bytes,
            base + 512 * MB,
            s.stored + s.model,
            disk,
        ),
        Stage("rung 1", STARTING["1"] + first, base + numbers, s.stored, disk + length * s.vocab * 4),
        Stage("rung 2a", STARTING["2a"] + s.prefills * whole, base + 2 * numbers, s.stored + s.model, disk),
        Stage("rung 2b", STARTING["2b"] + 2 * whole, base + 2 * numbers, s.stored + s.model, disk),
        Stage("rung 3", STARTING["3"] + told + whole, base + 2 * numbers, s.stored + s.model, disk),
    ]


@cache
def rates() -> Rates:
    """Asks this machine. The product is as wide as a layer; the bytes are more than a cache holds."""
    import numpy as np

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    side = 1024
    a, b = np.ones((side, side), np.float32), np.ones((side, side), np.float32)
    a @ b  # the first one starts the threads
    flops = 2 * side**3 * _often(lambda: a @ b, 0.15) * min(1.0, THREADS / cores)
    data = np.ones(16 * MB, np.uint8)
    passed = data.size * _often(lambda: data ^ np.uint8(0x88), 0.05)
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
