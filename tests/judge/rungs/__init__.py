"""Rungs that targets share."""
