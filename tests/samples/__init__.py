"""The sample apps."""
