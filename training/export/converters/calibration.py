"""CalibratedClassifierCV, and the decision functions that it is fitted on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx.common._topology import Variable
from sklearn.calibration import CalibratedClassifierCV

from training.export.converters.emitter import Emitter
from training.export.converters.links import double, normalised, softmax, two_classes


@dataclass(frozen=True)
class Decision:
    """Stands in for an estimator whose decision function is wanted, or its probabilities if it has none."""

    estimator: Any


def calibrate(emitter: Emitter, model: CalibratedClassifierCV, inputs: Sequence[Variable]) -> str:
    """The mean of the calibrated classifiers' probabilities, double [N, classes]; an input per classifier.

    Raises:
        NotImplementedError: a member was fitted without some of the classes.
    """
    results = []
    for member, variable in zip(model.calibrated_classifiers_, inputs, strict=True):
        if len(member.estimator.classes_) != len(model.classes_):
            raise NotImplementedError(
                "CalibratedClassifierCV with a fold that lacks a class has no ONNX converter here"
            )
        results.append(_calibrated(emitter, member, double(emitter, variable.full_name), len(model.classes_)))
    total = results[0] if len(results) == 1 else emitter.op("Sum", *results)
    return emitter.op("Div", total, emitter.constant(np.array(float(len(results)))))


def _calibrated(emitter: Emitter, member: Any, scores: str, classes: int) -> str:  # noqa: ANN401 - private class
    has_decision = hasattr(member.estimator, "decision_function")
    if member.method == "temperature":
        return _tempered(emitter, member.calibrators[0], scores, classes, has_decision=has_decision)
    if classes == 2:
        column = scores if has_decision else emitter.columns(scores, [1])
        return two_classes(emitter, _curve(emitter, member.calibrators[0], column))
    curves = [_curve(emitter, one, emitter.columns(scores, [k])) for k, one in enumerate(member.calibrators)]
    return normalised(emitter, emitter.join(curves), classes)


def _tempered(emitter: Emitter, calibrator: Any, scores: str, classes: int, *, has_decision: bool) -> str:  # noqa: ANN401
    if not has_decision:
        scores = emitter.op("Log", emitter.op("Add", scores, emitter.constant(np.array(1e-12))))
    elif classes == 2:
        scores = emitter.join([emitter.op("Neg", scores), scores])
    return softmax(emitter, emitter.op("Mul", scores, emitter.constant(np.array(float(calibrator.beta_)))))


def _curve(emitter: Emitter, calibrator: Any, column: str) -> str:  # noqa: ANN401 - two private classes
    """One calibrator on double [N, 1]."""
    if hasattr(calibrator, "a_"):
        scaled = emitter.op("Mul", column, emitter.constant(np.array(-float(calibrator.a_))))
        return emitter.op("Sigmoid", emitter.op("Sub", scaled, emitter.constant(np.array(float(calibrator.b_)))))
    return _interpolated(
        emitter, np.asarray(calibrator.X_thresholds_, float), np.asarray(calibrator.y_thresholds_, float), column
    )


def _interpolated(emitter: Emitter, places: np.ndarray, values: np.ndarray, column: str) -> str:
    """Linear interpolation between points, and the first and last value beyond them, as isotonic regression has it."""
    if places.size == 1:
        return emitter.op("Add", emitter.op("Mul", column, emitter.constant(np.array(0.0))), emitter.constant(values))
    clipped = emitter.op("Min", emitter.op("Max", column, emitter.constant(places[:1])), emitter.constant(places[-1:]))
    above = emitter.op("GreaterOrEqual", clipped, emitter.constant(places[1:-1].reshape(1, -1)))
    axis = emitter.constant(np.array([1], dtype=np.int64))
    segment = emitter.op("ReduceSum", emitter.cast(above, TensorProto.INT64), axis, keepdims=1)
    slopes = np.diff(values) / np.diff(places)
    slope, left, low = (emitter.op("Gather", emitter.constant(a), segment, axis=0) for a in (slopes, places, values))
    return emitter.op("Add", low, emitter.op("Mul", slope, emitter.op("Sub", clipped, left)))
