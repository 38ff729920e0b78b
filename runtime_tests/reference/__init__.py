"""transformers: loaded, run layer by layer, disturbed, watched."""
