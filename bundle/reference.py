"""Columns of the reference rows, a Parquet file.

The features are inside one struct column, so that none of their names can clash with another column's.
"""

ROW = "row"
"""Struct with a field per feature, named after it: Float64 for a numeric feature, Boolean, Date or String. Null means
missing."""

CASE = "case"
"""String: `held_out`, or the name of the edge case that made the row."""

TARGET = "target"
"""True class index (Int32) or value (Float64) of a held-out row; null for an edge case and where it is unknown."""

LABEL = "label"
"""Class index that the model predicted when the bundle was made (Int32); classification only."""

PROBABILITIES = "probabilities"
"""Probabilities by class index that the model predicted then (List or Array of Float32); classification only."""

VALUE = "value"
"""Value that the model predicted then (Float32); regression only."""

HELD_OUT = "held_out"
