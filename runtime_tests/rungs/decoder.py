"""Rung 1: is the converter's decoder Gemma 4? Its eager form against transformers, in float32, on the same checkpoint.

The converter runs as a process of its own and hands over a file of logits: nothing of it is imported here.

Where rounded activations make the logits incomparable but for their noise floor, a floor as high as a small model's
would forgive whole faults, such as a wrong rotary embedding of the full layers. So the mathematics between the
roundings is judged as well: both sides leave the rounding out, and nothing is left that could flip.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime_tests import metrics
from runtime_tests.case import Case
from runtime_tests.errors import CannotRunError, check_disk
from runtime_tests.results import Check, at_least, none
from runtime_tests.rungs.lowering import judge

MODULE = "convert.model.eager"
CHUNK = 13
LIMIT_SECONDS = 3600


def climb(case: Case) -> list[Check]:
    """Judges every position: the bar of the design, or, where the noise floor is lower, that and the smooth model.

    Raises:
        CannotRunError: the file is another maker's, or the converter's process failed.
    """
    if case.foreign:
        raise CannotRunError("it judges this project's own decoder, and the file was not made by it")
    found = eager_logits(case)[case.prompt :]
    if found.shape != case.plain_logits.shape:
        raise CannotRunError(f"{MODULE} wrote logits {list(found.shape)}, expected {list(case.plain_logits.shape)}")
    quality = metrics.snr_db(case.plain_logits, found)
    if case.folder.format != "mobile" or quality >= case.budget.decoder_db:
        agree = metrics.top1(case.plain_logits, found)
        slips = [f"position {i}" for i in np.flatnonzero(~agree)]
        return [
            at_least("logits of the eager decoder", quality, case.budget.decoder_db, "dB"),
            none("best token differs", slips, "positions", len(agree)),
        ]
    smooth = metrics.snr_db(case.unrounded_logits, eager_logits(case, rounded=False)[case.prompt :])
    return [
        at_least("logits without rounded activations", smooth, case.budget.decoder_db, "dB"),
        *judge(case, case.plain_logits, found, case.floor),
    ]


def eager_logits(case: Case, rounded: bool = True) -> NDArray[np.float32]:
    """float32 ``[T, V]`` of the converter's decoder over the forced sequence, static activation scales in or out.

    Raises:
        CannotRunError: the process failed; its last line is passed on.
    """
    with tempfile.TemporaryDirectory() as folder:
        tokens, logits = Path(folder, "tokens.npy"), Path(folder, "logits.npy")
        np.save(tokens, case.ids)
        command = [sys.executable, "-m", MODULE, str(case.folder.path), "--tokens", str(tokens)]
        command += ["--logits", str(logits), "--prefill", str(CHUNK), "--context", str(len(case.ids))]
        # More threads than a small model needs wait for each other, on a busy machine for most of a minute.
        env = os.environ | {"OMP_NUM_THREADS": str(case.threads)}
        command += [] if rounded else ["--unrounded"]
        try:
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise CannotRunError(f"{MODULE} did not finish in {LIMIT_SECONDS} s") from error
        if done.returncode or not logits.exists():
            check_disk(done.stderr)
            said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise CannotRunError(f"{MODULE} ended with code {done.returncode} and said: {said[:200]}")
        return np.asarray(np.load(logits), np.float32)
