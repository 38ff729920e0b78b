"""The judge of image input."""
