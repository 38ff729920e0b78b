"""The rungs that ONNX climbs in its own way, found by their names."""
