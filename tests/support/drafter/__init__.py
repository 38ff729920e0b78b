"""Checkpoints of drafters, written for tests."""
