"""Flags of commands that targets and platforms bring: nobody lists them twice."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from convert.bundle.platform import all_platforms
from convert.choices import flags
from convert.targets import all_targets


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose ``**flags`` are options of their own, None where they are not given.

    Where only a model is converted, those of the platforms are left out: such a command has no argument ``platform``.
    """
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _annotations("platform" in signature.parameters).items()
    ]

    def run(**given: Any) -> None:
        command(**given)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (*own, *more)}
    return run


def _annotations(with_platforms: bool) -> dict[str, Any]:
    """Options by name. Where two bring the same one, the help of both is shown."""
    told: dict[str, list[str]] = {}
    brought = [(each.name, each.options) for each in all_targets().values()]
    if with_platforms:
        every = all_platforms().values()
        brought += [(each.name, packing.choices) for each in every for packing in each.packings.values()]
    for owner, options in brought:
        for name, each in flags(options).items():
            values = " or ".join(each.metadata["values"])
            told.setdefault(name, []).append(f"{owner}: {values}; {each.metadata['help']} [default: {each.default}]")
    return {name: Annotated[str | None, typer.Option(help="; ".join(lines))] for name, lines in sorted(told.items())}
