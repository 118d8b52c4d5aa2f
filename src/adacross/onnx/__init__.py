"""Export of an encoder to ONNX."""
