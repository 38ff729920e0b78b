"""``just fullsize SIZE FORMAT``: a synthetic checkpoint of real dimensions, converted, and on request judged."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from convert import guard
from convert.bundle.platform import all_platforms
from convert.demo.writing.layout import FORMATS
from tests.fullsize.parser import Parser
from tests.support.checkpoints.shapes import FULL_SIZE


def _command(arguments: list[str]) -> int:
    parser = Parser(
        prog="just fullsize",
        description="Write a checkpoint with a real model's names, dimensions and bits and random values. Without "
        "--judge: convert it for android and decode with the stock engine. With --judge: run the whole `bundle`, and "
        "print its stages with minutes, peak memory, temporary disk and verdict. Everything is removed in the end. "
        "Other flags go to `bundle`.",
        epilog="example: just fullsize e2b q4_0 --judge --checkpoint /tmp/q4_0_e2b --context 2048",
    )
    parser.add_argument("size", choices=sorted(FULL_SIZE))
    parser.add_argument("format", choices=FORMATS)
    parser.add_argument("--judge", action="store_true", help="bundle and judge it; exit code 1 when it does not pass")
    parser.add_argument("--platform", choices=tuple(all_platforms()), default="android", help="with --judge")
    parser.add_argument("--checkpoint", type=Path, help="with --judge: keep the checkpoint here, or take the one here")
    dist = Path(os.environ.get("GEMMA_BRIDGE_OUT", "dist"))
    parser.add_argument("--out", type=Path, default=dist, help="where files lie meanwhile [default: dist]")
    options, flags = parser.parse_known_args(arguments)
    if options.judge:
        from tests.fullsize.judged import fullsize

        text, code = fullsize(options.size, options.format, options.platform, options.out, options.checkpoint, flags)
    else:
        from tests.fullsize import unjudged

        if flags or options.checkpoint or options.platform != "android":
            parser.error(f"{' '.join(flags) or '--checkpoint and --platform'}: only with --judge")
        text, code = unjudged.fullsize(options.size, options.format, options.out), 0
    print(text, end="")  # noqa: T201
    return code


if __name__ == "__main__":
    guard.guarded(lambda: _command(sys.argv[1:]))
