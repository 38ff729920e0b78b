"""tokenizer.json: that it is a tokenizer, and that every id it can give has a row in the model's tables.

No models of pydantic: half a million entries would be made into objects, of which two numbers are looked at.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from convert.checkpoint.strict_json import parse_object, read_bytes, require, shown
from convert.errors import CheckpointError

TOKENIZER = "tokenizer.json"
_LIMIT = 256 << 20  # bytes; Gemma 4's is 32 MB
_SAMPLE = "Hello, World: 1 + 1\n"
_AGAIN = "Take tokenizer.json from the model's repository"


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a checkpoint.

    Attributes:
        tokenizer: the ``tokenizers`` object, which the engine's own tokenizer is a binding of.
        added: texts of the added tokens, which are found in a text before anything else.
    """

    tokenizer: Any
    added: tuple[str, ...]

    def id(self, text: str) -> int | None:
        """The token that is written as ``text``; None when there is none."""
        found = self.tokenizer.token_to_id(text)
        return None if found is None else int(found)

    def text(self, token: int) -> str | None:
        """How a token is written; None when the model has a row that no token uses."""
        found = self.tokenizer.id_to_token(token)
        return None if found is None else str(found)

    @cached_property
    def _longest_first(self) -> tuple[str, ...]:
        return tuple(sorted(self.added, key=lambda text: (-len(text), text)))

    def leading(self, text: str) -> str | None:
        """The added token that ``text`` begins with; of several the longest."""
        return next((token for token in self._longest_first if text.startswith(token)), None)


def read_vocabulary(folder: Path, rows: int, asked: str) -> Vocabulary:
    """Reads and checks ``tokenizer.json``.

    The whole file is parsed twice, here and by ``tokenizers``: the library gives an added token another id than the
    file says, without an error, when the file's id is taken or leaves a gap.

    Args:
        rows: ``vocab_size``, the rows of the embedding. Rows without a token are fine.

    Raises:
        CheckpointError: no tokenizer, or a token without a row; names the token and its id.
    """
    require(folder, TOKENIZER, asked)
    data = read_bytes(folder / TOKENIZER, asked, _LIMIT)
    content = parse_object(data, TOKENIZER, asked)
    added = _added(content, asked)
    for text, token in (*_pieces(content, asked), *added.items()):
        if not 0 <= token < rows:
            found = f"{TOKENIZER} gives {shown(text)} the id {token}, and the model has {rows} rows (vocab_size)"
            raise CheckpointError(asked, found, "Resize the model's embeddings, or take the token out")
    tokenizer = _parse(data, asked)
    vocabulary = Vocabulary(tokenizer, tuple(sorted(added)))
    for text, token in added.items():
        if vocabulary.id(text) != token:
            found = f"{TOKENIZER} gives the added token {shown(text)} the id {token}, which loads as"
            raise CheckpointError(asked, f"{found} {vocabulary.id(text)}: the id is taken or leaves a gap", _AGAIN)
    return vocabulary


def _pieces(content: Mapping[str, Any], asked: str) -> Iterator[tuple[str, int]]:
    """The model's tokens that might lack a row: those of the lowest and the highest id."""
    model = content.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocab, dict) and vocab:
        if not all(type(token) is int for token in vocab.values()):
            text = next(text for text, token in vocab.items() if type(token) is not int)
            found = f"{TOKENIZER} gives {shown(text)} the id {shown(vocab[text])}, which is no whole number"
            raise CheckpointError(asked, found, _AGAIN)
        for text in (min(vocab, key=vocab.__getitem__), max(vocab, key=vocab.__getitem__)):
            yield text, vocab[text]
    elif isinstance(vocab, list) and vocab:  # Unigram: the place in the list is the id
        yield str(vocab[-1]), len(vocab) - 1
    else:
        raise CheckpointError(asked, f"{TOKENIZER} is no tokenizer: it has no model with a vocabulary", _AGAIN)


def _added(content: Mapping[str, Any], asked: str) -> dict[str, int]:
    out: dict[str, int] = {}
    entries = content.get("added_tokens") or []
    for entry in entries if isinstance(entries, list) else [entries]:
        text, token = (entry.get("content"), entry.get("id")) if isinstance(entry, dict) else (None, None)
        if not isinstance(text, str) or not text or type(token) is not int:
            found = f"{TOKENIZER} has an added token {shown(entry)}, which lacks its text or a whole number as its id"
            raise CheckpointError(asked, found, _AGAIN)
        out[text] = token
    return out


def _parse(data: bytes, asked: str) -> Any:
    """The tokenizer, after it has encoded a line; what the library says is passed on in one line."""
    from tokenizers import Tokenizer

    try:
        with _quiet():
            made = Tokenizer.from_str(data.decode("utf-8"))
            encoded = made.encode(_SAMPLE, add_special_tokens=False).ids
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the library is no Exception
        raise CheckpointError(asked, f"{TOKENIZER} is no tokenizer: {shown(str(error))}", _AGAIN) from error
    if not encoded:
        raise CheckpointError(asked, f"{TOKENIZER} gives no token for {shown(_SAMPLE)}", _AGAIN)
    return made


@contextmanager
def _quiet() -> Iterator[None]:
    """Within this, native code writes nothing to stderr: a panic would print its stack there."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        with suppress(OSError):
            os.close(kept)
