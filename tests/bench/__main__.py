"""``python -m tests.bench demo``, ``coreml``, ``products``, ``nbits``,
``runtimes``, ``peers``, ``cache``, ``drafter``, ``kernels``, ``image``, ``tokenizer`` or ``start``.

A figure of this machine alone says little, so each run also measures what the machine can do: how fast it copies a
file, and how fast it reads memory.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from convert import guard


def _command(arguments: list[str]) -> str:
    if arguments[:1] == ["peers"]:  # has flags of its own; a folder of that name is ./peers
        from tests.bench.peers.command import peers

        return peers(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Time and peak memory of each stage.",
        epilog="example: python -m tests.bench demo",
    )
    parser.add_argument(
        "model",
        nargs="?",
        default="demo",
        help="demo, a hub id, a folder, or "
        "coreml, products, nbits, runtimes, peers, cache, drafter, kernels, image, tokenizer, start",
    )
    said = "of runtimes, cache, drafter, kernels and image: demo, a hub id or a folder"
    parser.add_argument("of", nargs="?", help=said)
    parser.add_argument("with_", metavar="with", nargs="?", help="of drafter: its own hub id or folder")
    parser.add_argument("--out", type=Path, default=Path("dist"), help="where full-size files lie meanwhile")
    options = parser.parse_args(arguments)
    if options.model == "start":  # a folder of that name is ./start
        from tests.bench.start import start

        return start()
    if options.model == "coreml":  # a folder of that name is ./coreml
        from tests.bench.coreml import coreml

        return coreml("e2b", options.out)
    if options.model == "products":
        from tests.bench.products import products

        return products()
    if options.model == "nbits":
        from tests.bench.nbits import nbits

        return nbits()
    if options.model == "runtimes":
        from tests.bench.runtimes import runtimes

        return runtimes(options.of or "demo", options.out)
    if options.model == "cache":
        from tests.bench.engine.cache import cache

        return cache(options.of or "demo", options.out)
    if options.model == "drafter":
        if options.of is None:
            from tests.bench.engine.drafter import drafter

            return drafter(options.out)
        if options.with_ is None:
            parser.error("drafter wants a model and its drafter, or neither for the demo's own questions")
        from tests.bench.engine.steps import steps

        return steps(options.of, options.with_, options.out)
    if options.model == "kernels":
        from tests.bench.engine.kernels import kernels

        return kernels(options.of or "demo")
    if options.model == "image":
        from tests.bench.engine.image import image

        return image(options.of, options.out)
    if options.model == "tokenizer":
        from tests.bench.tokenizer import tokenizer

        return tokenizer()
    from tests.bench.bundle import bundle

    return bundle(options.model)


if __name__ == "__main__":
    guard.guarded(lambda: print(_command(sys.argv[1:]), end=""))  # noqa: T201
