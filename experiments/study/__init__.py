"""When ONNX is worth it: model families, session options, tree costs."""
