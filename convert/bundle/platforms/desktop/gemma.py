"""Runs a bundle for ONNX Runtime on a laptop, from the files of its folder alone.

    from gemma import Gemma
    print(Gemma(".").ask("What is 12 + 72?"))

Needs onnxruntime, tokenizers and jinja2. The model is one graph for prompts and single tokens: it takes their ids and
the keys and values of before, and gives the logits of the last token and the keys and values that later ones look at.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from numpy.typing import NDArray
from tokenizers import Tokenizer

TEXT, IMAGES = "text.onnx", "image_features"
PIECE = 512  # tokens of a prompt that go in at once
TURN = "user"
Messages = Sequence[dict[str, Any]]


class FullError(Exception):
    """A prompt leaves no room in the context."""


class Gemma:
    """A model and one conversation's keys and values; a prompt that begins as the last one did is not read again.

    Args:
        folder: of the bundle.
        threads: of the processor; 0 takes one for each core.
    """

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        folder = Path(folder)
        model = json.loads((folder / "genai_config.json").read_text("utf-8"))
        self._model, self._search = model["model"], model["search"]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._template = _template(folder)
        # Of a model that takes images the decoder alone is named there, and both graphs lie in TEXT.
        name = TEXT if "vision" in self._model else Path(self._model["decoder"]["filename"]).name
        self._session = _session(folder / name, threads)
        self._outputs = [one.name for one in self._session.get_outputs()]
        self._shapes = {one.name: one.shape for one in self._session.get_inputs() if one.name.startswith("past_")}
        rows = [one for one in self._session.get_inputs() if one.name == IMAGES]
        self._images = {one.name: np.zeros((0, one.shape[1]), np.float32) for one in rows}  # this loop gives it none
        self._seen: list[int] = []
        self._past = self._nothing()

    @property
    def context(self) -> int:
        """Most tokens of a conversation."""
        return int(self._model["context_length"])

    @property
    def used(self) -> int:
        """Tokens that were read, answers included."""
        return len(self._seen)

    @property
    def stops(self) -> frozenset[int]:
        """Tokens that end an answer."""
        found = self._model["eos_token_id"]
        return frozenset(found if isinstance(found, list) else [found])

    def ask(self, text: str, limit: int = 512) -> str:
        """The answer to one message; the best token is taken every time."""
        return "".join(self.answer([{"role": TURN, "content": text}], limit))

    def answer(self, messages: Messages, limit: int = 512, sample: bool = False) -> Iterator[str]:
        """The text of an answer to a conversation, of ``role`` and ``content``; see :meth:`text`."""
        return self.text(self.prompt(messages), limit, sample)

    def text(
        self, prompt: Sequence[int], limit: int = 512, sample: bool = False, seed: int | None = None
    ) -> Iterator[str]:
        """The text of an answer, piece by piece.

        Args:
            prompt: its tokens.
            sample: tokens are drawn with the bundle's settings; otherwise the best one is taken.
            seed: of the draw; None draws otherwise each time.

        Raises:
            FullError: the prompt leaves no room.
        """
        said, shown = list[int](), ""
        for token in self.tokens(prompt, limit, sample, seed):
            said.append(token)
            whole = self._tokenizer.decode(said, skip_special_tokens=True)
            if not whole.endswith("\N{REPLACEMENT CHARACTER}"):  # a character of several tokens
                yield whole[len(shown) :]
                shown = whole
        rest = self._tokenizer.decode(said, skip_special_tokens=True)
        if rest != shown:
            yield rest[len(shown) :]

    def prompt(self, messages: Messages, **more: Any) -> list[int]:
        """Tokens of a conversation, ready for the answer; ``more`` goes to the template."""
        start = self._model["bos_token_id"]
        text = self._template.render(
            messages=messages, add_generation_prompt=True, bos_token=self._tokenizer.id_to_token(start), **more
        )
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids if ids[:1] == [start] else [start, *ids]

    def tokens(
        self, prompt: Sequence[int], limit: int = 512, sample: bool = False, seed: int | None = None
    ) -> Iterator[int]:
        """Tokens of an answer, see :meth:`text`; the one that stops it is not among them.

        Raises:
            FullError: the prompt leaves no room.
        """
        if len(prompt) >= self.context:
            raise FullError(f"the prompt has {len(prompt)} tokens, and {self.context} is the context")
        draw, logits = np.random.default_rng(seed), self.read(prompt)
        for _ in range(min(limit, self.context - len(prompt))):
            token = self._drawn(logits, draw) if sample else int(logits.argmax())
            if token in self.stops:
                return
            yield token
            if len(self._seen) == self.context:
                return
            logits = self.step(token)

    def read(self, prompt: Sequence[int]) -> NDArray[np.float32]:
        """Logits ``[vocab]`` after a prompt. What it shares with what was read before is kept where it is there.

        A sliding layer has lost rows once the conversation is longer than its window: from then on only a prompt that
        goes on where the last one ended is not read again.
        """
        same = 0
        while same < min(len(prompt) - 1, len(self._seen)) and prompt[same] == self._seen[same]:
            same += 1
        if same < len(self._seen):
            whole = all(held.shape[2] == len(self._seen) for held in self._past.values())
            same = same if whole else 0
            self._seen = self._seen[:same]
            self._past = {name: held[:, :, :same] for name, held in self._past.items()}
        logits = np.zeros(0, np.float32)
        for begin in range(same, len(prompt), PIECE):
            logits = self._run(prompt[begin : begin + PIECE])
        return logits

    def step(self, token: int) -> NDArray[np.float32]:
        """Logits ``[vocab]`` after one more token."""
        return self._run([token])

    def forget(self) -> None:
        """Begins another conversation."""
        self._seen, self._past = [], self._nothing()

    def _run(self, ids: Sequence[int]) -> NDArray[np.float32]:
        begin, end = len(self._seen), len(self._seen) + len(ids)
        given = {
            **self._past,
            **self._images,
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, end), np.int64),
            "position_ids": np.arange(begin, end, dtype=np.int64)[None],
        }
        made = dict(zip(self._outputs, self._session.run(None, given), strict=True))
        self._past = {name: made[name.replace("past_key_values", "present", 1)] for name in self._past}
        self._seen = [*self._seen, *ids]
        return made["logits"].reshape(-1)

    def _drawn(self, logits: NDArray[np.float32], draw: np.random.Generator) -> int:
        """A token by temperature, the best ``top_k`` and the likeliest ``top_p``."""
        heat, top_k, top_p = (self._search.get(name) for name in ("temperature", "top_k", "top_p"))
        scaled = logits.astype(np.float64) / (heat or 1.0)
        order = np.argsort(-scaled, kind="stable")[: top_k or None]
        weight = np.exp(scaled[order] - scaled[order[0]])
        share = weight / weight.sum()
        kept = np.cumsum(share) - share < (top_p or 1.0)
        return int(draw.choice(order[kept], p=share[kept] / share[kept].sum()))

    def _nothing(self) -> dict[str, NDArray[np.float32]]:
        return {name: np.zeros((1, shape[1], 0, shape[3]), np.float32) for name, shape in self._shapes.items()}


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _template(folder: Path) -> Any:
    """The chat template, rendered as transformers renders it."""

    def refuse(message: str) -> None:
        raise ValueError(message)

    kind = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    kind.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    kind.globals["raise_exception"] = refuse
    return kind.from_string((folder / "chat_template.jinja").read_text("utf-8"))


def main() -> int:
    parser = argparse.ArgumentParser(description="Asks a bundle for ONNX Runtime; without a question it reads lines.")
    parser.add_argument("question", nargs="*")
    parser.add_argument("--bundle", default=Path(__file__).parent, help="folder of the bundle (default: this one)")
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    gemma = Gemma(given.bundle, given.threads)
    if given.question:
        sys.stdout.write(gemma.ask(" ".join(given.question)) + "\n")
        return 0
    messages: list[dict[str, Any]] = []
    for line in sys.stdin:
        if line.strip():
            messages.append({"role": TURN, "content": line.strip()})
            said = []
            for piece in gemma.answer(messages):
                said.append(piece)
                sys.stdout.write(piece)
                sys.stdout.flush()
            sys.stdout.write("\n")
            messages.append({"role": "assistant", "content": "".join(said)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
