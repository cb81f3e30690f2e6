"""The model families that are compared: estimators as people serve them, behind the product's own preprocessing."""

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from xgboost import XGBClassifier

from training.dataset import Dataset, Nominal
from training.model.pipeline import build_preprocessing, wide_columns

PREPROCESSING, ESTIMATOR = "preprocessing", "estimator"
SVM_ROWS = 8000
"""The most rows that an SVM is fitted on: the time of its fit grows with their square."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """One line of the comparison.

    `build` makes the unfitted estimator of a seed, and `parameters` say what it is made with. `scaled` estimators need
    columns of one scale, and `takes_missing` ones handle NaN themselves. None is fitted on more than `training_rows`.
    """

    name: str
    build: Callable[[int], BaseEstimator]
    parameters: dict[str, int | float | str] = field(default_factory=dict)
    scaled: bool = False
    takes_missing: bool = False
    training_rows: int | None = None

    @property
    def description(self) -> str:
        """The parameters in a line; with the name it tells a family from every other."""
        return ", ".join(f"{name}={value}" for name, value in self.parameters.items())


def all_families() -> tuple[Family, ...]:
    """Every family, from the smallest model to the largest."""
    return (
        Family(name="linear regression", build=lambda _: LinearRegression(), scaled=True),
        Family(name="logistic regression", build=lambda _: LogisticRegression(max_iter=1000), scaled=True),
        mlp(64, 32),
        _svm(),
        _random_forest(trees=200, depth=12),
        _histogram_boosting(trees=200, leaves=31),
        *(xgboost(trees, depth) for trees, depth in ((100, 5), (300, 3), (300, 5), (300, 8), (1000, 5))),
    )


def mlp(*layers: int) -> Family:
    """A small neural network."""
    return Family(
        name="MLP",
        build=lambda seed: MLPClassifier(layers, early_stopping=True, random_state=seed),
        parameters={"layers": "x".join(map(str, layers))},
        scaled=True,
    )


def xgboost(trees: int, depth: int) -> Family:
    """The product's own kind of model."""
    return Family(
        name="XGBoost",
        build=lambda seed: XGBClassifier(
            n_estimators=trees, max_depth=depth, learning_rate=0.05, tree_method="hist", random_state=seed, n_jobs=1
        ),
        parameters={"trees": trees, "depth": depth},
        takes_missing=True,
    )


def _svm() -> Family:
    return Family(
        name="SVM, RBF kernel",
        build=lambda _: CalibratedClassifierCV(SVC(cache_size=500), ensemble=False, cv=3),
        parameters={"C": 1},
        scaled=True,
        training_rows=SVM_ROWS,
    )


def _random_forest(trees: int, depth: int) -> Family:
    return Family(
        name="random forest",
        build=lambda seed: RandomForestClassifier(trees, max_depth=depth, random_state=seed, n_jobs=1),
        parameters={"trees": trees, "depth": depth},
    )


def _histogram_boosting(trees: int, leaves: int) -> Family:
    return Family(
        name="histogram boosting",
        build=lambda seed: HistGradientBoostingClassifier(
            max_iter=trees, max_leaf_nodes=leaves, learning_rate=0.05, early_stopping=False, random_state=seed
        ),
        parameters={"trees": trees, "leaves": leaves},
        takes_missing=True,
    )


def build_pipeline(dataset: Dataset, features: pl.DataFrame, family: Family, *, seed: int) -> Pipeline:
    """The unfitted pipeline: the product's preprocessing, then the estimator.

    An imputer precedes an estimator that can't take NaN, if the data set can have any.
    """
    steps: list[BaseEstimator] = []
    if not family.takes_missing and any(f.nullable for f in dataset.features if not isinstance(f, Nominal)):
        steps.append(SimpleImputer())
    if family.scaled:
        steps.append(StandardScaler())
    estimator = make_pipeline(*steps, family.build(seed)) if steps else family.build(seed)
    return Pipeline(
        [
            (PREPROCESSING, build_preprocessing(dataset, wide_columns(dataset, features), seed=seed)),
            (ESTIMATOR, estimator),
        ]
    )
