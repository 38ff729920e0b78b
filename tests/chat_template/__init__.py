"""Chat templates, made fit for the engine."""
