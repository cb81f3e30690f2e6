"""When ONNX is worth it: model families, batch sizes and session options, measured in process."""
