"""The rungs that LiteRT climbs in its own way, found by their names."""
