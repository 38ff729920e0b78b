"""One package with its row tables, one checkpoint: what the rungs for Core ML share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.budgets import Budget
from runtime_tests.case import DECODE_STEPS, Case, Continued
from runtime_tests.coreml.budgets import coreml_budget
from runtime_tests.coreml.constants import round_constants
from runtime_tests.coreml.feeding import calls_of, feed_by
from runtime_tests.coreml.forced import forced_calls, forced_logits
from runtime_tests.coreml.greedy import answers, reach
from runtime_tests.coreml.program.evaluator import Arithmetic, Evaluator
from runtime_tests.coreml.program.matrices import matrix
from runtime_tests.coreml.program.shorter import shorten
from runtime_tests.coreml.program.values import ROOM
from runtime_tests.coreml.session import DECODE, KINDS, Feed, Floats, Session, prefill_lengths, ring_of
from runtime_tests.errors import CannotRunError, InputError
from runtime_tests.readers.checkpoint import Folder, open_checkpoint
from runtime_tests.readers.coreml.mlpackage import MlPackage
from runtime_tests.readers.coreml.parts import IMAGES
from runtime_tests.readers.coreml.program import Function
from runtime_tests.readers.coreml.rows import Rows, open_rows
from runtime_tests.readers.dimensions import SLIDING
from runtime_tests.reference.floor import DRAWS, Floor, measure
from runtime_tests.reference.model import Ids, Reference
from runtime_tests.reference.trace import Trace
from runtime_tests.reference.vision.tower import Tower
from runtime_tests.weights.recovered import Recovered

FIRST, SECOND = "embed_tokens", "embed_tokens_per_layer"
LARGE_ROOM = 1 << 28  # bytes: of weights that are read in turn, fewer than all are never found again


class CoremlCase(Case):
    """As :class:`Case`, for a package.

    Attributes:
        package: the opened package; ``artifact`` is the same, for reports.
    """

    target = "coreml"
    elsewhere = frozenset() if sys.platform == "darwin" else frozenset({"3"})
    artifact: MlPackage

    def __init__(
        self,
        package: MlPackage,
        folder: Folder,
        threads: int | None = None,
        evaluation: Path | None = None,
        float_model: Path | None = None,
        questions: int | None = None,
    ) -> None:
        super().__init__(package, folder, threads, evaluation, float_model, questions)
        self.package = package
        if DECODE not in package.functions:
            raise InputError(f"{package.path.name}: no function {DECODE}; it has {', '.join(package.functions)}")
        self._evaluators: dict[tuple[Arithmetic, bool, int | None], Evaluator] = {}

    @property
    def decode(self) -> Function:
        return self.package.functions[DECODE]

    @property
    def profile(self) -> str:
        """``gpu`` or ``ane``: what the package says it was made for."""
        return self.package.metadata.get("gemma_bridge.profile", "gpu")

    @cached_property
    def images(self) -> MlPackage | None:
        """The package beside this one that makes rows of images; None where the model takes none."""
        return next((each for each in self.package.beside if each.path.name == IMAGES), None)

    @cached_property
    def vision(self) -> Folder:
        """The checkpoint's vision tower and its projection into the text decoder."""
        return open_checkpoint(self.folder.path, "vision")

    @cached_property
    def tower(self) -> Tower:
        """transformers' own of them, with the package's weights where these are what the checkpoint rounded.

        Raises:
            InputError: the checkpoint has none.
        """
        found: dict[str, Floats] = {}
        if self.folder.storage != "integers" and self.images is not None:
            function = next(iter(self.images.functions.values()))
            keys = [key.removesuffix(".weight") for key in self.vision.floats if key.endswith(".linear.weight")]
            lattice = {key: held for key in keys if not isinstance(held := matrix(function, key), str)}
            found = {key: held.rows(0, held.shape[0]) for key, held in lattice.items()}
        return Tower(self.folder.path, self.threads, found)

    @cached_property
    def seers(self) -> dict[Arithmetic, Evaluator]:
        """The package for images, ready to run."""
        return {}

    @cached_property
    def held(self) -> dict[str, tuple[str, list[int]]]:
        """What each state holds: ``key`` or ``value``, and of which layers, in order. A later part has later layers."""
        out: dict[str, tuple[str, list[int]]] = {}
        left = {
            (kind, suffix): [owner.layer for owner in self.dims.owners if suffix in ("", self.suffix(owner.layer))]
            for kind in ("key", "value")
            for suffix in ("", *KINDS.values())
        }
        for name, type in self.decode.inputs.items():
            first, _, last = name.partition("_")
            which = (first.removesuffix("s"), last if last in KINDS.values() else "")
            if type.state and which in left and len(type.shape) == 4:
                out[name] = (which[0], left[which][: type.shape[0]])
                left[which] = left[which][type.shape[0] :]
        return out

    def suffix(self, layer: int) -> str:
        """What ends the names of inputs and states that belong to a layer's kind alone."""
        return KINDS[self.dims.kinds[layer]]

    @cached_property
    def ring(self) -> int | None:
        """Rows of sliding layers' states; None where they have one for each position."""
        return ring_of(self.decode)

    def rows(self, layer: int) -> int:
        """Rows of a layer's keys and values in its state."""
        return self.ring if self.ring is not None and self.suffix(layer) == KINDS[SLIDING] else self.context

    @property
    def precision(self) -> str:
        """``float16`` or ``float32``: what decode takes."""
        return self.decode.inputs["embeddings"].dtype

    @property
    def budget(self) -> Budget:
        return coreml_budget(self.folder.static_activations, self.folder.storage, self.profile)

    @cached_property
    def context(self) -> int:
        return Feed.context(self.decode)

    @cached_property
    def prompt(self) -> int:
        """As in :class:`Case`, and where the context allows it so long that every decode step is past the wrap."""
        return self.shared_out(max(45, self.window + self.window // 2 + 9 - DECODE_STEPS, self.window + 9))

    @cached_property
    def profiled(self) -> Reference:
        """What the program is held to: the reference, for profile ``ane`` another with the constants that it has.

        Only a mobile checkpoint has such a profile: q4_0's block scales do not fit float16.
        """
        if self.profile != "ane" or self.folder.storage != "integers":
            return self.reference
        made = Reference(self.folder.path, self.threads)
        round_constants(made)
        return made

    @property
    def profiled_logits(self) -> NDArray[np.float32]:
        """As :attr:`logits`, of :attr:`profiled`."""
        return self._profile_measured[0]

    @property
    def profiled_floor(self) -> Floor:
        """As :attr:`floor`, of :attr:`profiled`."""
        return self._profile_measured[1]

    @cached_property
    def _profile_measured(self) -> tuple[NDArray[np.float32], Floor]:
        if self.profiled is self.reference:
            return self.logits, self.floor
        return measure(self.profiled, self.ids, self.prompt, self.draws(DRAWS))

    @cached_property
    def declared(self) -> NDArray[np.float64]:
        """Logits of the forced decode steps, each operation rounded to its declared type, ``[steps, V]``."""
        return forced_logits(self, "declared", self.ids, self.prompt)

    @cached_property
    def exact(self) -> NDArray[np.float64]:
        """The same in float64: the program without what its own arithmetic costs."""
        return forced_logits(self, "float64", self.ids, self.prompt)

    def arithmetic(self, found: Sequence[Continued]) -> tuple[float, float]:
        """What float16 moves, in constants and between operations; see :meth:`Case.arithmetic`.

        Of a large package, whose every call unpacks all weights, it is measured on the forced sequence instead: random
        tokens, which static activations make much of, so that it is larger.
        """
        if self.precision != "float16":
            return 0.0, 0.0
        if self.large:
            moved = np.abs(self.declared - self.exact)
            if self.profiled is not self.reference:
                moved += np.abs(self.profiled_logits - self.logits)
            farthest = moved.max(axis=-1)
        else:
            farthest = np.concatenate([self._rounded(item) + self._constants(item) for item in found])
        return float(farthest.max()), float(farthest.mean())

    def _rounded(self, item: Continued) -> NDArray[np.float64]:
        """What rounding to the declared types moves the farthest of the best logits of each step, ``[K]``."""
        ids, rows = np.concatenate([item.ids, item.new[:-1]]), list[NDArray[np.float64]]()
        calls = forced_calls(self, ids, len(item.ids) - 1)
        for arithmetic in ("declared", "float64"):
            evaluator = self.evaluator(arithmetic)
            state = evaluator.new_state(DECODE)
            made = [evaluator.run(call.function, call.inputs, state) for call in calls][-len(item.new) :]
            logits = [out["logits"].numpy().reshape(-1) for out in made]
            rows.append(np.stack(logits).astype(np.float64))
        far = np.abs(rows[0] - rows[1])
        return np.asarray(np.take_along_axis(far, item.best, axis=-1).max(axis=-1))

    def _constants(self, item: Continued) -> NDArray[np.float64]:
        """What the constants that the profile has instead of the checkpoint's move the best logits, ``[K]``."""
        if self.profiled is self.reference:
            return np.zeros(len(item.new))
        ids = np.concatenate([item.ids, item.new[:-1]]).astype(np.int32)
        ((_, plain, _),) = self.profiled.many([ids], [len(item.ids) - 1])
        return np.asarray(np.abs(np.take_along_axis(plain, item.best, axis=-1) - item.logits).max(axis=-1), np.float64)

    def evaluator(
        self, arithmetic: Arithmetic = "declared", activations: bool = True, positions: int | None = None
    ) -> Evaluator:
        """The package, ready to run; made once for each way of running it.

        Args:
            positions: cut the cache down to so many (``shorter.py``); None for all of them.

        Raises:
            CannotRunError: an operation is not known, or the cache cannot be cut.
        """
        key = (arithmetic, activations, positions)
        if key not in self._evaluators:
            package = self.package if positions in (None, self.context) else shorten(self.package, positions)
            known = next((made for (other, *_), made in self._evaluators.items() if other == arithmetic), None)
            room = LARGE_ROOM if self.large else ROOM
            shared = known.weights if known else None
            self._evaluators[key] = Evaluator(package, arithmetic, activations, shared, room)
        return self._evaluators[key]

    @cached_property
    def lengths(self) -> dict[int, str]:
        """Functions that prefill by the tokens that they take, ascending: as the bundle says, else by their names.

        Raises:
            CannotRunError: the bundle says that there is a function which the package does not have.
        """
        if self.feeding is None:
            return prefill_lengths(self.package.functions)
        lengths = {one.tokens: one.function for one in calls_of(self.feeding).chunks.lengths}
        if unknown := [name for name in lengths.values() if name not in self.package.functions]:
            raise CannotRunError(f"feeding.calls.chunks: the package has no function {unknown[0]!r}")
        return dict(sorted(lengths.items()))

    @cached_property
    def feed(self) -> Feed:
        """Inputs by position, as the bundle says; of a bare package rotary rows are the reference's own, in float32."""
        if self.feeding is not None:
            return feed_by(calls_of(self.feeding), self.context)
        import torch

        made: dict[str, tuple[Floats, Floats]] = {}
        positions = torch.arange(self.context)[None]
        for kind in sorted(set(self.dims.kinds)):
            cos, sin = self.reference.decoder.rotary_emb(torch.zeros(1), positions, kind)
            made[kind] = (cos[0].numpy(), sin[0].numpy())
        return Feed(self.dims.window, made)

    def greedy(self, prompts: Sequence[Ids], steps: Sequence[int]) -> list[Ids]:
        """As :meth:`Case.greedy`, in the evaluator.

        Raises:
            CannotRunError: a large package, which unpacks its weights at every step; the reference is sooner done.
        """
        if self.large:
            raise CannotRunError("a large package does not generate")
        most = max(steps, default=0)
        found = answers(self, self.evaluator_for(prompts, most), prompts, most, frozenset(self.stops))
        return [new[:own] for new, own in zip(found, steps, strict=True)]

    def evaluator_for(self, prompts: Sequence[Ids], most: int) -> Evaluator:
        """The package with a cache that has room for the prompts and ``most`` tokens more, cut where it can be."""
        try:
            return self.evaluator(positions=reach(self, prompts, most))
        except CannotRunError:  # the cache cannot be cut
            return self.evaluator()

    def session(self, evaluator: Evaluator) -> Session:
        """An empty conversation."""
        return Session(evaluator, self.lengths, self.feed)

    def table(self, key: str) -> Rows:
        """A row table beside the package.

        Raises:
            InputError: missing or damaged.
        """
        if key not in self._tables:
            said = None if self.feeding is None else calls_of(self.feeding).tables.get(key)
            self._tables[key] = open_rows(self.package.path.parent / (said.file if said else f"{key}.rows"))
        return self._tables[key]

    @cached_property
    def _tables(self) -> dict[str, Rows]:
        return {}

    def lookup(self, ids: NDArray[np.int32]) -> tuple[Floats, Floats | None]:
        """What an app feeds for tokens: ``[T, H]`` and ``[T, L, P]``, from the tables."""
        first = self.table(FIRST).lookup(ids)
        if not self.dims.per_layer_width:
            return first, None
        shape = (len(ids), self.dims.layers, self.dims.per_layer_width)
        found = self.table(SECOND).lookup(ids)
        if found.size != np.prod(shape):
            raise InputError(f"{SECOND}.rows: {found.shape[1]} columns, config.json says {shape[1]} x {shape[2]}")
        return first, found.reshape(shape)

    @cached_property
    def trace(self) -> Trace:
        """See :attr:`Case.trace`; the lattice is the package's where the checkpoint leaves a choice."""
        if self.folder.storage == "integers":
            return Trace(self.profiled, self.ids)
        recovered = Recovered(self.folder)

        def source(key: str) -> Any:
            found = matrix(self.decode, key)
            if isinstance(found, str) or found.shape != self.folder.shape(f"{key}.weight"):
                return recovered(key)
            return recovered.nearest_to(key, found.rows)

        return Trace(self.reference, self.ids, source)
