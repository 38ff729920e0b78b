"""The judge of drafters."""
