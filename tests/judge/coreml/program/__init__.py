"""The evaluator of ML Programs."""
