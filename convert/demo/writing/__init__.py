"""Writes a Gemma 4 text decoder as a checkpoint in Google's formats: for the demo's training, and for tests."""
