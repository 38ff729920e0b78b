"""Checkpoints of drafters."""
