"""The judge's room for ONNX models: what opens and runs them, and the rungs that they climb in their own way."""
