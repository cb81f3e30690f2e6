"""Changes to finished ONNX graphs that keep what they compute: named to packed inputs, fewer nodes, normal outputs."""
