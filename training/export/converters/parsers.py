"""How skl2onnx must take apart estimators that it doesn't know, or that it would take apart differently.

skl2onnx calls a parser with `scope`, the estimator, its input variables, and all parsers by estimator.
"""

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from skl2onnx._parse import _parse_sklearn, _parse_sklearn_column_transformer, _parse_sklearn_simple_model
from skl2onnx.common._topology import Scope, Variable
from skl2onnx.common.data_types import DoubleTensorType
from sklearn import ensemble, model_selection
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from training.export.converters.calibration import Decision
from training.export.converters.registry import converters

Variables = list[Variable]
Parsers = Mapping[type, Callable[..., Variables]]


def parsers() -> Parsers:
    """All parsers, by the class of the estimator."""
    table: dict[type, Callable[..., Variables]] = {
        kind: _parse_alone for kind, converter in converters().items() if converter.classifier
    }
    inside = {
        "estimator_": (model_selection.FixedThresholdClassifier, model_selection.TunedThresholdClassifierCV),
        "best_estimator_": (model_selection.GridSearchCV, model_selection.RandomizedSearchCV),
        "estimator": (FrozenEstimator,),
    }
    for attribute, kinds in inside.items():
        table |= dict.fromkeys(kinds, partial(_parse_inside, attribute))
    return table | {
        CalibratedClassifierCV: _parse_calibrated,
        ColumnTransformer: _parse_columns,
        FunctionTransformer: _parse_function,
        ensemble.HistGradientBoostingClassifier: _parse_after_preprocessing,
        ensemble.HistGradientBoostingRegressor: _parse_after_preprocessing,
    }


def _parse(scope: Scope, model: Any, inputs: Variables, custom_parsers: Parsers | None) -> Variables:  # noqa: ANN401
    outputs: Variables = _parse_sklearn(scope, model, inputs, custom_parsers=custom_parsers)
    return outputs


def _parse_alone(scope: Scope, model: Any, inputs: Variables, custom_parsers: Parsers | None = None) -> Variables:  # noqa: ANN401
    """Parse a classifier as skl2onnx does, but without a ZipMap behind it."""
    outputs: Variables = _parse_sklearn_simple_model(scope, model, inputs, custom_parsers=custom_parsers)
    return outputs


def _parse_inside(
    attribute: str, scope: Scope, model: object, inputs: Variables, custom_parsers: Parsers | None = None
) -> Variables:
    """Parse a wrapper that answers what the estimator inside it answers; thresholds are applied at the graph's end."""
    return _parse(scope, getattr(model, attribute), inputs, custom_parsers)


def _parse_after_preprocessing(
    scope: Scope,
    model: Any,  # noqa: ANN401 - two classes
    inputs: Variables,
    custom_parsers: Parsers | None = None,
) -> Variables:
    """HistGradientBoosting, which encodes categorical features by a ColumnTransformer of its own."""
    preprocessor: ColumnTransformer | None = model._preprocessor  # noqa: SLF001 - no public name
    if preprocessor is not None:
        if len(inputs) == 1:  # made by an earlier step, whose number of columns skl2onnx doesn't know
            inputs[0].type.shape = [None, model.n_features_in_]
        inputs = _parse(scope, preprocessor, inputs, custom_parsers)
    return _parse_alone(scope, model, inputs, custom_parsers)


def _parse_columns(
    scope: Scope, model: ColumnTransformer, inputs: Variables, custom_parsers: Parsers | None = None
) -> Variables:
    """Parse a ColumnTransformer as skl2onnx does, which takes names and integers for columns, but no masks."""
    plain = copy.copy(model)
    names = list(getattr(model, "feature_names_in_", ()))
    plain.transformers_ = [(name, part, _plain_columns(columns, names)) for name, part, columns in model.transformers_]
    outputs: Variables = _parse_sklearn_column_transformer(scope, plain, inputs, custom_parsers=custom_parsers)
    return outputs


def _plain_columns(columns: Any, names: list[str]) -> Any:  # noqa: ANN401 - whatever selects columns
    if isinstance(columns, slice) and isinstance(columns.start or columns.stop, str):  # from one name to another one
        first = 0 if columns.start is None else names.index(columns.start)
        last = len(names) if columns.stop is None else names.index(columns.stop) + 1
        return names[first : last : columns.step]
    if isinstance(columns, (str, int, slice)):
        return columns
    array = np.asarray(columns)
    return (np.flatnonzero(array) if array.dtype == bool else array).tolist()


def _parse_function(
    scope: Scope,  # noqa: ARG001 - skl2onnx calls it so
    model: FunctionTransformer,
    inputs: Variables,
    custom_parsers: Parsers | None = None,  # noqa: ARG001 - as above
) -> Variables:
    """A function that changes nothing: none at all, or the check that HistGradientBoosting does.

    Raises:
        NotImplementedError: any other function.
    """
    function = getattr(model.func, "func", model.func)
    if function is not None and getattr(function, "__name__", "") != "check_array":
        name = getattr(function, "__name__", repr(function))
        raise NotImplementedError(f"FunctionTransformer({name}) has no ONNX converter here")
    return inputs


def _parse_calibrated(
    scope: Scope, model: CalibratedClassifierCV, inputs: Variables, custom_parsers: Parsers | None = None
) -> Variables:
    """Its members' decision functions, and the curves on them as an operator with an input per member."""
    calibrator = scope.declare_local_operator(None, model)
    for member in model.calibrated_classifiers_:
        calibrator.inputs.append(_parse_decision(scope, member.estimator, inputs, custom_parsers))
    for name in ("label", "probabilities"):
        calibrator.outputs.append(scope.declare_local_variable(name, DoubleTensorType()))
    return list(calibrator.outputs)


def _parse_decision(scope: Scope, estimator: Any, inputs: Variables, custom_parsers: Parsers | None) -> Variable:  # noqa: ANN401
    while isinstance(estimator, (FrozenEstimator, Pipeline)):
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
            continue
        for _, step in estimator.steps[:-1]:
            inputs = inputs if step in (None, "passthrough") else _parse(scope, step, inputs, custom_parsers)
        estimator = estimator.steps[-1][1]
    operator = scope.declare_local_operator(None, Decision(estimator))
    operator.inputs = inputs
    decision: Variable = scope.declare_local_variable("decision", DoubleTensorType())
    operator.outputs.append(decision)
    return decision
