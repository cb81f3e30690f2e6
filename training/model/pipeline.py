"""The scikit-learn pipeline: preprocessing, XGBoost, and the decision threshold. Library classes only."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
from xgboost import XGBClassifier

from training.dataset import Dataset, Nominal, Ordinal

Parameters = Mapping[str, int | float]


def build_preprocessing(dataset: Dataset) -> ColumnTransformer:
    """Ordinal ranks, one-hot nominal columns, then the numbers: float matrix [rows, columns], missing as NaN.

    A rank that was never declared is NaN (the trees send it the way of the missing); a nominal category that was never
    seen is zero in all its columns.
    """
    ordinal = [feature for feature in dataset.features if isinstance(feature, Ordinal)]
    nominal = [feature.name for feature in dataset.features if isinstance(feature, Nominal)]
    ranks = OrdinalEncoder(
        categories=[list(feature.categories) for feature in ordinal],
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
    )
    return ColumnTransformer(
        [
            ("ordinal", ranks, [feature.name for feature in ordinal]),
            ("nominal", OneHotEncoder(handle_unknown="ignore", sparse_output=False), nominal),
            ("numeric", "passthrough", [feature.name for feature in dataset.numeric]),
        ],
        verbose_feature_names_out=False,
    )


def build_pipeline(dataset: Dataset, parameters: Parameters, *, seed: int) -> Pipeline:
    """The unfitted pipeline with the study's parameters (names as XGBClassifier has them).

    One thread, when it is fitted and when it serves: services scale by processes.
    """
    classifier = XGBClassifier(
        objective="binary:logistic", tree_method="hist", random_state=seed, n_jobs=1, **parameters
    )
    return Pipeline([("preprocessing", build_preprocessing(dataset)), ("classifier", classifier)])


def apply_threshold(
    pipeline: Pipeline, threshold: float, features: pl.DataFrame, target: np.ndarray
) -> FixedThresholdClassifier:
    """The fitted pipeline as a classifier whose `predict` is 1 where P(positive) >= threshold.

    The pipeline is not fitted again: it is frozen, and `features` and `target` only let scikit-learn see its classes.
    """
    frozen = FrozenEstimator(pipeline)
    return FixedThresholdClassifier(frozen, threshold=threshold, response_method="predict_proba").fit(features, target)
