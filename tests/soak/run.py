"""Runs the soak: draws models one after another, and prints a line for each."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from tests.soak import checkpoint
from tests.soak.draw import draw
from tests.soak.faults import ANDROID, IOS, choose
from tests.soak.judge import PUBLISHED, REFUSED, TOO_NERVOUS, Stand, Told, crashed

PLATFORMS = {"android": (ANDROID,), "ios": (IOS,), "both": (ANDROID, IOS)}
DEEPEST = 42
SHOWN = 140  # characters of what caught a fault
PATIENCE = 4  # nervous models for each one asked for, before it ends


@dataclass
class Outcome:
    """One model on one platform.

    Attributes:
        fault: what was wrong with the faulty one, and who noticed; empty when it was not made.
        slipped: the fault was published.
        failed: the right model was not published, or something crashed.
    """

    platform: str
    right: Told
    fault: str = ""
    slipped: bool = False
    failed: bool = False


@dataclass
class Model:
    """One model on all platforms asked for."""

    seed: int
    what: str
    seconds: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def nervous(self) -> bool:
        return any(item.right.verdict == TOO_NERVOUS for item in self.outcomes)

    def __str__(self) -> str:
        floors = [item.right.floor_db for item in self.outcomes if item.right.floor_db is not None]
        floor = f"floor {floors[0]:.1f} dB" if floors else "no floor"
        said = "; ".join(f"{item.platform} {_said(item)}" for item in self.outcomes)
        return f"seed {self.seed}: {self.what}, {floor}: {said} ({self.seconds:.0f} s)"


def _said(item: Outcome) -> str:
    why = f" [{item.right.why}]" if item.right.why else ""
    fault = f", fault {'SLIPPED THROUGH' if item.slipped else 'caught'} [{item.fault}]" if item.fault else ""
    return f"{'FAILED' if item.failed else item.right.verdict}{why}{fault}"


def soak_one(seed: int, platforms: tuple[str, ...], work: Path, deepest: int = DEEPEST) -> Model:
    """Draws a model, bundles it on each platform, and then with a fault."""
    drawn, start = draw(seed, deepest), time.perf_counter()
    out = Model(seed, str(drawn))
    with tempfile.TemporaryDirectory(dir=work) as folder:
        made = checkpoint.write(drawn, Path(folder))
        for platform in platforms:
            place = Path(folder, platform)
            place.mkdir()
            out.outcomes.append(_on(Stand(drawn, platform, made, place)))
            if out.nervous:
                break
    out.seconds = time.perf_counter() - start
    return out


def _on(stand: Stand) -> Outcome:
    right = stand.bundle()
    out = Outcome(stand.platform, right, failed=right.verdict == REFUSED)
    if right.verdict != PUBLISHED:
        return out
    fault = choose(stand.drawn, stand.platform)
    try:
        found = stand.spoil(fault)
    except Exception as error:  # a defect of the judge, and the finding of this run
        out.failed, out.fault = True, f"{fault.kind}: {fault.what}: {crashed(error)}"
        return out
    out.slipped = found.verdict == PUBLISHED
    out.fault = f"{fault.kind}: {fault.what}" + (f"; {found.why[:SHOWN]}" if found.why else "")
    return out


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    count: Annotated[int, typer.Argument(min=1, help="Right models to judge.")] = 4,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the first. [default: drawn]")] = None,
    platform: Annotated[str, typer.Option(help="android, ios or both.")] = "both",
    layers: Annotated[int, typer.Option(min=6, max=DEEPEST, help="Layers at most.")] = DEEPEST,
) -> None:
    """Random right models, each with one fault. Exit code 0: all right ones published, no faulty one.

    A model that failed is run again alone by its seed: just soak 1 --seed 12345
    """
    if platform not in PLATFORMS:
        raise typer.BadParameter(f"there is no platform {platform!r}; there are {', '.join(PLATFORMS)}")
    # More threads than a thin model needs wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    first = secrets.randbelow(1_000_000) if seed is None else seed
    typer.echo(f"soak: {count} models from seed {first} on, {platform}, at most {layers} layers")
    models: list[Model] = []
    nervous = 0
    with tempfile.TemporaryDirectory() as folder:
        while len(models) < count and nervous < PATIENCE * count:
            made = soak_one(first + len(models) + nervous, PLATFORMS[platform], Path(folder), layers)
            typer.echo(str(made))
            if made.nervous:
                nervous += 1
            else:
                models.append(made)
    raise typer.Exit(0 if summary(models, nervous, count, _flags(platform, layers)) else 1)


def _flags(platform: str, layers: int) -> str:
    """What a seed stands for depends on the depth allowed."""
    return ("" if platform == "both" else f" --platform {platform}") + (
        f" --layers {layers}" if layers != DEEPEST else ""
    )


def summary(models: list[Model], nervous: int, count: int, flags: str = "") -> bool:
    """Prints the totals and what to run again, with the same flags; whether all was as it should be."""
    outcomes = [item for model in models for item in model.outcomes]
    for name in dict.fromkeys(item.platform for item in outcomes):
        here = [item for item in outcomes if item.platform == name]
        right, faulty = sum(not item.failed for item in here), [item for item in here if item.fault]
        caught = sum(not item.slipped and not item.failed for item in faulty)
        typer.echo(f"{name}: {right} of {len(here)} right ones published, {caught} of {len(faulty)} faults caught")
    if nervous:
        typer.echo(f"{nervous} more were too nervous to be judged; others were drawn in their place")
    bad = [model for model in models if any(item.failed or item.slipped for item in model.outcomes)]
    for model in bad:
        typer.echo(f"run again: just soak 1 --seed {model.seed}{flags}")
    if len(models) < count:
        typer.echo(f"only {len(models)} of {count}: too many nervous ones")
    return not bad and len(models) == count
