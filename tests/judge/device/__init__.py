"""A phone's answers."""
