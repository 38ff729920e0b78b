"""The reference: transformers in float32 with eager attention, loading the checkpoint by its own loader."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.memory.pages import release
from runtime_tests.progress import steps
from runtime_tests.reference.exact import exactly
from runtime_tests.reference.loading import load
from runtime_tests.reference.widening import Source, Weights

Ids = NDArray[np.int32]
Floats = NDArray[np.float32]
LOGITS_AT_ONCE = 64_000_000
TOKENS_AT_ONCE = 4096  # of one pass: its activations take some hundred MB, and unpacking the weights little time


class Reference:
    """A loaded model.

    Attributes:
        cache_scales: key and value scale of each KV-owning layer, when the cache is to hold int8; empty for float32.
        model: the transformers model.
        decoder: its text decoder, which holds ``embed_tokens`` and ``layers``.
    """

    def __init__(self, folder: Path, threads: int = 2, lean: bool | None = None) -> None:
        """Loads the folder.

        Args:
            lean: see ``loading.py``; by default large checkpoints are.

        Raises:
            InputError: transformers refuses it; its own message is passed on in one line.
        """
        import torch

        self.cache_scales: dict[int, tuple[float, float]] = {}
        torch.set_num_threads(threads)
        self.model, stored = load(folder, lean)
        self._weights = Weights(self.model, stored)
        self.decoder = self.model.model
        self.text = self.decoder.config
        for layer in self.decoder.layers:
            layer.register_forward_hook(_forget)

    def cache(self) -> Any:
        """An empty cache that keeps every row, in the precision of ``cache_scales``."""
        from runtime_tests.reference.int8_cache import new_cache

        return new_cache(self.cache_scales)

    def logits(self, ids: Ids, cache: Any = None, first: int = 0) -> Floats:
        """Logits of every position from ``first`` on, softcap included: ``[T] -> float32 [T - first, V]``.

        Args:
            ids: token ids, the start token included.
            cache: an empty cache that will collect keys and values; by default one that is dropped.
        """
        import torch

        tokens = torch.from_numpy(ids.astype(np.int64))[None]
        kept = self.cache() if cache is None else cache  # an empty cache is false
        with torch.no_grad(), self._told():
            out = self.model(input_ids=tokens, past_key_values=kept, use_cache=True, logits_to_keep=len(ids) - first)
        return np.asarray(out.logits[0].float().numpy())

    def exact_logits(self, ids: Ids, first: int = 0) -> NDArray[np.float64]:
        """As :meth:`logits`, computed in float64 (``exact.py``), with a float cache."""
        import torch

        tokens = torch.from_numpy(ids.astype(np.int64))[None]
        with torch.no_grad(), self._told(), exactly(self.decoder):
            out = self.model(input_ids=tokens, use_cache=False, logits_to_keep=len(ids) - first)
            return np.asarray(out.logits[0].numpy())

    def follow(self, ids: Ids, first: int, folder: Path) -> Floats:
        """As :meth:`logits`, and leaves what each layer was given, ``<layer>.npy``, float32 ``[T, H]``.

        The file after the last layer's holds that layer's output.
        """

        def entering(index: int) -> Callable[[Any, Any], None]:
            return lambda _module, args: np.save(folder / f"{index}.npy", args[0][0].float().numpy())

        layers = self.decoder.layers
        handles = [layer.register_forward_pre_hook(entering(i)) for i, layer in enumerate(layers)]
        handles.append(self.decoder.norm.register_forward_pre_hook(entering(len(layers))))
        try:
            return self.logits(ids, first=first)
        finally:
            for handle in handles:
                handle.remove()

    def many(
        self, sequences: Sequence[Ids], firsts: Sequence[int], draws: int = 0, relative: float = 0.0
    ) -> Iterator[tuple[int, Floats, list[Floats]]]:
        """Logits of many sequences in few batches, each as it is and disturbed by seeded draws.

        Sequences are padded on the right: attention is causal, so what stands behind a position does not touch it.

        Args:
            sequences: token ids, start tokens included.
            firsts: of each, the position from which on logits are wanted.
            draws: disturbed copies of each; a draw is the same whatever the batch.

        Yields:
            index, logits ``[T - first, V]``, and the draws' logits, ordered by length.
        """
        order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
        rows = [(i, draw) for i in order for draw in range(draws + 1)]
        found: dict[int, list[Floats]] = {}
        batches = list(_batches(rows, sequences))
        with self._told(len(batches)):
            for batch in batches:
                for (i, _), logits in zip(batch, self._batch(batch, sequences, firsts, relative), strict=True):
                    found.setdefault(i, []).append(logits)
                    if len(found[i]) == draws + 1:
                        plain, *moved = found.pop(i)
                        yield i, plain, moved

    @contextlib.contextmanager
    def _told(self, passes: int = 1) -> Iterator[None]:
        """Within this, each layer that has run is a step of progress."""
        layers = self.decoder.layers
        with steps("layers of the reference", passes * len(layers)) as advance:
            handles = [layer.register_forward_hook(lambda *_: advance(1)) for layer in layers]
            try:
                yield
            finally:
                for handle in handles:
                    handle.remove()

    def _batch(
        self, batch: list[tuple[int, int]], sequences: Sequence[Ids], firsts: Sequence[int], relative: float
    ) -> Iterator[Floats]:
        import torch

        tokens = torch.zeros(len(batch), max(len(sequences[i]) for i, _ in batch), dtype=torch.int64)
        for row, (i, _) in enumerate(batch):
            tokens[row, : len(sequences[i])] = torch.from_numpy(sequences[i].astype(np.int64))
        draws = [(draw, len(sequences[i])) for i, draw in batch]
        cache = self.cache() if self.cache_scales else None
        with torch.no_grad(), self.disturbing(relative, draws):
            hidden = self.decoder(input_ids=tokens, past_key_values=cache, use_cache=cache is not None)
            wanted = [hidden.last_hidden_state[row, firsts[i] : len(sequences[i])] for row, (i, _) in enumerate(batch)]
        at_once = max(1, LOGITS_AT_ONCE // self.text.vocab_size)
        group: list[Any] = []
        for row, states in enumerate(wanted):
            group.append(states)
            if row + 1 == len(wanted) or sum(map(len, group)) + len(wanted[row + 1]) > at_once:
                with torch.no_grad():
                    logits = self.head(torch.cat(group))
                yield from (part.numpy() for part in logits.split([len(item) for item in group]))
                group = []

    def head(self, hidden: Any) -> Any:
        """transformers' own head and softcap over last hidden states ``[N, H] -> [N, V]``, torch tensors."""
        import torch
        from transformers.modeling_outputs import BaseModelOutputWithPast

        class Given(torch.nn.Module):
            """Stands in for the decoder, which has run already."""

            def forward(self, **_: Any) -> Any:
                return Given.Output(last_hidden_state=hidden[None])

            class Output(BaseModelOutputWithPast):
                shared_kv_states = router_logits = None

        decoder = self.model.model
        try:
            self.model.model = Given()
            return self.model(input_ids=None).logits[0].float()
        finally:
            self.model.model = decoder

    def embeddings(self, ids: Ids) -> tuple[Floats, Floats | None]:
        """Rows of the two embedding tables, ``[T, H]`` and ``[T, L, P]``, scales included; None without the second."""
        import torch

        tokens = torch.from_numpy(ids.astype(np.int64))[None]
        with torch.no_grad():
            first = self.decoder.embed_tokens(tokens)[0].float().numpy()
            if not self.text.hidden_size_per_layer_input:
                return first, None
            return first, self.decoder.get_per_layer_inputs(tokens)[0].float().numpy()

    @contextlib.contextmanager
    def disturbing(self, relative: float, draws: list[tuple[int, int]]) -> Iterator[None]:
        """Within this, each row of a pass has the disturbance of its draw over its length; draw 0 has none.

        Embeddings and the inputs of all layers are disturbed. A pass may also be of a whole model with this decoder.
        """
        import torch

        generators = [torch.Generator().manual_seed(draw) for draw, _ in draws]

        def disturb(value: Any) -> Any:
            out = value.clone()
            for row, ((draw, length), generator) in enumerate(zip(draws, generators, strict=True)):
                if draw:
                    out[row, :length] *= 1.0 + relative * torch.randn(length, value.shape[-1], generator=generator)
            return out

        handles = []
        if any(draw for draw, _ in draws):
            handles = [
                self.decoder.embed_tokens.register_forward_hook(lambda _m, _a, out: disturb(out)),
                *(
                    layer.register_forward_pre_hook(lambda _m, args: (disturb(args[0]), *args[1:]))
                    for layer in self.decoder.layers
                ),
            ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextlib.contextmanager
    def activation_steps(self, times: float) -> Iterator[None]:
        """Within this, every static activation step is so many times as large.

        2 leaves 7 bits of 8. 0 rounds no input and no output: a scale of 0 means just that in transformers.
        """
        import torch

        names = ("input_activation_scale", "output_activation_scale")
        scales = [scale for name, scale in self.model.named_parameters() if name.endswith(names)]
        kept = [scale.clone() for scale in scales]
        try:
            with torch.no_grad():
                for scale in scales:
                    scale.mul_(times)
            yield
        finally:
            with torch.no_grad():
                for scale, value in zip(scales, kept, strict=True):
                    scale.copy_(value)

    @contextlib.contextmanager
    def weights(self, source: Source) -> Iterator[None]:
        """Within this, linears that are not packed have other weights.

        Args:
            source: for a module path below the decoder its weight, a float32 tensor ``[out, in]``, or None for the
                stored one; asked each time the linear runs.
        """
        kept, self._weights.source = self._weights.source, source
        try:
            yield
        finally:
            self._weights.source = kept


def _forget(layer: Any, _args: Any, _out: Any) -> None:
    """Gives a layer's pages of the checkpoint's files back when it has run: all layers together are gigabytes."""
    import torch

    release(*(parameter.data.view(torch.uint8).numpy() for parameter in layer.parameters() if parameter.dim() == 2))


def _batches(rows: list[tuple[int, int]], sequences: Sequence[Ids]) -> Iterator[list[tuple[int, int]]]:
    """Rows together as long as their padded tokens are at most ``TOKENS_AT_ONCE``; ``rows`` are ordered by length."""
    batch: list[tuple[int, int]] = []
    for row in rows:
        if batch and (len(batch) + 1) * len(sequences[row[0]]) > TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
