"""Columns that the reference parquet has beside the features. A feature name must not start with an underscore."""

CASE = "_case"
"""`held_out`, or the name of the edge case that made the row."""

TARGET = "_target"
"""True class index of a held-out row (int8); null for an edge case."""

LABEL = "_label"
"""Class index that the in-process pipeline predicted (int8)."""

PROBABILITY = "_probability"
"""Probability of the positive class from the in-process pipeline (float32)."""

HELD_OUT = "held_out"
