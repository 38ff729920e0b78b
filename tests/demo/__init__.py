"""The demo and the synthetic checkpoints."""
