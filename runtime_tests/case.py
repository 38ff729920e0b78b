"""What every target's rungs share: the reference's runs, each made once and only when asked for, and the questions."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from runtime_tests.budgets import Budget, budget_for
from runtime_tests.errors import CannotRunError, InputError
from runtime_tests.measures.evidence import Share
from runtime_tests.memory.pages import release_file
from runtime_tests.memory.trim import trim
from runtime_tests.questions.evaluation import read_evaluation
from runtime_tests.questions.kept import Kept
from runtime_tests.questions.stops import Stops, read_stops
from runtime_tests.readers.checkpoint import Folder
from runtime_tests.readers.dimensions import Dimensions
from runtime_tests.readers.feeding import Feeding
from runtime_tests.readers.modules.drafter import DrafterFolder
from runtime_tests.reference.floor import DRAWS, Floor, measure, widen
from runtime_tests.reference.model import Ids, Reference
from runtime_tests.reference.trace import Trace
from runtime_tests.reference.widening import Source
from runtime_tests.weights.recovered import Recovered

DECODE_STEPS = 64
SMALL = 64 << 20  # bytes; below it a second thread waits more than it works
LARGE = 512 << 20  # bytes; from here on what reads all weights for every token is bounded


class Artifact(Protocol):
    """A model of any target: a file, or a folder of files."""

    @property
    def path(self) -> Path: ...

    @property
    def size(self) -> int:
        """Bytes."""

    def sha256(self) -> str:
        """Hexadecimal digest of its bytes."""


class Continued(Protocol):
    """A prompt that the reference has continued, see ``runtime_tests.rungs.continuations``."""

    @property
    def ids(self) -> Ids: ...

    @property
    def new(self) -> Ids: ...

    @property
    def best(self) -> Ids: ...

    @property
    def logits(self) -> NDArray[np.float32]: ...


class Case(ABC):
    """One artifact, one checkpoint. A target's room derives its own, with what opens and runs the artifact.

    Attributes:
        target: the folder here whose ``rungs/`` are climbed.
        elsewhere: rungs that need another operating system than this one.
        artifact: the opened model.
        folder: the opened checkpoint.
        continuations: what rung 3 and golden.json share, in the prompts' order.
        further: of conversations, what rung 3 read on the way, for golden.json.
        heard: tokens that follow a prompt, by its bytes: what rungs 3 and 4 were told and golden.json asks again.
        evaluation: the checkpoint's questions, or those given instead; None when there are none.
        own: the checkpoint's questions, all of them, whatever is asked; None when it brings none.
        float_model: folder of the float model before QAT, when there is one to compare with.
        kept_at: where rung 4 keeps the answers so far, so that a run that was killed goes on; None for nowhere.
        kept: those answers, once the rung has begun.
        tell: says a line to whoever watches.
        threads: CPU threads for both sides; by default 1 for a small artifact, else 2.
        feeding: what the bundle says of how its model is fed; None for a bare model.
        drafter: the opened checkpoint of the drafter; None where there is none, or it was not given.
    """

    feeding: Feeding | None = None
    drafter: DrafterFolder | None = None
    target: ClassVar[str]
    elsewhere: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        artifact: Artifact,
        folder: Folder,
        threads: int | None = None,
        evaluation: Path | None = None,
        float_model: Path | None = None,
        questions: int | None = None,
    ) -> None:
        """Args:
        evaluation: a file of questions to ask instead of the checkpoint's.
        questions: how many of the questions to ask; None for all.
        """
        self.artifact, self.folder = artifact, folder
        self.threads = threads or (1 if artifact.size < SMALL else 2)
        self.continuations: list[Any] = []
        self.further: list[Any] = []
        self.heard: dict[bytes, Ids] = {}
        self.own, self.float_model = read_evaluation(folder.path), float_model
        self.evaluation = self.own if evaluation is None else read_evaluation(folder.path, evaluation)
        if questions is not None and self.evaluation is not None:
            self.evaluation = self.evaluation.drawn(questions)
        self.kept_at: Path | None = None
        self.kept: Kept | None = None
        self.tell: Callable[[str], None] = lambda _: None

    def like(self, artifact: Any) -> Self:
        """A case of another artifact of the same checkpoint, to judge many of them without running the reference anew.

        What the reference has done here is taken over if the other artifact asks the same of it: the same tokens, the
        same precision of the cache. Not q4_0 insides: where the lattice leaves a choice, they follow the artifact.
        """
        other = type(self)(artifact, self.folder, self.threads)
        other.drafter = self.drafter
        with contextlib.suppress(InputError):  # a damaged artifact shall be told of when it is judged
            if np.array_equal(self.ids, other.ids) and self.cache_scales == other.cache_scales:
                exact = self.folder.storage == "integers"
                shared = ("reference", "_measured", "logits", "plain_logits", "lattice_logits", "floor")
                for name in (*shared, *(("trace",) if exact else ())):
                    if name in self.__dict__:
                        setattr(other, name, getattr(self, name))
                other.continuations = self.continuations if exact else []
                other.further = self.further if exact else []
        return other

    @property
    @abstractmethod
    def context(self) -> int:
        """Positions of the KV cache."""

    @abstractmethod
    def greedy(self, prompts: Sequence[Ids], steps: Sequence[int]) -> list[Ids]:
        """The artifact's greedy tokens after each prompt, at most so many; a stop token ends them and is included.

        Raises:
            CannotRunError: it takes longer than the reference, which is asked instead.
        """

    @property
    def cache_scales(self) -> dict[int, tuple[float, float]]:
        """Key and value scale of each KV-owning layer when the artifact's cache is int8; empty when it holds floats."""
        return {}

    @property
    def foreign(self) -> bool:
        """Whether another maker's file is judged, whose weights had to be recognized by their values."""
        return False

    @property
    def holds_drafter(self) -> bool:
        """Whether a drafter lies in the artifact."""
        return False

    def shares(self) -> list[Share]:
        """All bytes of the artifact, biggest share first; empty for one whose bytes the manifest lists by file."""
        return []

    def lattice_source(self) -> Source:
        """The weights that the reference has in :attr:`trace`, where a checkpoint stores them rounded."""
        return Recovered(self.folder)

    @property
    def large(self) -> bool:
        """Whether the artifact is so large that weights are not to be read anew for every token."""
        return self.artifact.size >= LARGE

    @property
    def budget(self) -> Budget:
        return budget_for(self.folder.static_activations, self.folder.storage)

    def arithmetic(self, found: Sequence[Continued]) -> tuple[float, float]:
        """How far an artifact's own arithmetic moves a logit of continued prompts: at most, and on average each step's
        farthest."""
        return 0.0, 0.0

    @property
    def dims(self) -> Dimensions:
        """The text decoder's sizes."""
        return self.folder.dims

    @cached_property
    def named_stops(self) -> Stops:
        """The start token, and every stop token with those who name it."""
        return read_stops(self.folder.path, self.folder.transformers, self._templates)

    @property
    def stops(self) -> list[int]:
        """Stop tokens, sorted."""
        return list(self.named_stops.named)

    @property
    def start(self) -> int:
        """The start token."""
        return self.named_stops.start

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.folder.path / "tokenizer.json"))

    @property
    def specials(self) -> dict[str, int]:
        """The added tokens of tokenizer.json, by text."""
        found = self._tokenizer.get_added_tokens_decoder()
        return {token.content: number for number, token in found.items()}

    def spelled(self, token: int) -> str | None:
        """How tokenizer.json writes a token; None where it has none of this id."""
        found = self._tokenizer.id_to_token(token)
        return None if found is None else str(found)

    def token(self, text: str) -> int | None:
        """The token that tokenizer.json writes so; None where it has none."""
        found = self._tokenizer.token_to_id(text)
        return None if found is None else int(found)

    def tokenize(self, text: str) -> list[int]:
        """Token ids by the checkpoint's tokenizer.json, without a start token."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def detokenize(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=False))

    @cached_property
    def _templates(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder.path)

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        reply: bool = True,
        **context: Any,
    ) -> str:
        """A conversation through the checkpoint's own chat template, without the start token.

        Args:
            messages: as transformers takes them: ``{"role": "user" or "assistant", "content": text}`` and so on.
            tools: declared tools, in OpenAI's form.
            reply: whether the model's turn is opened at the end.
            context: further variables of the template.

        Raises:
            Exception: the template refuses the conversation; of any kind.
        """
        text = self._templates.apply_chat_template(
            list(messages), tools=list(tools) or None, tokenize=False, add_generation_prompt=reply, **context
        )
        return str(text).removeprefix(self._templates.bos_token or "")

    @property
    def template(self) -> str:
        """The checkpoint's own chat template; empty when it has none."""
        try:
            return str(self._templates.get_chat_template())
        except ValueError:  # transformers' word for a tokenizer without one
            return ""

    def draws(self, usual: int) -> int:
        """How many seeded disturbances make a noise floor.

        Each costs a pass over all weights. Of a large model fewer will do: the largest change among its hundred
        thousands of logits scatters little from draw to draw.
        """
        return usual if not self.large else (usual + 1) // 2

    def release(self) -> None:
        """Lets go of what a large artifact's judge can have again: free memory, pages of the weights.

        Not within :meth:`smooth`, which has changed some of these pages.
        """
        if self.large:
            if "trace" in self.__dict__:
                self.trace.forget()
            trim()
            for name in self.folder.weights:
                release_file((self.folder.path / name).resolve())

    @property
    def window(self) -> int:
        """Positions that a sliding layer sees."""
        return self.dims.window

    @cached_property
    def prompt(self) -> int:
        """Tokens of the forced sequence that are prefilled: odd, and with the decode steps beyond the window."""
        wanted = max(45, self.window + self.window // 2 + 9 - DECODE_STEPS)
        return self.shared_out(wanted)

    def shared_out(self, wanted: int) -> int:
        """So many tokens to prefill, or what the context leaves for it; at least a third of a short context."""
        return int(max(3, min(wanted, max(self.context - DECODE_STEPS, self.context // 3))))

    @cached_property
    def ids(self) -> Ids:
        """The forced sequence: the start token, then seeded tokens of the whole vocabulary, ``[T]``.

        Without the places for images and sound: a whole Gemma 4 in transformers embeds the pad token there.
        """
        count = min(self.prompt + DECODE_STEPS, self.context)
        config = self.folder.transformers
        start = config.get_text_config().bos_token_id or 0
        drawn = np.random.default_rng(20260601).integers(0, self.dims.vocab, count - 1)
        places = [getattr(config, f"{kind}_token_id", None) for kind in ("image", "audio", "video")]
        drawn[np.isin(drawn, [place for place in places if place is not None])] = start
        return np.concatenate([[start], drawn]).astype(np.int32)

    @cached_property
    def reference(self) -> Reference:
        """transformers; its cache is as precise as the artifact's."""
        made = Reference(self.folder.path, self.threads)
        made.cache_scales = self.cache_scales
        return made

    @cached_property
    def logits(self) -> NDArray[np.float32]:
        """The reference's logits of the forced decode steps, ``[T - prompt, V]``."""
        return self._measured[0]

    @cached_property
    def plain_logits(self) -> NDArray[np.float32]:
        """The logits with a float32 cache, whatever the artifact's is."""
        if not self.cache_scales:
            return self.logits
        self.reference.cache_scales = {}
        try:
            return self.reference.logits(self.ids, first=self.prompt)
        finally:
            self.reference.cache_scales = self.cache_scales

    @contextlib.contextmanager
    def smooth(self) -> Iterator[None]:
        """Within this, the reference rounds nothing: a float32 cache, and no static activation scale."""
        self.reference.cache_scales = {}
        try:
            with self.reference.activation_steps(0):
                yield
        finally:
            self.reference.cache_scales = self.cache_scales

    @property
    def lattice_fault(self) -> str:
        """Why there is no lattice to compare with (recovered.py); empty when there is."""
        return "the checkpoint stores its integers" if self.folder.storage == "integers" else ""

    @contextlib.contextmanager
    def on_lattice(self) -> Iterator[None]:
        """Within this, the reference has the weights that a q4_0 checkpoint's are the rounding of (recovered.py)."""
        if self.lattice_fault:
            raise CannotRunError(self.lattice_fault)
        with self.reference.weights(Recovered(self.folder)):
            yield

    @cached_property
    def trace(self) -> Trace:
        """The reference's insides over the forced sequence, layer by layer; for q4_0 with its weights on the lattice.

        In blocks where the checkpoint leaves a choice, that lattice is the artifact's.
        """
        exact = self.folder.storage == "integers"
        return Trace(self.reference, self.ids, None if exact else self.lattice_source())

    @cached_property
    def lattice_logits(self) -> NDArray[np.float32]:
        """The logits of the decode steps with a q4_0 checkpoint's weights before their rounding for storage.

        Of a large model rung 2a has run all layers with these weights already, so they are those of :attr:`trace`.
        """
        if self.large and not self.lattice_fault:
            return self.trace.logits(range(self.prompt, len(self.ids)))
        with self.on_lattice():
            return self.reference.logits(self.ids, first=self.prompt)

    @property
    def stored_floor(self) -> Floor:
        """The noise floor over the forced decode steps, with the weights as they are stored."""
        return self._measured[1]

    @cached_property
    def _measured(self) -> tuple[NDArray[np.float32], Floor]:
        return measure(self.reference, self.ids, self.prompt, self.draws(DRAWS))

    @cached_property
    def floor(self) -> Floor:
        """The noise floor over the forced decode steps; for q4_0 with the rounding of the stored weights."""
        if self.lattice_fault:
            return self.stored_floor
        return widen(self.stored_floor, self.logits, self.lattice_logits)

    @property
    def measured_floor(self) -> Floor | None:
        """:attr:`floor`, if anybody has asked for it."""
        found: Floor | None = self.__dict__.get("floor")
        return found
