"""The judge's room for ONNX."""
