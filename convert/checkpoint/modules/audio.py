"""The audio encoder and its projection into the text decoder. It is recognized and left out."""

from __future__ import annotations

from convert.checkpoint.module import Kind

MODULE = Kind(title="audio encoder", roots=("audio_tower", "embed_audio"), config="audio_config")
