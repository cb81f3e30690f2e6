"""Makes a bundle from an existing model: a fitted pipeline or an ONNX graph."""
