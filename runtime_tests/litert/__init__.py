"""The room of LiteRT: its case, its runners, its rungs."""
