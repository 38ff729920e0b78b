"""Shipping: the folder a developer receives, its manifest, and the care that it appears whole or not at all."""
