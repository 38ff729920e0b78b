"""Reading of ONNX models: the graph through the ``onnx`` package, its external data through a memory map."""
