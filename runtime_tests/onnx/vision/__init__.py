"""What the judge asks of an ONNX model that takes images, rung by rung."""
