"""Runs a bundle for ONNX Runtime on a laptop, from the files of its folder alone.

    from gemma import Gemma
    print(Gemma(".").ask("What is 12 + 72?"))

Needs onnxruntime, tokenizers and jinja2, and pillow to show images. The model is one graph for prompts and single
tokens: it takes their ids and the keys and values of before, and gives the logits of the last token and the keys and
values that later ones look at. Where a bundle takes images, another graph makes rows of one, and the first puts these
in the places of the image's tokens.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from numpy.typing import NDArray
from tokenizers import Tokenizer

if TYPE_CHECKING or __package__:
    from .pictures import ImageError, call_of, cut, told_in
else:  # in the folder of a bundle
    from pictures import ImageError, call_of, cut, told_in

TEXT, IMAGES = "text.onnx", "image_features"
PIECE = 512  # tokens of a prompt that go in at once
TURN, COMMAND = "user", "/image"
Messages = Sequence[dict[str, Any]]
Floats = NDArray[np.float32]


class FullError(Exception):
    """A prompt leaves no room in the context."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as the model takes it.

    Attributes:
        size: width and height in pixels, as it was cut.
        rows: ``[n, hidden]``, in the place of one token each.
    """

    size: tuple[int, int]
    rows: Floats


class Gemma:
    """A model and one conversation's keys and values; a prompt that begins as the last one did is not read again.

    Args:
        folder: of the bundle.
        threads: of the processor; 0 takes one for each core.
    """

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        folder = self._folder = Path(folder)
        self._threads = threads
        model = json.loads((folder / "genai_config.json").read_text("utf-8"))
        self._model, self._search = model["model"], model["search"]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._template = _template(folder)
        # Of a model that takes images the decoder alone is named there, and both graphs lie in TEXT.
        name = TEXT if "vision" in self._model else Path(self._model["decoder"]["filename"]).name
        self._session = _session(folder / name, threads)
        self._outputs = [one.name for one in self._session.get_outputs()]
        self._shapes = {one.name: one.shape for one in self._session.get_inputs() if one.name.startswith("past_")}
        widths = [one.shape[1] for one in self._session.get_inputs() if one.name == IMAGES]
        self._sees, self._no_rows = bool(widths), np.zeros((0, widths[0] if widths else 0), np.float32)
        self._told = told_in(folder)
        self._tower: onnxruntime.InferenceSession | None = None
        self._seen: list[int] = []
        self._rows = self._no_rows  # of the images among them
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
    def images(self) -> int | None:
        """Tokens that an image becomes, at most; None where the bundle takes no images."""
        return int(self._told["tokens"]) if self._told else None

    @property
    def stops(self) -> frozenset[int]:
        """Tokens that end an answer."""
        found = self._model["eos_token_id"]
        return frozenset(found if isinstance(found, list) else [found])

    def ask(self, text: str, limit: int = 512, pictures: Sequence[Picture] = ()) -> str:
        """The answer to one message, with pictures before it; the best token is taken every time."""
        return "".join(self.answer([message(text, pictures)], limit))

    def answer(self, messages: Messages, limit: int = 512, sample: bool = False) -> Iterator[str]:
        """The text of an answer to a conversation, of ``role`` and ``content``; see :func:`message`, :meth:`text`."""
        return self.text(self.prompt(messages), limit, sample, pictures=pictures_of(messages))

    def image(self, source: str | Path | bytes) -> Picture:
        """An image for :func:`message`, from a file or its content.

        Raises:
            ImageError: the bundle takes no images, pillow is missing, or the file is no image that can be decoded.
        """
        if self._told is None or not self._sees:
            raise ImageError("this bundle takes no images. Build one of a model with a vision tower")
        call, image = call_of(self._told), cut(source, self._told)
        if self._tower is None:
            self._tower = _session(self._folder / Path(call["model"]).name, self._threads)
        sources = {one["source"]: one["name"] for one in call["inputs"]}
        given = {sources["patches"]: image.patches[None], sources["positions"]: image.positions[None]}
        (rows,) = self._tower.run([call["outputs"][0]["name"]], given)
        return Picture(image.size, rows)

    def text(
        self,
        prompt: Sequence[int],
        limit: int = 512,
        sample: bool = False,
        seed: int | None = None,
        pictures: Sequence[Picture] = (),
    ) -> Iterator[str]:
        """The text of an answer, piece by piece.

        Args:
            prompt: its tokens.
            sample: tokens are drawn with the bundle's settings; otherwise the best one is taken.
            seed: of the draw; None draws otherwise each time.
            pictures: in the prompt, in their order.

        Raises:
            FullError: the prompt leaves no room.
            ImageError: it has other places for images than the pictures take.
        """
        said, shown = list[int](), ""
        for token in self.tokens(prompt, limit, sample, seed, pictures):
            said.append(token)
            whole = self._tokenizer.decode(said, skip_special_tokens=True)
            if not whole.endswith("\N{REPLACEMENT CHARACTER}"):  # a character of several tokens
                yield whole[len(shown) :]
                shown = whole
        rest = self._tokenizer.decode(said, skip_special_tokens=True)
        if rest != shown:
            yield rest[len(shown) :]

    def prompt(self, messages: Messages, **more: Any) -> list[int]:
        """Tokens of a conversation, ready for the answer; ``more`` goes to the template.

        Raises:
            ImageError: the text has other places for images than the messages have images.
        """
        start = self._model["bos_token_id"]
        text = self._template.render(
            messages=messages, add_generation_prompt=True, bos_token=self._tokenizer.id_to_token(start), **more
        )
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return self._spread(ids if ids[:1] == [start] else [start, *ids], pictures_of(messages))

    def tokens(
        self,
        prompt: Sequence[int],
        limit: int = 512,
        sample: bool = False,
        seed: int | None = None,
        pictures: Sequence[Picture] = (),
    ) -> Iterator[int]:
        """Tokens of an answer, see :meth:`text`; the one that stops it is not among them.

        The token in whose place a row of an image stands is never one of them.

        Raises:
            FullError, ImageError: see :meth:`text`.
        """
        if len(prompt) >= self.context:
            of_images = sum(len(picture.rows) for picture in pictures)
            among = f", {of_images} of them for images," if of_images else ","
            raise FullError(f"the prompt has {len(prompt)} tokens{among} and {self.context} is the context")
        draw, logits = np.random.default_rng(seed), self.read(prompt, pictures)
        for _ in range(min(limit, self.context - len(prompt))):
            if self._each >= 0:
                logits[self._each] = -np.inf
            token = self._drawn(logits, draw) if sample else int(logits.argmax())
            if token in self.stops:
                return
            yield token
            if len(self._seen) == self.context:
                return
            logits = self.step(token)

    def read(self, prompt: Sequence[int], pictures: Sequence[Picture] = ()) -> Floats:
        """Logits ``[vocab]`` after a prompt. What it shares with what was read before is kept where it is there.

        A sliding layer has lost rows once the conversation is longer than its window: from then on only a prompt that
        goes on where the last one ended is not read again.

        Raises:
            ImageError: see :meth:`text`.
        """
        rows = np.concatenate([self._no_rows, *(picture.rows for picture in pictures)])
        places = prompt.count(self._each)
        if places != len(rows):
            raise ImageError(f"the prompt has {places} places for rows of images, and the images have {len(rows)}")
        same = self._same(prompt, rows)
        if same < len(self._seen):
            whole = all(held.shape[2] == len(self._seen) for held in self._past.values())
            same = same if whole else 0
            self._seen = self._seen[:same]
            self._rows = self._rows[: self._seen.count(self._each)]
            self._past = {name: held[:, :, :same] for name, held in self._past.items()}
        logits = np.zeros(0, np.float32)
        for begin in range(same, len(prompt), PIECE):
            ids, done = prompt[begin : begin + PIECE], len(self._rows)
            logits = self._run(ids, rows[done : done + ids.count(self._each)])
        return logits

    def step(self, token: int) -> Floats:
        """Logits ``[vocab]`` after one more token."""
        return self._run([token], self._no_rows)

    def forget(self) -> None:
        """Begins another conversation."""
        self._seen, self._rows, self._past = [], self._no_rows, self._nothing()

    @property
    def _each(self) -> int:
        """The token in whose place a row of an image stands; -1 where the bundle takes no images."""
        return int(self._told["around"]["each"]["id"]) if self._told else -1

    def _spread(self, ids: list[int], pictures: Sequence[Picture]) -> list[int]:
        """Tokens with one for each row of an image and those around it, where the template prints one for an image."""
        if ids.count(self._each) != len(pictures):
            found = f"the text has {ids.count(self._each)} places for images, and there are {len(pictures)} images"
            raise ImageError(f"{found}. Leave the name of the image's token out of it")
        left, out = iter(pictures), list[int]()
        for token in ids:
            if self._told and token == self._each:
                begin, end = (int(self._told["around"][name]["id"]) for name in ("begin", "end"))
                out += [begin, *[token] * len(next(left).rows), end]
            else:
                out.append(token)
        return out

    def _same(self, prompt: Sequence[int], rows: Floats) -> int:
        """How many of the first tokens are those that were read, with the same images; the last one is read anew."""
        same, images = 0, list[int]()
        while same < min(len(prompt) - 1, len(self._seen)) and prompt[same] == self._seen[same]:
            if prompt[same] == self._each:
                images.append(same)
            same += 1
        others = np.flatnonzero((rows[: len(images)] != self._rows[: len(images)]).any(axis=1))
        return images[others[0]] if others.size else same

    def _run(self, ids: Sequence[int], rows: Floats) -> Floats:
        begin, end = len(self._seen), len(self._seen) + len(ids)
        given = {
            **self._past,
            **({IMAGES: rows} if self._sees else {}),
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, end), np.int64),
            "position_ids": np.arange(begin, end, dtype=np.int64)[None],
        }
        made = dict(zip(self._outputs, self._session.run(None, given), strict=True))
        self._past = {name: made[name.replace("past_key_values", "present", 1)] for name in self._past}
        self._seen, self._rows = [*self._seen, *ids], np.concatenate([self._rows, rows])
        return made["logits"].reshape(-1)

    def _drawn(self, logits: Floats, draw: np.random.Generator) -> int:
        """A token by temperature, the best ``top_k`` and the likeliest ``top_p``."""
        heat, top_k, top_p = (self._search.get(name) for name in ("temperature", "top_k", "top_p"))
        scaled = logits.astype(np.float64) / (heat or 1.0)
        order = np.argsort(-scaled, kind="stable")[: top_k or None]
        weight = np.exp(scaled[order] - scaled[order[0]])
        share = weight / weight.sum()
        kept = np.cumsum(share) - share < (top_p or 1.0)
        return int(draw.choice(order[kept], p=share[kept] / share[kept].sum()))

    def _nothing(self) -> dict[str, Floats]:
        return {name: np.zeros((1, shape[1], 0, shape[3]), np.float32) for name, shape in self._shapes.items()}


def message(text: str, pictures: Sequence[Picture] = ()) -> dict[str, Any]:
    """A message of a conversation, with pictures before its text."""
    if not pictures:
        return {"role": TURN, "content": text}
    parts = [{"type": "image", "image": picture} for picture in pictures]
    return {"role": TURN, "content": [*parts, {"type": "text", "text": text}]}


def pictures_of(messages: Messages) -> list[Picture]:
    """The pictures of a conversation, in their order."""
    parts = [part for said in messages if isinstance(said["content"], list) for part in said["content"]]
    return [part["image"] for part in parts if part["type"] == "image"]


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
    parser = argparse.ArgumentParser(
        description="Asks a bundle for ONNX Runtime; without a question it reads lines, each a message; a line "
        f"{COMMAND} FILE shows an image before the next one."
    )
    parser.add_argument("question", nargs="*")
    parser.add_argument("--bundle", default=Path(__file__).parent, help="folder of the bundle (default: this one)")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument(
        "--image", action="append", default=[], metavar="FILE", help="shown before the question; again for another one"
    )
    given = parser.parse_args()
    gemma = Gemma(given.bundle, given.threads)
    try:
        pictures = [gemma.image(name) for name in given.image]
        if given.question:
            sys.stdout.write(gemma.ask(" ".join(given.question), pictures=pictures) + "\n")
            return 0
    except (FullError, ImageError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return _lines(gemma, pictures)


def _lines(gemma: Gemma, pictures: list[Picture]) -> int:
    """A conversation, a message a line; what cannot be answered is told, and the next line is read. The exit code."""
    messages, code = list[dict[str, Any]](), 0
    for line in map(str.strip, sys.stdin):
        try:
            if line.partition(" ")[0] == COMMAND:
                name = line.removeprefix(COMMAND).strip().strip("'\"")  # terminals quote what is dropped on them
                if not name:
                    raise ImageError(f"{COMMAND} names no file. Say {COMMAND} FILE")
                pictures = [*pictures, gemma.image(name)]
            elif line:
                asked, pictures = [*messages, message(line, pictures)], []
                said = list[str]()
                for piece in gemma.answer(asked):
                    said.append(piece)
                    sys.stdout.write(piece)
                    sys.stdout.flush()
                sys.stdout.write("\n")
                messages = [*asked, {"role": "assistant", "content": "".join(said)}]
        except (FullError, ImageError) as error:
            sys.stderr.write(f"error: {error}\n")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
