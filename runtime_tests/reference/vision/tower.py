"""The vision tower and its projection in float32 with eager attention, by transformers' own loader.

Of a whole Gemma 4 these two alone are built, under the names that they have in it: so the loader reads nothing else of
the checkpoint, and replaces the same linears as in the whole model.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import InputError
from runtime_tests.measures import metrics
from runtime_tests.readers.dimensions import read_config
from runtime_tests.reference.floor import RELATIVE
from runtime_tests.reference.vision.patches import Patches, Sizes, sizes_of

Floats = NDArray[np.float32]
PREFIX = "vision_tower.encoder."


@dataclass(frozen=True)
class Seen:
    """What the tower made of an image.

    Attributes:
        features: float32 ``[rows, D]``.
        rows: for the text decoder, float32 ``[rows, H]``.
    """

    features: Floats
    rows: Floats


@dataclass
class Insides:
    """What one layer made of all patches, those of the padding too, float32 ``[P, width]``.

    Attributes:
        given: the residual in front of it.
        boundary: the residual by ``layers.<i>/attention``, behind the attention, and ``layers.<i>/output``.
        linears: outputs of the linears by module path, as ``vision_tower.encoder.layers.0.mlp.up_proj.linear``,
            before a bound clips them.
        scales: output activation scale of each of them that has one.
    """

    given: Floats
    boundary: dict[str, Floats] = field(default_factory=dict)
    linears: dict[str, Floats] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)

    def codes(self, key: str) -> NDArray[np.int32]:
        """Int8 outputs of a linear that has a scale for them, ``[P, out]``."""
        return np.asarray(np.rint(self.linears[key] / np.float32(self.scales[key])), np.float32).astype(np.int32)


class Tower:
    """A loaded tower.

    Attributes:
        sizes: of its patches.
        config: transformers' ``Gemma4VisionConfig``.
        tower, projection: transformers' modules.
    """

    def __init__(self, folder: Path, threads: int = 2, weights: Mapping[str, Floats] | None = None) -> None:
        """Args:
            folder: of the whole checkpoint.
            weights: other weights of linears by module path, such as a lattice before it was rounded for storage.

        Raises:
            InputError: there is no tower, or transformers refuses it; its own message is passed on in one line.
        """
        import torch

        torch.set_num_threads(threads)
        whole = read_config(folder)
        if getattr(whole, "vision_config", None) is None:
            raise InputError(f"{folder.name}/config.json: no vision_config, so nothing to hold an image encoder to")
        model = _load(folder)
        self.tower, self.projection = model.model.vision_tower, model.model.embed_vision
        for path, rows in (weights or {}).items():
            module = model.model.get_submodule(path)
            module.weight = torch.nn.Parameter(torch.from_numpy(np.ascontiguousarray(rows)), requires_grad=False)
        self.config = whole.vision_config
        self.sizes: Sizes = sizes_of(self.config)
        self._seen: dict[tuple[str, int, int], Seen] = {}

    def see(self, patches: Patches, draw: int = 0) -> Seen:
        """Features and rows of an image; made once for each name and number of patches.

        Args:
            draw: of the disturbances of the inputs of all layers that make a noise floor, as the text decoder's in
                ``floor.py``; 0 for none.
        """
        if (key := _key(patches, draw)) not in self._seen:
            with self._disturbing(draw) if draw else contextlib.nullcontext():
                self._keep(patches, draw)
        return self._seen[key]

    def floor_db(self, patches: Patches, draws: int) -> tuple[float, float]:
        """SNR of features and of rows, dB, of the worst of some draws: the tower against itself."""
        seen, moved = self.see(patches), [self.see(patches, draw) for draw in range(1, draws + 1)]
        return (
            min(metrics.snr_db(seen.features, other.features) for other in moved),
            min(metrics.snr_db(seen.rows, other.rows) for other in moved),
        )

    def layers(self, patches: Patches) -> Iterator[Insides]:
        """The insides of one layer after the other: each runs again on what it was given, and is then forgotten."""
        import torch

        calls: list[tuple[Any, Any]] = []
        layers = self.tower.encoder.layers
        told = [
            layer.register_forward_pre_hook(lambda _m, args, kwargs: calls.append((args, kwargs)), with_kwargs=True)
            for layer in layers
        ]
        try:
            self._keep(patches, 0)
        finally:
            for handle in told:
                handle.remove()
        for index, (layer, (args, kwargs)) in enumerate(zip(layers, calls, strict=True)):
            out = Insides(_rows(args[0]))
            handles = _watch(out, index, layer)
            try:
                with torch.no_grad():
                    layer(*args, **kwargs)
            finally:
                for handle in handles:
                    handle.remove()
            yield out

    def _keep(self, patches: Patches, draw: int) -> None:
        features, rows = self._run(patches)
        self._seen[_key(patches, draw)] = Seen(np.asarray(features.numpy()), np.asarray(rows.numpy()))

    def _run(self, patches: Patches) -> tuple[Any, Any]:
        import torch

        with torch.no_grad():
            features = self.tower(
                pixel_values=torch.from_numpy(patches.pixels)[None],
                pixel_position_ids=torch.from_numpy(patches.positions.astype(np.int64))[None],
            ).last_hidden_state
            return features, self.projection(features)

    @contextlib.contextmanager
    def _disturbing(self, draw: int) -> Iterator[None]:
        import torch

        generator = torch.Generator().manual_seed(draw)

        def disturb(value: Any) -> Any:
            return value * (1.0 + RELATIVE * torch.randn(value.shape, generator=generator))

        handles = [
            layer.register_forward_pre_hook(lambda _m, args: (disturb(args[0]), *args[1:]))
            for layer in self.tower.encoder.layers
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _key(patches: Patches, draw: int) -> tuple[str, int, int]:
    return patches.name, len(patches.pixels), draw


def _watch(out: Insides, index: int, layer: Any) -> list[Any]:
    at = f"layers.{index}"
    handles = [
        layer.pre_feedforward_layernorm.register_forward_pre_hook(
            lambda _m, args: out.boundary.update({f"{at}/attention": _rows(args[0])})
        ),
        layer.register_forward_hook(lambda _m, _a, made: out.boundary.update({f"{at}/output": _rows(made)})),
    ]
    for name, module in layer.named_modules():
        if re.search(r"_proj\.linear$", name):
            handles.append(_watch_linear(out, f"{PREFIX}{at}.{name}", module))
    return handles


def _watch_linear(out: Insides, key: str, module: Any) -> Any:
    scale = getattr(module, "output_activation_scale", None)
    if scale is not None and float(scale) != 0.0:
        out.scales[key] = float(scale)
    return module.register_forward_hook(lambda _m, _a, made: out.linears.update({key: _rows(made)}))


def _rows(tensor: Any) -> Floats:
    return np.asarray(tensor[0].float().clone().numpy())


def _load(folder: Path) -> Any:
    import torch
    import transformers
    from transformers.models.gemma4 import modeling_gemma4 as gemma4

    class Towers(gemma4.Gemma4PreTrainedModel):
        """The two modules in the place that they have in the whole model."""

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.model = torch.nn.Module()
            self.model.vision_tower = transformers.AutoModel.from_config(config.vision_config)
            self.model.embed_vision = gemma4.Gemma4MultimodalEmbedder(config.vision_config, config.text_config)
            self.post_init()

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        model, told = Towers.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, AttributeError, KeyError, TypeError) as error:
        line = " ".join(str(error).split())
        raise InputError(f"{folder.name}: transformers cannot load the vision tower: {line[:300]}") from error
    if lacking := sorted(map(str, [*told["missing_keys"], *told["mismatched_keys"]])):
        raise InputError(f"{folder.name}: transformers misses {len(lacking)} tensors, first {lacking[0]}")
    return model.eval().requires_grad_(False)
