"""The audio encoder."""

from __future__ import annotations

from runtime_tests.readers.module import Module

MODULE = Module(roots=("audio_tower", "embed_audio"), config="audio_config")
