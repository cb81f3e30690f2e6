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


def build_preprocessing(dataset: Dataset, features: pl.DataFrame) -> ColumnTransformer:
    """Ordinal ranks, one-hot nominal columns, then the numbers: float matrix [rows, columns], missing as NaN.

    A rank that was never declared is NaN (the trees send it the way of the missing). A missing nominal category is a
    category of its own, the first one, if it stands in `features`; one that isn't there is zero in all its columns.
    """
    ordinal = [feature for feature in dataset.features if isinstance(feature, Ordinal)]
    nominal = [feature.name for feature in dataset.features if isinstance(feature, Nominal)]
    ranks = OrdinalEncoder(
        categories=[list(feature.categories) for feature in ordinal],
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
    )
    one_hot = [features[name].unique().sort(nulls_last=False).to_numpy().astype(object) for name in nominal]
    return ColumnTransformer(
        [
            ("ordinal", ranks, [feature.name for feature in ordinal]),
            ("nominal", OneHotEncoder(categories=one_hot, handle_unknown="ignore", sparse_output=False), nominal),
            ("numeric", "passthrough", [feature.name for feature in dataset.numeric]),
        ],
        verbose_feature_names_out=False,
    )


def build_pipeline(dataset: Dataset, features: pl.DataFrame, parameters: Parameters, *, seed: int) -> Pipeline:
    """The unfitted pipeline with the study's parameters (names as XGBClassifier has them), for these features.

    One thread, when it is fitted and when it serves: services scale by processes.
    """
    classifier = XGBClassifier(
        objective="binary:logistic", tree_method="hist", random_state=seed, n_jobs=1, **parameters
    )
    return Pipeline([("preprocessing", build_preprocessing(dataset, features)), ("classifier", classifier)])


def apply_threshold(
    pipeline: Pipeline, threshold: float, features: pl.DataFrame, target: np.ndarray
) -> FixedThresholdClassifier:
    """The fitted pipeline as a classifier whose `predict` is 1 where P(positive) >= threshold.

    The pipeline is not fitted again: it is frozen, and `features` and `target` only let scikit-learn see its classes.
    """
    frozen = FrozenEstimator(pipeline)
    return FixedThresholdClassifier(frozen, threshold=threshold, response_method="predict_proba").fit(features, target)
