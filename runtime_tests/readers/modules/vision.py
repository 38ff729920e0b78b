"""The vision encoder."""

from __future__ import annotations

from runtime_tests.readers.module import Module

MODULE = Module(roots=("vision_tower", "embed_vision"), config="vision_config")
