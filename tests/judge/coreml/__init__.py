"""The judge's room of Core ML."""
