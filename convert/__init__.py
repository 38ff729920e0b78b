"""Gemma 4 QAT checkpoints to phone bundles: integers are carried over, never recomputed, and read back to prove it."""

__version__ = "0.1.0"
