"""Converters that are given to skl2onnx because its own are slow, wrong or missing.

Numbers are computed in double precision inside a graph, as scikit-learn computes them; trees compare float32 numbers,
as every tree library does once the services have rounded what they were sent. A missing string is a token, since ONNX
has no null strings.
"""
