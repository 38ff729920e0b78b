"""Teaches the demo to see: a small tower in front of the decoder, which is left as it is."""
