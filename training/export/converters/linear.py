"""Linear models and support vector machines, in double precision."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from skl2onnx.common._topology import Variable

from training.export.converters.emitter import Emitter
from training.export.converters.links import probabilities


def linear_scores(emitter: Emitter, model: Any, inputs: Sequence[Variable]) -> str:  # noqa: ANN401 - many classes
    """X coef + intercept: a value, or a decision function; double [N, 1] or [N, classes]."""
    coefficients = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
    product = emitter.op("MatMul", emitter.numbers(inputs), emitter.constant(coefficients.T))
    return emitter.op("Add", product, emitter.constant(np.atleast_1d(np.asarray(model.intercept_, dtype=np.float64))))


def logistic_regression(emitter: Emitter, model: Any, inputs: Sequence[Variable]) -> str:  # noqa: ANN401 - and its CV
    """LogisticRegression's probabilities, double [N, classes]."""
    return probabilities(emitter, linear_scores(emitter, model, inputs), len(np.atleast_2d(model.coef_)))


def svc_scores(emitter: Emitter, model: Any, inputs: Sequence[Variable]) -> str:  # noqa: ANN401 - SVC and NuSVC
    """SVC's decision function, double [N, 1] or [N, classes].

    Raises:
        NotImplementedError: the kernel is the user's own.
    """
    kernel = _kernel(emitter, model, emitter.numbers(inputs))
    classes = len(model.classes_)
    if classes == 2:
        return _affine(emitter, kernel, np.asarray(model.dual_coef_).T, model.intercept_)
    pairs = _affine(emitter, kernel, _pair_coefficients(model), model.intercept_)
    return pairs if model.decision_function_shape == "ovo" else _one_against_rest(emitter, pairs, classes)


def svr_value(emitter: Emitter, model: Any, inputs: Sequence[Variable]) -> str:  # noqa: ANN401 - SVR and NuSVR
    """SVR's value, double [N, 1].

    Raises:
        NotImplementedError: as for `svc_scores`.
    """
    kernel = _kernel(emitter, model, emitter.numbers(inputs))
    return _affine(emitter, kernel, np.asarray(model.dual_coef_).T, model.intercept_)


def _affine(emitter: Emitter, matrix: str, coefficients: NDArray[np.float64], intercept: NDArray[np.float64]) -> str:
    product = emitter.op("MatMul", matrix, emitter.constant(np.asarray(coefficients, dtype=np.float64)))
    return emitter.op("Add", product, emitter.constant(np.atleast_1d(np.asarray(intercept, dtype=np.float64))))


def _kernel(emitter: Emitter, model: Any, matrix: str) -> str:  # noqa: ANN401 - as above
    """The kernel of the rows and the support vectors, double [N, support vectors]."""
    if model.kernel not in ("rbf", "linear", "poly", "sigmoid"):
        raise NotImplementedError(f"{type(model).__name__} with a kernel of your own has no ONNX converter here")
    vectors = np.asarray(model.support_vectors_, dtype=np.float64)
    product = emitter.op("MatMul", matrix, emitter.constant(vectors.T))
    if model.kernel == "linear":
        return product
    gamma = emitter.constant(np.array(model._gamma, dtype=np.float64))  # noqa: SLF001 - no public name
    if model.kernel == "rbf":
        return _radial(emitter, matrix, product, vectors, gamma)
    scaled = emitter.op("Add", emitter.op("Mul", product, gamma), emitter.constant(np.array(float(model.coef0))))
    if model.kernel == "sigmoid":
        return emitter.op("Tanh", scaled)
    return emitter.op("Pow", scaled, emitter.constant(np.array(float(model.degree))))


def _radial(emitter: Emitter, matrix: str, product: str, vectors: NDArray[np.float64], gamma: str) -> str:
    """exp(-gamma |x - v|²), the square as |x|² - 2 x·v + |v|²."""
    axis = emitter.constant(np.array([1], dtype=np.int64))
    rows = emitter.op("ReduceSum", emitter.op("Mul", matrix, matrix), axis, keepdims=1)
    squares = emitter.op("Add", rows, emitter.constant((vectors**2).sum(axis=1).reshape(1, -1)))
    distance = emitter.op("Sub", squares, emitter.op("Mul", product, emitter.constant(np.array(2.0))))
    return emitter.op("Exp", emitter.op("Neg", emitter.op("Mul", distance, gamma)))


def _pair_coefficients(model: Any) -> NDArray[np.float64]:  # noqa: ANN401 - as above
    """Coefficients [support vectors, pairs of classes], from libsvm's layout of `dual_coef_`."""
    stored = np.asarray(model.dual_coef_)
    of = np.repeat(np.arange(len(model.classes_)), model.n_support_)
    pairs = list(combinations(range(len(model.classes_)), 2))
    found = np.zeros((of.size, len(pairs)))
    for column, (first, second) in enumerate(pairs):
        found[of == first, column] = stored[second - 1, of == first]
        found[of == second, column] = stored[first, of == second]
    return found


def _one_against_rest(emitter: Emitter, pairs: str, classes: int) -> str:
    """scikit-learn's votes and squashed confidences (sklearn/utils/multiclass.py, _ovr_decision_function)."""
    signs = np.zeros((classes * (classes - 1) // 2, classes))
    for row, (first, second) in enumerate(combinations(range(classes), 2)):
        signs[row, first], signs[row, second] = 1, -1
    # a vote of 1 for the first class of a pair where its value is >= 0, else one for the second
    first_wins = emitter.op("Not", emitter.op("Less", pairs, emitter.constant(np.array(0.0))))
    wins = emitter.cast(first_wins, TensorProto.DOUBLE)
    votes = emitter.op("MatMul", wins, emitter.constant(signs))
    votes = emitter.op("Add", votes, emitter.constant((signs < 0).sum(axis=0, dtype=np.float64).reshape(1, -1)))
    confidence = emitter.op("MatMul", pairs, emitter.constant(signs))
    size = emitter.op("Add", emitter.op("Abs", confidence), emitter.constant(np.array(1.0)))
    return emitter.op(
        "Add", votes, emitter.op("Div", confidence, emitter.op("Mul", size, emitter.constant(np.array(3.0))))
    )
