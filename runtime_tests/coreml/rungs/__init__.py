"""The rungs that Core ML climbs in its own way, found by their names."""
