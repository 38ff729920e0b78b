"""A subgraph cut at its named boundaries, without copying weights."""
