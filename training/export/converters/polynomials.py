"""PolynomialFeatures, in double precision."""

from collections.abc import Sequence

import numpy as np
from skl2onnx.common._topology import Variable
from sklearn.preprocessing import PolynomialFeatures

from training.export.converters.emitter import Emitter


def expand(emitter: Emitter, model: PolynomialFeatures, inputs: Sequence[Variable]) -> str:
    """Products of columns, double [N, terms]: each has as many factors as the degree, padded with ones."""
    matrix = emitter.numbers(inputs)
    one = emitter.constant(np.array(1.0))
    ones = emitter.op("Where", emitter.op("IsNaN", emitter.columns(matrix, [0])), one, one)
    columns = emitter.join([matrix, ones])
    features = model.powers_.shape[1]
    terms = [np.repeat(np.arange(features), powers).tolist() for powers in model.powers_]
    degree = max(map(len, terms))
    padded = [[*term, *[features] * (degree - len(term))] for term in terms]
    product = emitter.columns(columns, [term[0] for term in padded])
    for place in range(1, degree):
        product = emitter.op("Mul", product, emitter.columns(columns, [term[place] for term in padded]))
    return product


def expanded_width(model: PolynomialFeatures, _inputs: Sequence[Variable]) -> int:
    """The number of terms."""
    return int(model.n_output_features_)
