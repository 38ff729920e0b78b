"""How much lies on the output's disk at the worst moment of a build, beyond what is there now.

Everything is written beside the bundle: scratch files of the stages too, so that no second disk can be too small. The
bundle of that name that is there stays until the new one is whole; nothing is subtracted for it. An estimate may err
upwards. What was measured on a file system of its own stands in ``tests/test_disk.py``.

While a bundle is judged, there lie

* the model;
* a copy of each section above 256 MB, which the interpreter maps;
* android: the decoder's section twice, as it is and cut at its boundaries, for the second opinions, and what is played
  to them: at four positions all of the KV cache, which is at times copied once more;
* the reports, and small files, hundreds for each layer, that take a page each;
* and, in place of the second opinions, a row of logits for every position of the forced sequence (rung 1).

Afterwards, where an APK is built: the model's copy in ``app/``, in the APK and in the APK before it is signed, as far
as it goes in, and the engine's libraries in both and the compiler's output.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from convert.checkpoint.config import TextConfig
from convert.errors import PlanError

MAPPED_FROM = 256 << 20  # runtime_tests/runners/litert.py
PACKED_UP_TO = 100_000_000  # convert/bundle/sample.py
_REPORTS, _LAYER, _APK = 2 << 20, 1 << 20, 96 << 20
_CACHES, _LONGEST = 6, 512


def needed(model: int, decoder: int, cache: int, config: TextConfig, platform: str, apk: bool) -> int:
    """Bytes for a whole bundle.

    Args:
        model: estimate of the model file.
        decoder: of its part without the embedding tables.
        cache: KV cache of one conversation at full context.
        apk: an APK may be built.
    """
    logits = (config.window + _LONGEST) * config.vocab * 4
    judged = (model if model > MAPPED_FROM else 0) + _REPORTS
    if platform == "android":
        judged += max(logits, 2 * decoder + _CACHES * cache + _LAYER * len(config.layers))
    else:
        judged += logits
    packed = (3 * model if model <= PACKED_UP_TO else 0) + _APK if apk else 0
    return model + max(judged, packed)


def check(out: Path, needed: int, asked: str) -> int:
    """Free bytes where ``out`` will lie.

    Raises:
        PlanError: fewer than needed.
    """
    there = next(folder for folder in (out, *out.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise PlanError(
            asked,
            f"it needs {needed / 1e9:.2f} GB of disk and {free / 1e9:.2f} GB are free",
            "Free some space, or give another disk with --out",
        )
    return free
