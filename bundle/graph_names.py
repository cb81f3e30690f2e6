"""What every reader of the bundle's ONNX graphs has to know: names, and what a value may be."""

from typing import Literal

Task = Literal["binary_classification", "multiclass_classification", "regression"]

CATEGORICAL, NUMERIC = "categorical", "numeric"
"""Inputs of the packed graph: string [N, ordinal and nominal features] and float32 [N, all other features], each in the
manifest's order. A missing number is NaN. A model that has no features in one of the two groups lacks that input."""

LABEL, PROBABILITIES = "label", "probabilities"
"""Outputs of a classifier's graphs, packed and named: class indices int64 [N], with the decision threshold applied, and
float32 [N, K]."""

VALUE = "value"
"""The only output of a regressor's graphs: float32 [N]."""

FLOAT32_MAX = (2 - 2**-23) * 2.0**127
"""The largest finite number of the graph's type; larger numbers are refused."""


def outputs_of(task: Task) -> tuple[str, ...]:
    """Names of the outputs that the graphs of a task have, in order."""
    return (VALUE,) if task == "regression" else (LABEL, PROBABILITIES)
