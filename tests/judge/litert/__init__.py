"""The judge's room of LiteRT."""
