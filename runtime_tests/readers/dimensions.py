"""What config.json means: asked of transformers once, so that its defaults, renamings and refusals are the judge's."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime_tests.errors import InputError

SLIDING, FULL = "sliding_attention", "full_attention"


@dataclass(frozen=True)
class Owner:
    """A layer with keys and values of its own."""

    layer: int
    kv_heads: int
    head_dim: int


@dataclass(frozen=True)
class Dimensions:
    """The text decoder's sizes.

    Attributes:
        vocab: rows of the embedding.
        layers: number of layers.
        kinds: of each layer, ``sliding_attention`` or ``full_attention``.
        window: positions that a sliding layer looks back.
        max_context: positions that the model was trained for.
        per_layer_width: of the per-layer embedding; 0 when there is none.
        first_shared: the first layer that reads another's keys and values; the number of layers when none does.
        tied: the head shares the embedding's weights.
        owners: the layers with keys and values of their own, in order.
        head_dims: size of a head by kind of layer.
    """

    vocab: int
    hidden: int
    layers: int
    kinds: tuple[str, ...]
    window: int
    max_context: int
    per_layer_width: int
    first_shared: int
    tied: bool
    owners: tuple[Owner, ...]
    head_dims: Mapping[str, int]

    def owner_of(self, layer: int) -> int:
        """The layer whose keys and values a layer reads: its own, or the last owner's of its kind."""
        if layer < self.first_shared:
            return layer
        return max(owner.layer for owner in self.owners if self.kinds[owner.layer] == self.kinds[layer])


def read_config(folder: Path) -> Any:
    """The folder's configuration as transformers' own object, also where ``model_type`` stands at the text level alone.

    Raises:
        InputError: another model, or transformers refuses it; its own message is passed on in one line.
    """
    import transformers

    transformers.logging.set_verbosity_error()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    known = {"gemma4": transformers.Gemma4Config, "gemma4_text": transformers.Gemma4TextConfig}
    try:
        given, _ = transformers.PreTrainedConfig.get_config_dict(folder)
        named = given.get("model_type") or ("gemma4" if "text_config" in given else None)
        if named not in known:
            raise InputError(f"{folder.name}/config.json: model_type {named}; the judge knows {' and '.join(known)}")
        return known[named].from_pretrained(folder)
    except InputError:
        raise
    except Exception as error:  # whatever its validators raise
        line = " ".join(str(error).split())
        raise InputError(f"{folder.name}/config.json: transformers refuses it: {line[:300]}") from error


def dimensions(config: Any) -> Dimensions:
    """The sizes in a configuration of transformers."""
    text = config.get_text_config()
    count, shared = text.num_hidden_layers, text.num_kv_shared_layers
    first = count - shared if 0 < shared < count else count  # as Gemma4TextAttention
    each = [text.per_layer_config[index] for index in range(count)]
    owners = tuple(Owner(i, each[i].num_key_value_heads, each[i].head_dim) for i in range(first))
    return Dimensions(
        vocab=text.vocab_size,
        hidden=text.hidden_size,
        layers=count,
        kinds=tuple(text.layer_types),
        window=text.sliding_window,
        max_context=text.max_position_embeddings,
        per_layer_width=text.hidden_size_per_layer_input,
        first_shared=first,
        tied=config.tie_word_embeddings,
        owners=owners,
        head_dims={kind: each[text.layer_types.index(kind)].head_dim for kind in sorted(set(text.layer_types))},
    )
