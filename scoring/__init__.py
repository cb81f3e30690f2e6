"""Scores files of any size with a bundle's packed ONNX graph. Imports `bundle` only, and no training library."""
