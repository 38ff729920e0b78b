"""Giving memory back: the heap's, freed blocks', and pages of mapped files."""
