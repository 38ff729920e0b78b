"""The stages of the training: folders that appear whole or not at all; one that is there is not made again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convert.demo.train import convertible, export, fake_quant, network, score
from convert.demo.train.curriculum import Curriculum
from convert.demo.train.fit import Course, fit
from convert.demo.writing.shape import DEMO, TextShape
from convert.progress import Progress

SEED = 1


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out.

    Attributes:
        first: the float network from nothing.
        aware: the same with weights, later also activations, on the mobile grid; and, to compare fairly, in float.
        lattice: the float network on the q4_0 lattice.
        activations_at: share of ``aware`` after which activation steps are measured and frozen.
        bfloat16_at: share after which norms are rounded to bfloat16 and kept.
        questions: of the exam, at most.
        calibration: batches over which magnitudes are measured.
    """

    shape: TextShape
    first: Course
    aware: Course
    lattice: Course
    activations_at: float = 0.3
    bfloat16_at: float = 0.9
    questions: int = 600
    calibration: int = 24

    def digest(self, *courses: Course) -> str:
        """SHA-256 of what decides a stage."""
        decides = [asdict(self.shape), *map(asdict, courses), self.activations_at, self.bfloat16_at]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


FULL = Recipe(
    shape=DEMO,
    first=Course(2500, 20, 3e-3, 0.01, SEED),
    aware=Course(1500, 20, 1e-3, 0.0, SEED + 1),
    lattice=Course(300, 20, 3e-4, 0.0, SEED + 2),
)
# A few steps of a narrow network: what the smoke test runs.
SMOKE = Recipe(
    shape=replace(DEMO, hidden=32, intermediate=32, heads=2, head_dim=16, global_head_dim=32),
    first=Course(6, 2, 1e-3, 0.01, SEED),
    aware=Course(10, 2, 1e-3, 0.0, SEED + 1),
    lattice=Course(2, 2, 1e-3, 0.0, SEED + 2),
    questions=8,
    calibration=1,
)


@dataclass
class Workshop:
    """Where and with what to train; ``say`` takes lines for the log."""

    folder: Path
    recipe: Recipe
    progress: Progress
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        self.curriculum = Curriculum(self.recipe.shape.vocab)
        exams = self.curriculum.exam()
        self.exam = score.questions_file(exams[:: max(1, len(exams) // self.recipe.questions)])

    def stage(self, name: str, make: Callable[[Path], None], *courses: Course) -> Path:
        """The folder of a stage; ``make`` fills it unless it is there, made by the same courses."""
        done, part = self.folder / name, self.folder / f".{name}.part"
        mark = done / "recipe.sha256"
        if mark.is_file() and mark.read_text() == self.recipe.digest(*courses):
            self.say(f"{name}: there already")
            return done
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        make(part)
        (part / mark.name).write_text(self.recipe.digest(*courses))
        shutil.rmtree(done, ignore_errors=True)
        part.rename(done)
        return done

    def fit(self, name: str, model: Any, course: Course, at: dict[int, Callable[[], None]] | None = None) -> None:
        with self.progress.stage(f"train {name}", course.steps, "steps") as stage:
            fit(
                model,
                self.curriculum,
                course,
                stage,
                at,
                lambda step, loss: self.say(f"{name} {step}: loss {loss:.4f}"),
            )


def first_network(shop: Workshop) -> Path:
    """Trains the float network that everything else begins with; transformers loads its folder."""

    def make(folder: Path) -> None:
        model = network.build(shop.recipe.shape, SEED)
        shop.fit("first", model, shop.recipe.first)
        export.floats(folder, model, shop.recipe.shape, shop.curriculum.pieces)

    return shop.stage("first", make, shop.recipe.first)


def float_network(shop: Workshop, first: Path) -> Path:
    """Trains on in float as long as the mobile network is trained on its grid: the model that QAT is held against."""

    def make(folder: Path) -> None:
        model = load_float(shop, first)
        shop.fit("float", model, shop.recipe.aware)
        export.floats(folder, model, shop.recipe.shape, shop.curriculum.pieces)

    return shop.stage("float", make, shop.recipe.first, shop.recipe.aware)


def load_float(shop: Workshop, folder: Path) -> Any:
    """The float network of a finished stage, ready to be trained on."""
    from safetensors.torch import load_file

    model = network.build(shop.recipe.shape, SEED)
    told = model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    if told.unexpected_keys or set(told.missing_keys) - {"lm_head.weight"}:
        raise ValueError(f"{folder}: not the float network: {told}")
    model.tie_weights()
    return model


def mobile_network(shop: Workshop, first: Path) -> Path:
    """Trains on the mobile grid and writes the checkpoint in Google's format."""
    recipe = shop.recipe

    def make(folder: Path) -> None:
        model = convertible.to_mobile(load_float(shop, first), recipe.shape)
        steps = recipe.aware.steps
        at = {
            int(steps * recipe.activations_at): lambda: calibrate(model, shop),
            int(steps * recipe.bfloat16_at): lambda: convertible.to_bfloat16(model),
        }
        shop.fit("mobile", model, recipe.aware, at)
        export.mobile(folder, model, recipe.shape, shop.curriculum.pieces, caches(model, shop))

    return shop.stage("mobile", make, recipe.first, recipe.aware)


def lattice_network(shop: Workshop, first: Path) -> Path:
    """Trains on the q4_0 lattice and writes the checkpoint in Google's format."""

    def make(folder: Path) -> None:
        model = convertible.to_q4_0(load_float(shop, first), shop.recipe.shape)
        shop.fit("q4_0", model, shop.recipe.lattice)
        export.lattice(folder, model, shop.recipe.shape, shop.curriculum.pieces)

    return shop.stage("q4_0", make, shop.recipe.first, shop.recipe.lattice)


def rounded_network(shop: Workshop, floats: Path, name: str, steps: convertible.FirstStep) -> Path:
    """The float network rounded to the mobile bits after training, activations calibrated: QAT's rival."""

    def make(folder: Path) -> None:
        model = convertible.to_mobile(load_float(shop, floats), shop.recipe.shape, steps)
        calibrate(model, shop)
        export.mobile(folder, model, shop.recipe.shape, shop.curriculum.pieces, caches(model, shop))

    return shop.stage(name, make, shop.recipe.first, shop.recipe.aware)


def naive_network(shop: Workshop, floats: Path) -> Path:
    return rounded_network(shop, floats, "ptq", fake_quant.naive_step)


def careful_network(shop: Workshop, floats: Path) -> Path:
    return rounded_network(shop, floats, "ptq-mse", fake_quant.first_step)


def calibrate(model: Any, shop: Workshop) -> None:
    """Measures magnitudes over batches of the curriculum and freezes the activation steps."""
    convertible.watch(model, True)
    for _ in _batches(model, shop):
        pass
    convertible.watch(model, False)
    convertible.freeze_activations(model, shop.recipe.shape)


def caches(model: Any, shop: Workshop) -> dict[str, tuple[float, float]]:
    """Steps of the int8 cache, of owners and, repeated, of the layers that share with them."""
    shape, largest = shop.recipe.shape, dict[int, tuple[float, float]]()
    for cache in _batches(model, shop):
        for i in range(shape.layers):
            if shape.owns_kv(i):
                old, layer = largest.get(i, (0.0, 0.0)), cache.layers[i]
                largest[i] = (max(old[0], layer.keys.abs().max().item()), max(old[1], layer.values.abs().max().item()))
    owners = {i: largest[shape.owner(i)] for i in range(shape.layers)}
    return {
        f"layers.{i}.self_attn": (k * convertible.HEADROOM / 127, v * convertible.HEADROOM / 127)
        for i, (k, v) in owners.items()
    }


def _batches(model: Any, shop: Workshop) -> Any:
    import torch

    random = np.random.default_rng([SEED, 5])
    with torch.no_grad():
        for _ in range(shop.recipe.calibration):
            ids = torch.from_numpy(shop.curriculum.batch(random, shop.recipe.first.rows).ids)
            yield model.model(input_ids=ids, use_cache=True).past_key_values
