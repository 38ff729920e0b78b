"""The converter's checkpoints: formats, configuration, bits."""
