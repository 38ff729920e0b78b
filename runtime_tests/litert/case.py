"""One ``.litertlm``, one checkpoint: what the rungs for LiteRT share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from runtime_tests.case import Case
from runtime_tests.errors import InputError
from runtime_tests.litert.cuts.one_by_one import OneByOne
from runtime_tests.litert.inventory import shares
from runtime_tests.litert.runners.greedy import greedy
from runtime_tests.litert.runners.interpreter import interpret
from runtime_tests.litert.runners.protocol import Runner
from runtime_tests.litert.weights.lattice import lattices
from runtime_tests.litert.weights.match import is_foreign, recognize
from runtime_tests.litert.weights.matrices import matrices
from runtime_tests.measures.evidence import Share
from runtime_tests.readers.checkpoint import Folder, open_checkpoint
from runtime_tests.readers.litert.litertlm import LiteRtLm
from runtime_tests.readers.litert.tflite import Tflite, open_tflite
from runtime_tests.reference.model import Ids
from runtime_tests.reference.vision.tower import Tower
from runtime_tests.reference.widening import Source
from runtime_tests.weights.recovered import chosen_by

DECODER, EMBEDDER, PER_LAYER = "tf_lite_prefill_decode", "tf_lite_embedder", "tf_lite_per_layer_embedder"
DRAFTER = "tf_lite_mtp_drafter"
ENCODER, ADAPTER, IMAGE_END = "tf_lite_vision_encoder", "tf_lite_vision_adapter", "tf_lite_end_of_vision"
OF_TEXT = (DECODER, EMBEDDER, PER_LAYER)  # whose weights a file of another maker has to be searched for


class LitertCase(Case):
    """As :class:`Case`, for a ``.litertlm``.

    Attributes:
        artifact: the opened file.
        recognized: matrices of a file with names of its own, by section: see match.py.
    """

    target = "litert"
    artifact: LiteRtLm

    def __init__(
        self,
        artifact: LiteRtLm,
        folder: Folder,
        threads: int | None = None,
        evaluation: Path | None = None,
        float_model: Path | None = None,
        questions: int | None = None,
    ) -> None:
        super().__init__(artifact, folder, threads, evaluation, float_model, questions)
        self.recognized: dict[str, dict[str, float]] = {}
        self._models: dict[str, Tflite] = {}
        self._interpreters: dict[str, Runner] = {}

    def like(self, artifact: Any) -> Self:
        """As :meth:`Case.like`; the tower is the checkpoint's alone."""
        other = super().like(artifact)
        for name in ("vision", "tower"):
            if name in self.__dict__:
                setattr(other, name, getattr(self, name))
        return other

    def model(self, name: str) -> Tflite:
        """A TFLite section by its model type, under the checkpoint's names."""
        if name not in self._models:
            model = open_tflite(self.artifact.model(name).data, f"{self.artifact.path.name}/{name}")
            if name in OF_TEXT and is_foreign(model, self.folder):
                wanted = [item for item in matrices(self.folder) if self.home(item.name) == name]
                if name == DECODER and "lm_head.weight" not in {item.name for item in wanted}:
                    wanted += [item for item in matrices(self.folder) if item.name == "embed_tokens.weight"]
                naming = recognize(model, self.folder, wanted)
                model, self.recognized[name] = naming.model, naming.found
            self._models[name] = model
        return self._models[name]

    @property
    def holds_drafter(self) -> bool:
        return DRAFTER in self.artifact.models()

    @property
    def holds_images(self) -> bool:
        """Whether the file takes images."""
        return ENCODER in self.artifact.models()

    @cached_property
    def vision(self) -> Folder:
        """The checkpoint's vision tower and its projection into the text decoder."""
        return open_checkpoint(self.folder.path, "vision")

    @cached_property
    def tower(self) -> Tower:
        """transformers' own of them, with the file's weights where these are what the checkpoint rounded: see rung 0.

        Raises:
            InputError: the checkpoint has none.
        """
        exact = self.folder.storage == "integers" or self.foreign
        found = {} if exact else dict(lattices(self.model(ENCODER), min(self.model(ENCODER).signatures, default="")))
        return Tower(self.folder.path, self.threads, {key: item.rows(0, item.shape[0]) for key, item in found.items()})

    @property
    def foreign(self) -> bool:
        """Whether the decoder's weights had to be recognized by their values."""
        self.model(DECODER)
        return DECODER in self.recognized

    def home(self, name: str) -> str:
        """The section that holds a tensor: tables have their own where the file has such sections."""
        section = {"embed_tokens": EMBEDDER, "embed_tokens_per_layer": PER_LAYER}.get(name.removesuffix(".weight"))
        return section if section in self.artifact.models() else DECODER

    def interpreter(self, name: str) -> Runner:
        """The interpreter of a section; made once, for it packs the weights anew."""
        if name not in self._interpreters:
            apart = self.large and name in (DECODER, ENCODER)
            section = self.artifact.model(name)
            made = OneByOne(self.model(name), self.threads) if apart else interpret(section, threads=self.threads)
            self._interpreters[name] = made
        return self._interpreters[name]

    def release(self) -> None:
        """As :meth:`Case.release`, and of packed weights.

        Tables stay: their interpreters hold a mapped copy, of which a rung reads few pages, and writing it takes long.
        """
        if self.large:
            for name in (DECODER, ENCODER):
                self._interpreters.pop(name, None)
        super().release()

    def greedy(self, prompts: Sequence[Ids], steps: Sequence[int]) -> list[Ids]:
        """The artifact's greedy tokens after each prompt, at most so many; a stop token ends them and is included."""

        def section(name: str) -> tuple[Runner, Tflite]:
            return self.interpreter(name), self.model(name)

        second = section(PER_LAYER) if self.dims.per_layer_width else None
        decoder, tables = section(DECODER), (section(EMBEDDER), second)
        return greedy(decoder, tables, prompts, steps, self.stops, self.large)

    @cached_property
    def context(self) -> int:
        """Positions of the KV cache."""
        graph = self.model(DECODER).subgraph("decode")
        index = self.model(DECODER).signatures["decode"].inputs.get("mask")
        if index is None:
            raise InputError(f"{self.artifact.path.name}: decode has no input mask")
        return graph.tensors[index].shape[3]

    @cached_property
    def cache_rows(self) -> dict[str, int]:
        """Rows of each cache that decode takes, by name."""
        graph, entry = self.model(DECODER).subgraph("decode"), self.model(DECODER).signatures["decode"]
        shapes = {n: graph.tensors[i].shape for n, i in entry.inputs.items() if n.startswith("kv_cache_")}
        return {name: shape[2 if "_k_" in name else 3] for name, shape in shapes.items() if len(shape) == 4}

    @cached_property
    def cache_scales(self) -> dict[int, tuple[float, float]]:
        """Key and value scale of each KV-owning layer when the artifact's cache is int8; empty when it is float32."""
        graph, entry = self.model(DECODER).subgraph("decode"), self.model(DECODER).signatures["decode"]
        out: dict[int, tuple[float, float]] = {}
        for number, owner in enumerate(self.dims.owners):
            caches = [entry.inputs.get(f"kv_cache_{x}_{number}") for x in "kv"]
            pair = [graph.tensors[index].quantization for index in caches if index is not None]
            found = [float(item.scales[0]) for item in pair if item is not None and item.scales.size == 1]
            if len(found) == 2:
                out[owner.layer] = (found[0], found[1])
        return out

    def lattice_source(self) -> Source:
        """In blocks where the checkpoint leaves a choice, its lattice is the artifact's."""
        return chosen_by(self.folder, dict(lattices(self.model(DECODER))))

    def shares(self) -> list[Share]:
        """See inventory.py."""
        return shares(self.artifact, self.model)
