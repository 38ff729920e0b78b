"""The stages of the tower's training: each leaves its state in a file; one that is there is not made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from convert.demo.train.vision.course import Course
from convert.demo.train.vision.decoder import Decoder
from convert.demo.train.vision.export import text_digest
from convert.demo.train.vision.fit import batch, fit
from convert.demo.train.vision.told import Told, fit_told
from convert.demo.train.vision.tower import Tower
from convert.demo.writing.tower import DEMO_VISION, VisionShape
from convert.progress import Progress

SEED = 51
STAGES = ("look", "told", "like", "speak", "aware")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out, the decoder's folder apart.

    Attributes:
        look: the tower learns to tell the attributes, without a decoder, from few patches of each picture.
        told: what the decoder needs is found out from the attributes alone, without the tower.
        like: the tower learns to give such rows.
        speak: both through the decoder, in float.
        aware: the same with weights, later also activations, on the mobile grid.
        activations_at: share of ``aware`` after which activation steps are measured and frozen.
        bfloat16_at: share after which norms and the like are rounded to bfloat16 and kept.
        calibration: batches over which magnitudes are measured.
        questions: of the exam.
    """

    shape: VisionShape
    look: Course
    told: Course
    like: Course
    speak: Course
    aware: Course
    activations_at: float = 0.2
    bfloat16_at: float = 0.6
    calibration: int = 24
    questions: int = 300


HARD = ("digit", "one", "many", "many")  # digits are learned before the rest is
FULL = Recipe(
    DEMO_VISION,
    look=Course(3000, 16, 3e-3, SEED, kept=3),
    told=Course(700, 12, 1e-2, SEED + 3, warm_up=30),
    like=Course(1200, 12, 2e-3, SEED + 4, kept=6, kinds=HARD, nameless=0.4),
    speak=Course(350, 12, 8e-4, SEED + 1, kept=6, kinds=HARD),
    aware=Course(150, 12, 3e-4, SEED + 2, warm_up=10),
)
# A few steps: what the smoke test runs.
SMOKE = Recipe(
    VisionShape(layers=1, hidden=32, intermediate=32, heads=1, head_dim=16, positions=64),
    look=Course(1, 1, 1e-3, SEED),
    told=Course(1, 1, 1e-3, SEED + 3),
    like=Course(1, 1, 1e-3, SEED + 4),
    speak=Course(1, 1, 1e-3, SEED + 1),
    aware=Course(5, 1, 1e-4, SEED + 2),
    calibration=1,
    questions=5,
)


@dataclass
class Workshop:
    """Where and with what to train; ``decoder`` is the folder of the text model; ``say`` takes lines for the log."""

    folder: Path
    decoder: Path
    recipe: Recipe
    progress: Progress
    say: Callable[[str], None]

    def train(self) -> Tower:
        """All stages."""
        tower = self._stage("look", lambda tower: self._fit("look", tower, None))
        decoder = Decoder(self.decoder)
        told = self._told(decoder)
        tower = self._stage("like", lambda tower: self._fit("like", tower, None, told), tower)
        tower = self._stage("speak", lambda tower: self._fit("speak", tower, decoder, told), tower)
        return self._stage("aware", lambda tower: self._fit("aware", tower, decoder), tower)

    def _told(self, decoder: Decoder) -> Told:
        told, file = Told(self.recipe.shape.hidden, decoder.width, SEED), self._file("told")
        if file.is_file():
            told.load_state_dict(torch.load(file, weights_only=True))
            self.say("told: there already")
            return told
        course = self.recipe.told
        with self.progress.stage("train the tower: told", course.steps, "steps") as stage:
            fit_told(told, decoder, course, stage, lambda step, said: self.say(f"told {step}: {said}"))
        self._save(file, told)
        return told

    def _stage(self, name: str, make: Callable[[Tower], None], tower: Tower | None = None) -> Tower:
        """The tower after a stage, from its file if that was made by the same recipe."""
        tower = tower or Tower(self.recipe.shape, self._width(), SEED)
        if name == "aware":
            tower.to_mobile()
        file = self._file(name)
        if file.is_file():
            tower.load_state_dict(torch.load(file, weights_only=True))
            self._thaw(tower)
            self.say(f"{name}: there already")
            return tower
        make(tower)
        self._save(file, tower)
        return tower

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}-{self._digest(name)[:16]}.pt"

    def _save(self, file: Path, module: torch.nn.Module) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        torch.save(module.state_dict(), part)
        part.rename(file)

    def _thaw(self, tower: Tower) -> None:
        """Static steps as they were frozen."""
        for module in tower.mobile_linears().values():
            for grid in (module.entering, module.leaving):
                grid.freeze(float(grid.step))

    def _fit(self, name: str, tower: Tower, decoder: Decoder | None, told: Told | None = None) -> None:
        recipe, course = self.recipe, self._course(name)
        if name == "like" and told is not None:
            tower.embed_vision.embedding_projection.weight.data.copy_(told.projection.data)
        at = {}
        if name == "aware":
            at[int(course.steps * recipe.activations_at)] = lambda: self.calibrate(tower)
            at[int(course.steps * recipe.bfloat16_at)] = tower.to_bfloat16
        with self.progress.stage(f"train the tower: {name}", course.steps, "steps") as stage:
            fit(tower, decoder, course, stage, at, lambda step, said: self.say(f"{name} {step}: {said}"), told)

    def calibrate(self, tower: Tower) -> None:
        """Measures magnitudes over batches of pictures and freezes the activation steps."""
        random = np.random.default_rng([SEED, 5])
        tower.watch(True)
        with torch.no_grad():
            for _ in range(self.recipe.calibration):
                drawn = batch(random, self.recipe.aware)
                tower(drawn.patches, drawn.places)
        tower.watch(False)
        tower.freeze_activations()

    def _course(self, name: str) -> Course:
        found: Course = getattr(self.recipe, name)
        return found

    def _width(self) -> int:
        config = json.loads((self.decoder / "config.json").read_text("utf-8"))
        return int(config["text_config"]["hidden_size"])

    def _digest(self, name: str) -> str:
        """SHA-256 of what decides a stage."""
        until = STAGES[: STAGES.index(name) + 1]
        decides = [asdict(self.recipe.shape), *(asdict(self._course(each)) for each in until), self._width()]
        if name != "look":
            decides.append(text_digest(self.decoder))
        if name == "aware":
            decides += [self.recipe.activations_at, self.recipe.bfloat16_at, self.recipe.calibration]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
