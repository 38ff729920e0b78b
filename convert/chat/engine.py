"""Opening the stock engine, or the loop in its place for what it does not run."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.chat.native_log import NativeLog
from convert.chat.pictures import MOST_HANDED_OVER, MOST_PIXELS
from convert.errors import ArtifactError
from convert.targets.litert.inspect import inspect
from convert.targets.litert.seen import image_tokens

MOST_IMAGES = 16  # of a conversation; the engine does not hold one to it on a CPU [litert-lm-api 0.18.1]


@dataclass(frozen=True)
class Opened:
    """An engine with a model.

    Attributes:
        native: ``litert_lm.Engine``, or a ``LoopEngine``.
        context: positions of the KV cache; None where the file does not say.
        drafted: whether a drafter guesses tokens.
        images: tokens that an image becomes, at most; None where the model takes no images.
        most_pixels: of an image that it is left to resize.
    """

    native: Any
    context: int | None
    log: NativeLog
    drafted: bool = False
    images: int | None = None
    most_pixels: int = MOST_HANDED_OVER


@contextmanager
def opened(model: Path, threads: int, log: NativeLog, sample: bool = False) -> Iterator[Opened]:
    """Loads a model.

    A drafter in it is used where the best token is taken each time. With it the engine takes the best token whatever
    the sampler says [litert-lm-api 0.18.1], so it stays off where tokens are drawn.

    Args:
        sample: whether tokens are drawn.

    Raises:
        ArtifactError: the engine refuses it.
    """
    if model.suffix == ".onnx":
        from convert.chat.loop import LoopEngine

        loop = LoopEngine(model, threads)
        yield Opened(loop, loop.gemma.context, log, images=loop.gemma.images, most_pixels=MOST_PIXELS)
        return
    import litert_lm

    found = inspect(model)
    seen = image_tokens(found)
    cache, drafted = found.cache, bool(found.section("tf_lite_mtp_drafter")) and not sample
    # How many drafts were accepted is said among much that nobody asks for; all of it goes into the log.
    severity = litert_lm.LogSeverity
    litert_lm.set_min_log_severity(severity.INFO if drafted else severity.ERROR)
    backend = litert_lm.Backend.CPU(thread_count=threads)
    try:
        engine = litert_lm.Engine(
            str(model),
            backend=backend,
            cache_dir=weight_cache(),
            enable_benchmark=True,
            enable_speculative_decoding=drafted or None,
            vision_backend=backend if seen else None,
            max_num_images=MOST_IMAGES if seen else None,
        )
    except (RuntimeError, UnicodeError) as error:
        advice = "See what it holds with inspect, and judge it with verify"
        words = f"the engine refuses it ({log.cause() or error})"
        raise ArtifactError(f"chat with {model.name}", words, advice) from error
    with engine:
        yield Opened(engine, cache.context if cache else None, log, drafted, seen)


def weight_cache() -> str:
    """Where the engine keeps the weights as its kernels want them: never on a disk, so nothing can be left behind.

    Given a folder, the engine writes a file there (for E2B 830 MB, as long as the section ``tf_lite_prefill_decode``)
    and aborts where it does not fit. ``:memory`` keeps the same file in memory. The peak of resident memory is the same
    for both, 1.28 GB for E2B with two prefill lengths; ``:nocache`` packs the weights once a signature, 2.71 GB. It is
    the way out where the system has no such files, or a limit on the size of files (ulimit -f) counts for them too
    [litert-lm-api 0.18.1].
    """
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    return ":memory" if hasattr(os, "memfd_create") and unlimited else ":nocache"
