"""The reference: transformers in float32 with eager attention, loading the checkpoint by its own loader."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.dimensions import read_config
from runtime_tests.errors import InputError

Ids = NDArray[np.int32]
Floats = NDArray[np.float32]
LOGITS_AT_ONCE = 20_000_000


class Reference:
    """A loaded model.

    Attributes:
        cache_scales: key and value scale of each KV-owning layer, when the cache is to hold int8; empty for float32.
        model: the transformers model.
        decoder: its text decoder, which holds ``embed_tokens`` and ``layers``.
    """

    def __init__(self, folder: Path, threads: int = 2) -> None:
        """Loads the folder.

        Raises:
            InputError: transformers refuses it; its own message is passed on in one line.
        """
        import torch
        import transformers

        self.cache_scales: dict[int, tuple[float, float]] = {}
        torch.set_num_threads(threads)
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        logging.getLogger("transformers").setLevel(logging.ERROR)
        try:
            config = read_config(folder)
            # By the configuration, for architectures may be missing.
            whole = isinstance(config, transformers.Gemma4Config)
            bare = not whole or config.architectures == ["Gemma4ForCausalLM"]
            kind = transformers.Gemma4ForCausalLM if bare else transformers.Gemma4ForConditionalGeneration
            # A checkpoint file that lacks a tensor would be filled with random numbers, with a warning only.
            self.model, told = kind.from_pretrained(
                folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, AttributeError, KeyError) as error:
            line = " ".join(str(error).split())
            raise InputError(f"{folder.name}: transformers cannot load it: {line[:300]}") from error
        if told["missing_keys"] or told["mismatched_keys"]:
            lacking = sorted(map(str, [*told["missing_keys"], *told["mismatched_keys"]]))
            raise InputError(f"{folder.name}: transformers misses {len(lacking)} tensors, first {lacking[0]}")
        self.model.eval().requires_grad_(False)
        self.decoder = getattr(self.model.model, "language_model", self.model.model)
        self.text = self.decoder.config

    def cache(self) -> Any:
        """An empty cache that keeps every row, in the precision of ``cache_scales``."""
        from runtime_tests.int8_cache import new_cache

        return new_cache(self.cache_scales)

    def logits(self, ids: Ids, cache: Any = None) -> Floats:
        """Logits of every position, softcap included: ``[T] -> float32 [T, V]``.

        Args:
            ids: token ids, the start token included.
            cache: an empty cache that will collect keys and values; by default one that is dropped.
        """
        import torch

        tokens = torch.from_numpy(ids.astype(np.int64))[None]
        kept = self.cache() if cache is None else cache  # an empty cache is false
        with torch.no_grad():
            out = self.model(input_ids=tokens, past_key_values=kept, use_cache=True)
        return np.asarray(out.logits[0].float().numpy())

    def many(
        self, sequences: Sequence[Ids], firsts: Sequence[int], draws: int = 0, relative: float = 0.0
    ) -> Iterator[tuple[int, Floats, list[Floats]]]:
        """Stand-in."""
        for i, (ids, first) in enumerate(zip(sequences, firsts, strict=True)):
            moved = list(self.disturbed(ids, draws, relative)) if draws else []
            yield i, self.logits(ids)[first:], [item[first:] for item in moved]

    def choices(self, prompts: Ids) -> Ids:
        """The best next token of many prompts of one length, ``[N, T] -> [N]``."""
        import torch

        found = []
        with torch.no_grad():
            for block in torch.from_numpy(prompts.astype(np.int64)).split(256):
                out = self.model(input_ids=block, past_key_values=self.cache(), use_cache=True, logits_to_keep=1)
                found.append(out.logits[:, -1].argmax(-1))
        return np.asarray(torch.cat(found).numpy(), np.int32)

    def greedy(self, ids: Ids, steps: int, stops: frozenset[int]) -> tuple[Ids, Floats]:
        """Continues greedily with a cache; a stop token ends it and is included.

        Returns:
            the new token ids ``[K]`` and the logits that chose them ``[K, V]``.
        """
        import torch

        cache, tokens = self.cache(), torch.from_numpy(ids.astype(np.int64))[None]
        chosen: list[int] = []
        rows: list[Floats] = []
        with torch.no_grad():
            while len(chosen) < steps and (not chosen or chosen[-1] not in stops):
                out = self.model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
                rows.append(out.logits[0, -1].float().numpy())
                chosen.append(int(rows[-1].argmax()))
                tokens = torch.tensor([[chosen[-1]]])
        return np.array(chosen, np.int32), np.stack(rows)

    def embeddings(self, ids: Ids) -> tuple[Floats, Floats | None]:
        """Rows of the two embedding tables, ``[T, H]`` and ``[T, L, P]``, scales included; None without the second."""
        import torch

        tokens = torch.from_numpy(ids.astype(np.int64))[None]
        with torch.no_grad():
            first = self.decoder.embed_tokens(tokens)[0].float().numpy()
            if not self.text.hidden_size_per_layer_input:
                return first, None
            return first, self.decoder.get_per_layer_inputs(tokens)[0].float().numpy()

    def disturbed(self, ids: Ids, draws: int, relative: float) -> Iterator[Floats]:
        """Logits ``[T, V]`` of seeded draws; embeddings and layer inputs are multiplied by ``1 + relative * N``."""
        import torch

        together = int(max(1, min(draws, LOGITS_AT_ONCE // (len(ids) * self.text.vocab_size))))
        tokens = torch.from_numpy(ids.astype(np.int64))[None]
        with self.disturbance(relative):
            for start in range(0, draws, together):
                batch = tokens.expand(min(together, draws - start), -1)
                with torch.no_grad():
                    out = self.model(input_ids=batch, past_key_values=self.cache(), use_cache=True).logits
                yield from out.float().numpy()

    @contextlib.contextmanager
    def disturbance(self, relative: float) -> Iterator[None]:
        """Within this, every pass is disturbed anew: a seeded sequence of draws that begins here."""
        import torch

        def disturb(value: Any) -> Any:
            return value * (1.0 + relative * torch.randn(value.shape, generator=generator))

        def entering(_module: Any, args: Any) -> Any:
            return (disturb(args[0]), *args[1:])

        handles = [self.decoder.embed_tokens.register_forward_hook(lambda _m, _a, out: disturb(out))]
        handles += [module.register_forward_pre_hook(entering) for module in self.decoder.layers]
        generator = torch.Generator().manual_seed(1)
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextlib.contextmanager
    def float_activations(self) -> Iterator[None]:
        """Within this, quantized linears do not round their inputs and outputs: a scale of 0 means just that there."""
        import torch

        names = ("input_activation_scale", "output_activation_scale")
        scales = [scale for name, scale in self.model.named_parameters() if name.endswith(names)]
        kept = [scale.clone() for scale in scales]
        try:
            with torch.no_grad():
                for scale in scales:
                    scale.zero_()
            yield
        finally:
            with torch.no_grad():
                for scale, value in zip(scales, kept, strict=True):
                    scale.copy_(value)

    @contextlib.contextmanager
    def weights(self, given: Iterator[tuple[str, Floats]], restore: Callable[[str], Floats]) -> Iterator[None]:
        """Within this, linears have other weights.

        Args:
            given: module path below the decoder and its weight ``[out, in]``, one at a time.
            restore: gives the weight of a module path back afterwards.
        """
        import torch

        changed = []
        try:
            for key, weight in given:
                self.decoder.get_submodule(key).weight.copy_(torch.from_numpy(weight))
                changed.append(key)
            yield
        finally:
            for key in changed:
                self.decoder.get_submodule(key).weight.copy_(torch.from_numpy(restore(key)))
