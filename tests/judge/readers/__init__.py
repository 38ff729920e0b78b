"""The judge's readers."""
