"""The vision encoder and its projection into the text decoder. It is recognized and left out."""

from __future__ import annotations

from convert.checkpoint.module import Kind

MODULE = Kind(title="vision encoder", roots=("vision_tower", "embed_vision"), config="vision_config")
