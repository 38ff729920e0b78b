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
the new one is whole; nothing is subtracted for it. ``tests/test_disk.py`` holds what was measured.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from dataclasses import dataclass
from functools import cache
from math import prod

from convert.checkpoint.types import Checkpoint
from convert.lattice import packed_width

MB = 1 << 20
TABLES = ("embed_tokens", "embed_tokens_per_layer")

# -- Memory of processes before they have read anything: Python with its packages. Bytes, measured. Of the judge, the
# builder and a child of the judge together some are pages of libraries. The demo's judge passes where 0.6 GB are free.
BUILDER, CONVERTER, JUDGE, CHILD = 95 * MB, 280 * MB, 480 * MB, 250 * MB
LIBRARIES = 250 * MB

# -- Converting. Processor time over the bytes of the model, in bytes that go once through numpy: reading, proving the
# lattice of q4_0, turning codes over, writing. E2B mobile: 9 to 14 s for 2.24 GB; q4_0: 84 s for 8.34 GB.
CONVERT_PASSES = {
    ("mobile", "android"): 14.0,
    ("mobile", "ios"): 20.0,
    ("q4_0", "android"): 40.0,
    ("q4_0", "ios"): 26.0,
}
CONVERT_MEMORY = 600 * MB  # graph and the pieces in hand: 0.72 to 0.87 GB with the process itself, whatever the size

# -- The judge.
THREADS = 2  # at most, for models that are not small: Case.threads
LARGE = 512 * MB  # Case.large: from here on fewer draws, and no other runtime plays the whole decoder
DECODE_STEPS, WINDOWS, BEYOND, LEAST = 64, 1.5, 9, 109  # the forced sequence: Case.prompt, Case.ids
DRAWS, LARGE_DRAWS = 5, 3  # floor.DRAWS, Case.draws
# Rung 3, and the goldens of the report: prompts, tokens of one with its answer; continuations.DRAWS.
PROMPTS, GOLDENS, PROMPT_TOKENS, PROMPT_DRAWS, LARGE_PROMPT_DRAWS = 8, 9, 64, 8, 4
REPLIES = 6  # rung 3: chats and what stops, which the artifact answers and no reference reads
ANSWER, QUESTION = 32, 64  # rung 4: tokens of an answer and of a question, about
UNPACK = {"mobile": 12.0, "q4_0": 8.0}  # a pass: bytes through numpy for each weight, from codes to float32
# A pass in the time of its linears' products alone: attention, norms, roundings, and matrices that no cache holds.
# E2B mobile, rung 1, on a busy machine: 320 s of processor time for 17 TFLOP.
BEYOND_PRODUCTS = 2.0
INTEGER = 2.0  # products of XNNPACK in the time of a float32 one (0.5 to 1.7 TOPS of two threads here)
BANDWIDTH = 4.5  # weights that a decode step of XNNPACK reads, in the time of a byte through numpy
TRACED = 3.5  # rung 2a: how often a layer of the reference runs, about
PLAIN = 60.0  # a product of kernels without XNNPACK, in float32 products
COMPARE_PASSES = {"mobile": 10.0, "q4_0": 40.0}  # rung 0: bytes through numpy for each byte of the model
EVALUATOR = 4.0  # a pass of the Core ML evaluator in float64, in float32 passes
# Seconds on a model that is all but empty: processes that start, graphs that are read.
STARTING = {"convert": 4.0, "0": 4.0, "1": 8.0, "2a": 4.0, "2b": 6.0, "3": 8.0, "4": 2.0}
STARTING |= {"noise floor": 4.0, "report": 3.0, "app.apk": 10.0}
WRITTEN = 400e6  # bytes that a disk takes for good in a second
TOUCHED = 0.6  # of a mapped file's pages, what a rung leaves resident: E2B mobile, rung 2a: 2.75 of 4.7 GB
BATCH_STATES = 24  # float32 values of a token that a batch holds at once, in hidden sizes: residuals, MLP, scores
HEAD_SLICE = 256 * MB  # widening.SLICED_FROM as float32

# -- The judge's files.
MAPPED_FROM = 256 * MB  # runners/litert.py: larger sections are copied to be mapped
PACKED_UP_TO = 100_000_000  # convert/bundle/sample.py: larger models are not put into the APK
REPORTS, LAYER_FILES, APK = 2 * MB, 1 * MB, 96 * MB
PLAYED_CACHES = 6  # second opinions: the cache at four positions, copied once more at times
SAMPLED = 5  # layers of a large decoder that they play


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
        owners: layers with keys and values of their own.
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
    owners: int
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
        owners=len(config.owners),
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
        made.append(
            Stage(
                "app.apk", STARTING["app.apk"] + packed / rate.hashed, BUILDER + 3 * packed, 0, s.model + packed + APK
            )
        )
    return (*made, Stage("publish", s.model / WRITTEN, BUILDER, 0, s.model + REPORTS))


def converting(s: Sizes) -> tuple[Stage, ...]:
    """The stage of a bare conversion, without an estimate of its time."""
    return (Stage("convert", 0.0, CONVERTER + _convert_memory(s), 0, s.model),)


def _convert_seconds(s: Sizes, rate: Rates) -> float:
    return STARTING["convert"] + CONVERT_PASSES[s.format, s.platform] * s.model / rate.bytes + s.model / rate.hashed


def _convert_memory(s: Sizes) -> int:
    return min(CONVERT_MEMORY, 4 * s.model)


def _pass(s: Sizes, rate: Rates, length: float, rows: float, passes: float = 1.0) -> float:
    """Seconds of the reference over ``length`` tokens, ``rows`` of which go through the head, in so many batches.

    The weights are made float32 anew for each batch.
    """
    products = 2.0 * length * s.linears * BEYOND_PRODUCTS + 2.0 * rows * s.head
    return products / rate.flops + passes * UNPACK[s.format] * (s.linears + s.head) / rate.bytes


def _read_once(s: Sizes, draws: int) -> int:
    """What the reference holds while a batch of the sequence and its draws goes through it.

    A matrix in float32, the head in slices, the states of the batch, and the logits that are judged.
    """
    states = (1 + draws) * tokens(s) * BATCH_STATES * s.hidden * 4
    return 2 * s.largest + min(4 * s.head, HEAD_SLICE) + states + (draws + 4) * _rows(s) * s.vocab * 4


def _rows(s: Sizes) -> int:
    return min(DECODE_STEPS, tokens(s))


def _questions(s: Sizes, rate: Rates, step: float) -> float:
    """Rung 4: the artifact answers, token by token; then the reference reads all of it, in batches."""
    read = s.questions * (QUESTION + ANSWER)
    return s.questions * ANSWER * step + _pass(s, rate, read, s.questions * ANSWER, read / 4096)


def _rung(name: str, seconds: float, held: int, mapped: int, disk: int) -> Stage:
    """A rung by what the judge holds beyond its packages; ``mapped`` are file pages beside that."""
    begun = STARTING[name]
    memory = BUILDER + JUDGE + CHILD + held + mapped
    title = f"rung {name}" if name[0].isdigit() else name
    return Stage(title, begun + seconds, memory, LIBRARIES + mapped, disk + REPORTS)


def _floor(s: Sizes, rate: Rates, draws: int) -> Stage:
    """The reference as it is and disturbed; of q4_0 also with the weights before their rounding."""
    length, rows = tokens(s), _rows(s)
    seconds = _pass(s, rate, (1 + draws) * length, (1 + draws) * rows)
    if s.format != "mobile":
        seconds += _pass(s, rate, length, rows)
    return _rung("noise floor", seconds, _read_once(s, draws), int(TOUCHED * s.stored), s.model)


def _first(s: Sizes, rate: Rates, draws: int) -> Stage:
    """Rung 1: the reference and our decoder over the sequence, of mobile ours also with rounded activations."""
    length, rows = tokens(s), _rows(s)
    seconds = (3 if s.format == "mobile" else 2) * _pass(s, rate, length, rows)
    files = 2 * (s.layers + 1) * length * s.hidden * 4 + rows * s.vocab * 4  # what each layer was given and gave
    return _rung("1", seconds, _read_once(s, draws), int(TOUCHED * s.stored), s.model + files)


def _prompts(s: Sizes, rate: Rates, count: int, draws: int) -> float:
    """Prompts with the artifact's answers, read by the reference as it is and disturbed."""
    read = (1 + draws) * count * PROMPT_TOKENS
    return _pass(s, rate, read, read / 2)


def _zeroth(s: Sizes, rate: Rates, mapped: int) -> Stage:
    """Rung 0 reads everything, once."""
    return _rung("0", COMPARE_PASSES[s.format] * s.model / rate.bytes, min(512 * MB, 2 * s.model), mapped, s.model)


def _litert(s: Sizes, rate: Rates) -> list[Stage]:
    large, length, rows, decoder = s.model >= LARGE, tokens(s), _rows(s), s.model - s.tables
    draws, short = (LARGE_DRAWS, LARGE_PROMPT_DRAWS) if large else (DRAWS, PROMPT_DRAWS)
    numbers, mapped = _read_once(s, draws), int(TOUCHED * (s.stored + s.model))
    step = decoder / (BANDWIDTH * rate.bytes)
    integers = 2.0 * s.linears * length / (INTEGER * rate.flops)
    runs = _pass(s, rate, length, rows)
    # The runtime's own order of the weights, and the sections that it was made from, mapped from copies.
    running, copied = decoder + 2 * s.cache, s.model if s.model > MAPPED_FROM else 0
    played = 2 * decoder + PLAYED_CACHES * s.cache
    if large:
        played = SAMPLED * (decoder // s.layers + PLAYED_CACHES * s.cache // s.owners)
    heard = PLAIN * 2.0 * s.linears * (4 * SAMPLED / s.layers if large else 24) / rate.flops
    told = _prompts(s, rate, PROMPTS, short) + 2 * (PROMPTS + REPLIES) * ANSWER * step
    tables = s.tables if s.tables > MAPPED_FROM else 0
    layer = 2 * decoder // s.layers
    made = [
        _floor(s, rate, draws),
        _zeroth(s, rate, mapped),
        _first(s, rate, draws),
        _rung(
            "2a",
            TRACED * runs + s.prefills * integers + step,
            _read_once(s, 0) + layer + 3 * s.cache,
            mapped,
            s.model + tables + layer,
        ),
        _rung(
            "2b",
            integers + 2 * rows * step + heard,
            numbers + running,
            mapped,
            s.model + copied + played + LAYER_FILES * s.layers,
        ),
        # The engine keeps the weights in its own order in a file.
        _rung("3", told, numbers + running, mapped, s.model + copied + decoder),
    ]
    if s.questions:
        made.append(_rung("4", _questions(s, rate, step), numbers + running, mapped, s.model + copied + decoder))
    golden = _prompts(s, rate, GOLDENS, short) + GOLDENS * ANSWER * step
    return [*made, _rung("report", golden, numbers + running, mapped, s.model + copied)]


def _coreml(s: Sizes, rate: Rates) -> list[Stage]:
    length, rows = tokens(s), _rows(s)
    draws, short = (LARGE_DRAWS, LARGE_PROMPT_DRAWS) if s.model >= LARGE else (DRAWS, PROMPT_DRAWS)
    held, mapped = 2 * _read_once(s, draws), int(TOUCHED * (s.stored + s.model))
    runs, asked = _pass(s, rate, length, rows), PROMPTS * PROMPT_TOKENS
    own = EVALUATOR * _pass(s, rate, asked, asked)
    made = [
        _floor(s, rate, draws),
        _zeroth(s, rate, mapped),
        _first(s, rate, draws),
        _rung("2a", EVALUATOR * runs, held, mapped, s.model),
        _rung("2b", 3 * EVALUATOR * runs, held, mapped, s.model),
    ]
    if sys.platform == "darwin":  # Core ML itself runs on a Mac alone
        made.append(_rung("3", own + _prompts(s, rate, PROMPTS, short), held, mapped, s.model))
    if s.questions:
        step = EVALUATOR * _pass(s, rate, 1, 1) / 8  # many questions at once
        made.append(_rung("4", _questions(s, rate, step), held, mapped, s.model))
    return [*made, _rung("report", own + _prompts(s, rate, GOLDENS, short), held, mapped, s.model)]


@cache
def rates() -> Rates:
    """Asks this machine. The product is as wide as a layer; the bytes are more than a cache holds."""
    import numpy as np

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    side = 1024
    a, b = np.ones((side, side), np.float32), np.ones((side, side), np.float32)
    a @ b  # the first one starts the threads
    flops = 2 * side**3 * _often(lambda: a @ b, 0.15) * min(1.0, THREADS / cores)
    data = np.ones(64 * MB, np.uint8)
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
