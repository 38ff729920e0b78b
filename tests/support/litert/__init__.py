"""LiteRT models to run and damage."""
