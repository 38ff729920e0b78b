"""Whole builds: steps, disk, memory, small checkpoints of every format."""
