"""Distances, flips, statistics."""
