"""Talking with a bundle."""
