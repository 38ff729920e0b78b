"""Weights as the judge works them out."""
