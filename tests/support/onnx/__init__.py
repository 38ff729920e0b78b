"""What tests of ONNX models share."""
