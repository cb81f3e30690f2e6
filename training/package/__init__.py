"""A model that exists already, a fitted pipeline or an ONNX graph, becomes a bundle."""
