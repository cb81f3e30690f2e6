"""The scikit-learn pipeline: preprocessing, XGBoost, and the decision threshold. Library classes only.

A missing value reaches it as null in a column of strings and as NaN in one of numbers, so that the pickle by itself
gives what the services give.
"""

from collections.abc import Collection

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, KFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder
from xgboost import XGBClassifier, XGBRegressor

from bundle.graph_names import Task
from training.dataset import Dataset, Nominal, Ordinal, Parameters, feature_names

MOST_ONE_HOT = 1000
"""A column of more categories is target-encoded: as many dense columns would be mostly zeros."""

OBJECTIVES: dict[Task, str] = {
    "binary_classification": "binary:logistic",
    "multiclass_classification": "multi:softprob",
    "regression": "reg:squarederror",
}


def build_preprocessing(dataset: Dataset, wide: Collection[str], *, seed: int) -> ColumnTransformer:
    """Ordinal ranks, one-hot nominal columns, target-encoded `wide` ones, then the numbers: float [rows, columns].

    A rank that was never declared is NaN (the trees treat it as missing). Nominal categories with too few rows share a
    column with unseen ones; if there are none of the former, unseen ones are zero in all columns. Null is a category of
    its own. A target-encoded category is its mean target, shrunk towards the mean of all rows; rows of the fit are
    encoded by folds that did not see them (scikit-learn's TargetEncoder).
    """
    ordinal = [feature for feature in dataset.features if isinstance(feature, Ordinal)]
    nominal = [feature.name for feature in dataset.features if isinstance(feature, Nominal)]
    ranks = OrdinalEncoder(
        categories=[list(feature.categories) for feature in ordinal],
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
    )
    rare = {"min_frequency": dataset.min_frequency} if dataset.min_frequency > 1 else {}
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", sparse_output=False, **rare)
    steps = [
        ("ordinal", ranks, feature_names(ordinal)),
        ("nominal", one_hot, [name for name in nominal if name not in wide]),
        ("wide", TargetEncoder(cv=_folds_of(dataset.task, seed)), [name for name in nominal if name in wide]),
        ("numeric", "passthrough", feature_names(dataset.numeric)),
    ]
    # a transformer without columns stays unfitted, and has no ONNX form
    return ColumnTransformer([step for step in steps if step[2]], verbose_feature_names_out=False)


def _folds_of(task: Task, seed: int) -> KFold | StratifiedKFold:
    kind = KFold if task == "regression" else StratifiedKFold
    return kind(5, shuffle=True, random_state=seed)


def wide_columns(dataset: Dataset, training: pl.DataFrame) -> tuple[str, ...]:
    """Nominal features with more than `MOST_ONE_HOT` categories that aren't rare."""
    found = []
    for feature in dataset.features:
        if isinstance(feature, Nominal):
            counts = training[feature.name].drop_nulls().value_counts(name="rows")["rows"]
            if (counts >= dataset.min_frequency).sum() > MOST_ONE_HOT:
                found.append(feature.name)
    return tuple(found)


def build_pipeline(dataset: Dataset, parameters: Parameters, wide: Collection[str], *, seed: int) -> BaseEstimator:
    """The unfitted pipeline: the data set's own, or the preprocessing and XGBoost with the study's parameters.

    One thread, when it is fitted and when it serves: services scale by processes.
    """
    if dataset.pipeline is not None:
        return dataset.pipeline(parameters, seed)
    kind = XGBRegressor if dataset.task == "regression" else XGBClassifier
    model = kind(objective=OBJECTIVES[dataset.task], tree_method="hist", random_state=seed, n_jobs=1, **parameters)
    return Pipeline([("preprocessing", build_preprocessing(dataset, wide, seed=seed)), ("model", model)])


def apply_threshold(
    pipeline: BaseEstimator, threshold: float, features: pl.DataFrame, target: np.ndarray
) -> FixedThresholdClassifier:
    """The fitted pipeline as a classifier whose `predict` is 1 where P(positive) >= threshold.

    The pipeline is not fitted again: it is frozen, and `features` and `target` only let scikit-learn see its classes.
    """
    frozen = FrozenEstimator(pipeline)
    return FixedThresholdClassifier(frozen, threshold=threshold, response_method="predict_proba").fit(features, target)
