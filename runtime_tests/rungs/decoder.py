"""Rung 1: is the converter's decoder Gemma 4? Its eager form against transformers, in float32, on the same checkpoint.

The converter runs as a process of its own and hands over files of logits and hidden states: nothing of it is imported
here. Two questions, neither of which asks how deep or how nervous a model is:

* Does each layer, on the reference's own inputs and over all positions, give the reference's output? A fixed bar.
* Is the whole as good as float32 can be? A float64 run of the reference knows better than both; the decoder may be
  twice as far from it as the float32 reference is. In a calm model that is less than float32 needs for a sum in
  another order, and the fixed bar decides.

Where activations are rounded, roundings flip, and nothing but a noise floor can be held against the logits. A floor as
high as a small model's would forgive whole faults, such as a wrong rotary embedding of the full layers. So both
questions are put to the mathematics between the roundings: both sides leave the rounding out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime_tests.case import Case
from runtime_tests.errors import CannotRunError, check_disk
from runtime_tests.measures import metrics
from runtime_tests.memory.heap import KEPT_BLOCKS
from runtime_tests.progress import Advance, steps
from runtime_tests.results import Check, at_least, none
from runtime_tests.rungs.bars import judge

MODULE = "convert.model.eager"
CHUNK = 13
SINGLES = 8  # of a large model: each token that runs alone reads all weights
LIMIT_SECONDS = 3600
SIGMAS = 4.0
FACTOR_DB = 20.0 * float(np.log10(2.0))  # twice as far


def climb(case: Case) -> list[Check]:
    """Judges each layer over all positions, and the logits of the decode steps.

    Raises:
        CannotRunError: the file is another maker's, or the converter's process failed.
    """
    if case.foreign:
        raise CannotRunError("it judges this project's own decoder, and the file was not made by it")
    with tempfile.TemporaryDirectory() as work, steps("runs", 2) as advance:
        if case.folder.static_activations:
            rounded = Path(work, "rounded.npy")
            with case.smooth():
                checks = _smooth(case, "logits without rounded activations", advance, rounded)[0]
            return [*checks, *_rounded(case, _shaped(case, np.load(rounded)))]
        checks, reference, found = _smooth(case, "logits of the eager decoder", advance)
    ties = close(reference, checks[-1].limit or case.budget.decoder_db)
    slips = [f"step {i}" for i in np.flatnonzero(~metrics.top1(reference, found) & ~ties)]
    return [*checks, none("best token differs, near-ties aside", slips, "steps", int((~ties).sum()))]


def _rounded(case: Case, found: NDArray[np.float32]) -> list[Check]:
    """The whole with its roundings, beside the noise floor where these flip."""
    quality = metrics.snr_db(case.plain_logits, found)
    if quality >= case.budget.decoder_db:
        return [at_least("logits of the eager decoder", quality, case.budget.decoder_db, "dB")]
    return judge(case, case.plain_logits, found, case.floor)


def _smooth(
    case: Case, name: str, advance: Advance, rounded: Path | None = None
) -> tuple[list[Check], NDArray[np.float32], NDArray[np.float32]]:
    """Both questions, as the reference is now; and its logits and the decoder's.

    Args:
        rounded: file for the decoder's logits with its roundings, from the same process.
    """
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        reference = case.reference.follow(case.ids, case.prompt, folder)
        advance(1)
        last = folder / f"{case.dims.layers}.npy"
        wanted = [np.load(folder / f"{i + 1}.npy", mmap_mode="r") for i in range(case.dims.layers - 1)]
        expected = [*wanted, np.load(last)]
        given = folder / "given"
        given.mkdir()
        for i in range(case.dims.layers):
            (given / f"{i}.npy").hardlink_to(folder / f"{i}.npy")
        found = _shaped(case, eager_logits(case, given, rounded))
        advance(1)
        layers = [metrics.snr_db(expected[i], np.load(given / f"{i}.npy")) for i in range(case.dims.layers)]
    worst = int(np.argmin(layers))
    quality, bar = metrics.snr_db(reference, found), case.budget.decoder_db
    note = ""
    if quality < bar:
        exact = case.reference.exact_logits(case.ids, case.prompt)
        own, quality = metrics.snr_db(exact, reference), metrics.snr_db(exact, found)
        bar, note = min(bar, own - FACTOR_DB), f"from a float64 run, from which float32 itself is {own:.4g} dB"
    return (
        [
            at_least(
                f"each layer on the reference's inputs, worst of {len(layers)}",
                layers[worst],
                case.budget.layer_db,
                "dB",
                f"layers.{worst}, {len(case.ids)} positions",
            ),
            at_least(name, quality, bar, "dB", note),
        ],
        reference,
        found,
    )


def close(reference: NDArray[np.float32], bar: float) -> NDArray[np.bool_]:
    """Steps whose two best tokens lie closer than an error that the bar allows can move them, bool ``[T]``.

    One pair in some ten thousand is as close as that in a calm model, and in a nervous one of many steps some pair is.

    Args:
        reference: logits ``[T, V]``.
        bar: SNR in dB.

    >>> close(np.array([[0.0, 10.0, 9.0], [0.0, 10.0, 9.9999]], np.float32), 100.0).tolist()
    [False, True]
    """
    noise = float(np.sqrt(np.mean(reference.astype(np.float64) ** 2))) * 10.0 ** (-bar / 20.0)
    out: NDArray[np.bool_] = metrics.margins(reference) <= 2.0 * SIGMAS * noise
    return out


def _shaped(case: Case, found: NDArray[np.float32]) -> NDArray[np.float32]:
    shape = (len(case.ids) - case.prompt, case.dims.vocab)
    if found.shape != shape:
        raise CannotRunError(f"{MODULE} wrote logits {list(found.shape)}, expected {list(shape)}")
    return found


def eager_logits(case: Case, layers: Path, rounded: Path | None = None) -> NDArray[np.float32]:
    """float32 ``[T - prompt, V]`` of the converter's decoder over the forced sequence, activations unrounded.

    Args:
        layers: folder with inputs of each layer, ``<layer>.npy``, which its outputs replace.
        rounded: file for the logits of another run, with these scales and on the decoder's own inputs.

    Raises:
        CannotRunError: the process failed; its last line is passed on.
    """
    with tempfile.TemporaryDirectory() as folder:
        tokens, logits = Path(folder, "tokens.npy"), Path(folder, "logits.npy")
        np.save(tokens, case.ids)
        command = [sys.executable, "-m", MODULE, str(case.folder.path), "--tokens", str(tokens)]
        command += ["--logits", str(logits), "--prefill", str(CHUNK), "--context", str(len(case.ids))]
        command += ["--first", str(case.prompt)]
        # More threads than a small model needs wait for each other, on a busy machine for most of a minute.
        env = os.environ | {"OMP_NUM_THREADS": str(case.threads)} | (KEPT_BLOCKS if case.large else {})
        command += ["--layers", str(layers)]
        command += ["--unrounded"] if case.folder.static_activations else []
        command += [] if rounded is None else ["--rounded", str(rounded)]
        command += ["--singles", str(SINGLES)] if case.large else []
        said = _watched(command, env, case.dims.layers * (1 if rounded is None else 2))
        if said is not None or not logits.exists():
            raise CannotRunError(f"{MODULE} {said or 'wrote no logits'}")
        return np.asarray(np.load(logits), np.float32)


def _watched(command: list[str], env: dict[str, str], layers: int) -> str | None:
    """Runs the process, which tells on stdout of each layer that is done; how it failed, or None."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None
        limit = threading.Timer(LIMIT_SECONDS, process.kill)
        limit.start()
        try:
            with steps("layers of the eager decoder", layers) as advance:
                for _ in process.stdout:
                    advance(1)
            code = process.wait()
        finally:
            limit.cancel()
            process.kill()
            process.wait()
            process.stdout.close()
        if not code:
            return None
        errors.seek(0)
        words = errors.read()
        check_disk(words)
        last = (words.strip().splitlines() or ["nothing"])[-1]
        return f"ended with code {code} and said: {last[:200]}"
