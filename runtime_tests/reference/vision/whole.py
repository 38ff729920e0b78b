"""A whole Gemma 4 that sees images: transformers' own forward over the decoder and the tower that are loaded anyway.

The tower makes the rows of an image once; the model is given them as it takes encoders' outputs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.readers.dimensions import read_config
from runtime_tests.readers.module import known
from runtime_tests.reference.floor import RELATIVE
from runtime_tests.reference.model import Floats, Ids, Reference
from runtime_tests.reference.vision.patches import Patches
from runtime_tests.reference.vision.tower import Tower


class Whole:
    """The model of a checkpoint.

    Attributes:
        image, begin, end: token in whose place a row of an image stands, and those around an image.
        padding: the token whose per-layer row an image's rows have.
    """

    def __init__(self, folder: Path, reference: Reference, tower: Tower) -> None:
        import torch
        import transformers

        config = read_config(folder)
        setattr(config, str(known()["audio"].config), None)  # which nobody asks
        self.image, self.begin, self.end = config.image_token_id, config.boi_token_id, config.eoi_token_id
        self.padding = config.get_text_config().pad_token_id
        with torch.device("meta"):
            # Masks are made for the kind of attention that this one has: the decoder's must be the same.
            model = transformers.Gemma4ForConditionalGeneration._from_config(config, attn_implementation="eager")
        model.model.language_model, model.lm_head = reference.decoder, reference.model.lm_head
        model.model.vision_tower = model.model.embed_vision = None  # whose rows are given
        self._model, self._reference, self._tower = model.eval().requires_grad_(False), reference, tower

    def spread(self, ids: Sequence[int], images: Sequence[Patches]) -> Ids:
        """A prompt in which each image token has become the rows of an image with the tokens around it.

        As transformers' processor spreads it.
        """
        left, out = iter(images), list[int]()
        for token in ids:
            out += [self.begin, *[self.image] * next(left).rows, self.end] if token == self.image else [token]
        return np.array(out, np.int32)

    def logits(self, ids: Ids, images: Sequence[Patches], first: int, draw: int = 0) -> Floats:
        """Logits of every position from ``first`` on, ``[T - first, V]``.

        Args:
            ids: with a token for each row of an image.
            draw: of the disturbances that make a noise floor, in the tower and in the decoder; 0 for none.
        """
        return self.together([ids], [images], first, [draw])[0]

    def together(
        self,
        sequences: Sequence[Ids],
        images: Sequence[Sequence[Patches]],
        first: int,
        draws: Sequence[int] | None = None,
    ) -> Floats:
        """The same of several prompts of one length, in one pass, ``[N, T - first, V]``; by default undisturbed."""
        import torch
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        tokens = torch.from_numpy(np.stack(sequences).astype(np.int64))
        count, length = tokens.shape
        drawn = [0] * count if draws is None else draws
        pairs = [(image, draw) for some, draw in zip(images, drawn, strict=True) for image in some]
        rows = tuple(torch.from_numpy(self._tower.see(image, draw).rows) for image, draw in pairs)
        disturbed = self._reference.disturbing(RELATIVE, [(draw, length) for draw in drawn])
        with torch.no_grad(), disturbed, _row_by_row(self._reference.decoder.embed_tokens):
            out = self._model(
                input_ids=tokens,
                mm_encoder_outputs={"image": BaseModelOutputWithPooling(pooler_output=rows)},
                mm_token_type_ids=(tokens == self.image).long(),
                past_key_values=self._reference.cache(),
                use_cache=True,
                logits_to_keep=length - first,
            )
        return np.asarray(out.logits.float().numpy())

    @contextlib.contextmanager
    def plain_ends(self, after: int = 0) -> Iterator[None]:
        """Within this, the token behind an image has the padding's per-layer row, as in an engine that has no other.

        Of a model without per-layer rows nothing changes.

        Args:
            after: so many prompts of a pass, its first ones, keep what they have.
        """

        table = getattr(self._reference.decoder, "embed_tokens_per_layer", None)
        if table is None:
            yield
            return

        def plain(_module: Any, args: Any) -> Any:
            ids = args[0].clone()
            ids[after:][ids[after:] == self.end] = self.padding
            return ids, *args[1:]

        handle = table.register_forward_pre_hook(plain)
        try:
            yield
        finally:
            handle.remove()


@contextlib.contextmanager
def _row_by_row(table: Any) -> Iterator[None]:
    """Within this, one row of a packed table's float32 form is made without all others.

    transformers asks for the padding's in every pass, which takes gigabytes and seconds of a large vocabulary.
    """
    kind = type(table)
    kept = vars(kind).get("weight")
    if not isinstance(kept, property):
        yield
        return
    kind.weight = property(_Rows)
    try:
        yield
    finally:
        kind.weight = kept


class _Rows:
    """A ``QuantizedEmbedding``'s weight, of which single rows are taken."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __getitem__(self, place: tuple[int, slice]) -> Any:
        row, columns = place
        stored = self._table.embedding_quantized[row : row + 1], self._table.embedding_scale[row : row + 1]
        return self._table._dequantize_weights(*stored)[0, columns]


def per_layer_ids(ids: Ids, whole: Whole) -> NDArray[np.int32]:
    """The tokens whose per-layer rows an engine gives: the padding's for every row of an image and behind it."""
    of_image = (ids == whole.image) | (ids == whole.end)
    return np.where(of_image, whole.padding, ids).astype(np.int32)
