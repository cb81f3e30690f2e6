"""What every reader of the bundle's ONNX graphs has to know: names, and what a value may be."""

CATEGORICAL, NUMERIC = "categorical", "numeric"
"""Inputs of the packed graph: string [N, categorical features] and float32 [N, numeric features], each in the
manifest's order; NaN is a missing number. A data set without one kind has no such input."""

LABEL, PROBABILITIES = "label", "probabilities"
OUTPUTS = (LABEL, PROBABILITIES)
"""Outputs of the packed and the named graph: class indices int64 [N], the decision threshold applied, and float32
[N, 2]."""

FLOAT32_MAX = (2 - 2**-23) * 2.0**127
"""The largest finite number of the graph's type; what is larger is refused."""

UNSEEN = "\N{REPLACEMENT CHARACTER}unseen"
"""What an unseen category is handed on as. Encoders treat all unseen ones alike; one spelling keeps a string that a
runtime might read differently (ONNX Runtime's Python binding stops at a NUL) from being taken for a seen one."""
