"""Which estimators have a converter of our own."""

import importlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from skl2onnx.common._topology import Variable
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, TensorType
from sklearn import ensemble, linear_model, svm, tree
from sklearn.calibration import CalibratedClassifierCV
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, PolynomialFeatures, TargetEncoder

from training.export.converters import (
    calibration,
    encoders,
    hist_gradient_boosting,
    imputer,
    linear,
    polynomials,
    sklearn_trees,
    target_encoder,
)
from training.export.converters.calibration import Decision
from training.export.converters.emitter import Converter, Emit, Emitter


def _classes(model: Any, _inputs: Sequence[Variable]) -> int:  # noqa: ANN401 - any classifier
    return len(model.classes_)


def _one(_model: object, _inputs: Sequence[Variable]) -> int:
    return 1


CLASSIFIERS: Mapping[type, Emit] = {
    linear_model.LogisticRegression: linear.logistic_regression,
    linear_model.LogisticRegressionCV: linear.logistic_regression,
    tree.DecisionTreeClassifier: sklearn_trees.forest,
    tree.ExtraTreeClassifier: sklearn_trees.forest,
    ensemble.RandomForestClassifier: sklearn_trees.forest,
    ensemble.ExtraTreesClassifier: sklearn_trees.forest,
    ensemble.GradientBoostingClassifier: sklearn_trees.boosting_classifier,
    ensemble.HistGradientBoostingClassifier: hist_gradient_boosting.hist_classifier,
    CalibratedClassifierCV: calibration.calibrate,
}

REGRESSORS: Mapping[type, Emit] = {
    **dict.fromkeys(
        (
            linear_model.LinearRegression, linear_model.Ridge, linear_model.RidgeCV, linear_model.Lasso,
            linear_model.LassoCV, linear_model.ElasticNet, linear_model.ElasticNetCV, linear_model.HuberRegressor,
            linear_model.BayesianRidge, svm.LinearSVR,
        ),
        linear.linear_scores,
    ),
    svm.SVR: linear.svr_value,
    svm.NuSVR: linear.svr_value,
    tree.DecisionTreeRegressor: sklearn_trees.forest,
    tree.ExtraTreeRegressor: sklearn_trees.forest,
    ensemble.RandomForestRegressor: sklearn_trees.forest,
    ensemble.ExtraTreesRegressor: sklearn_trees.forest,
    ensemble.GradientBoostingRegressor: sklearn_trees.boosting_scores,
    ensemble.HistGradientBoostingRegressor: hist_gradient_boosting.hist_regressor,
}  # fmt: skip

DECISIONS: Mapping[type, Emit] = {
    **dict.fromkeys(
        (
            linear_model.LogisticRegression, linear_model.LogisticRegressionCV, linear_model.SGDClassifier,
            linear_model.RidgeClassifier, linear_model.RidgeClassifierCV, linear_model.Perceptron, svm.LinearSVC,
        ),
        linear.linear_scores,
    ),
    svm.SVC: linear.svc_scores,
    svm.NuSVC: linear.svc_scores,
    ensemble.GradientBoostingClassifier: sklearn_trees.boosting_scores,
    ensemble.HistGradientBoostingClassifier: hist_gradient_boosting.hist_scores,
}  # fmt: skip


@cache
def converters() -> Mapping[type, Converter]:
    """Every estimator with a converter of ours; XGBoost's and LightGBM's where they are installed."""
    return {
        OneHotEncoder: Converter(encoders.one_hot, encoders.one_hot_width, FloatTensorType),
        OrdinalEncoder: Converter(encoders.ordinal, encoders.ordinal_width, FloatTensorType),
        SimpleImputer: Converter(imputer.impute, imputer.imputed_width, None),
        PolynomialFeatures: Converter(polynomials.expand, polynomials.expanded_width),
        TargetEncoder: Converter(target_encoder.target_means, target_encoder.target_means_width),
        Decision: Converter(_decide, lambda _model, _inputs: None),
        **{model: Converter(emit, _classes, classifier=True) for model, emit in CLASSIFIERS.items()},
        **{model: Converter(emit, _one) for model, emit in REGRESSORS.items()},
        **_boosters("xgboost", "XGB", FloatTensorType),
        **_boosters("xgboost", "XGBRF", FloatTensorType),
        **_boosters("lightgbm", "LGBM", DoubleTensorType),
    }


def _boosters(library: str, prefix: str, result: type[TensorType]) -> dict[type, Converter]:
    try:
        estimators = importlib.import_module(library)
    except ImportError:
        return {}
    own = importlib.import_module(f"training.export.converters.{library}_trees")
    return {
        getattr(estimators, f"{prefix}Classifier"): Converter(
            getattr(own, f"{library}_classifier"), _classes, result, classifier=True
        ),
        getattr(estimators, f"{prefix}Regressor"): Converter(getattr(own, f"{library}_regressor"), _one, result),
    }


def _decide(emitter: Emitter, wanted: Decision, inputs: Sequence[Variable]) -> str:
    kind = type(wanted.estimator)
    if kind in DECISIONS:
        return DECISIONS[kind](emitter, wanted.estimator, inputs)
    if not hasattr(wanted.estimator, "decision_function") and kind in converters():
        return converters()[kind].emit(emitter, wanted.estimator, inputs)
    raise NotImplementedError(f"CalibratedClassifierCV on {kind.__name__} has no ONNX converter here")
