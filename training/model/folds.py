"""Cross-validation folds, preprocessed and binned once, and the fits on them."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import xgboost as xgb
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from training.dataset import Dataset
from training.model.pipeline import Parameters, build_preprocessing

FOLDS = 4
"""Even, so that two cores have the same to do."""


@dataclass(frozen=True)
class Fold:
    """Binned matrices of one fold; `rows` are the indices of its validation rows."""

    training: xgb.QuantileDMatrix
    validation: xgb.QuantileDMatrix
    rows: NDArray[np.int_]


def prepare_folds(dataset: Dataset, features: pl.DataFrame, target: NDArray[np.int_], *, seed: int) -> list[Fold]:
    """Split the training rows; the encoders see only each fold's own training part, as in a real cross-validation."""
    folds = []
    for inside, outside in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(features, target):
        preprocessing = build_preprocessing(dataset, features[inside])
        matrix = preprocessing.fit_transform(features[inside]).astype(np.float32)
        training = xgb.QuantileDMatrix(matrix, target[inside])
        matrix = preprocessing.transform(features[outside]).astype(np.float32)
        validation = xgb.QuantileDMatrix(matrix, target[outside], ref=training)
        folds.append(Fold(training, validation, outside))
    return folds


def fold_predictions(
    folds: list[Fold], parameters: Parameters, *, seed: int, threads: int
) -> Generator[tuple[NDArray[np.int_], NDArray[np.float32]]]:
    """Fit the folds side by side: (indices of the validation rows, their P(positive)), in order.

    Each fit has one thread: results don't depend on the number of cores, and XGBoost's threads, which spin at every
    level of every tree, don't fight over cores that others use too. A caller that stops early stops the folds to come.
    """
    options: dict[str, Any] = dict(parameters)
    rounds = int(options.pop("n_estimators"))
    options |= {"objective": "binary:logistic", "tree_method": "hist", "seed": seed, "nthread": 1}

    def fit(fold: Fold) -> NDArray[np.float32]:
        booster = xgb.train(options, fold.training, num_boost_round=rounds)
        predicted: NDArray[np.float32] = booster.predict(fold.validation)
        return predicted

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(fit, fold) for fold in folds]
        try:
            for fold, future in zip(folds, futures, strict=True):
                yield fold.rows, future.result()
        finally:
            for future in futures:
                future.cancel()


def out_of_fold(folds: list[Fold], parameters: Parameters, *, seed: int, threads: int) -> NDArray[np.float32]:
    """P(positive) of every training row, from the model that did not see it. Shape [training rows]."""
    probability = np.empty(sum(fold.rows.size for fold in folds), dtype=np.float32)
    for rows, predicted in fold_predictions(folds, parameters, seed=seed, threads=threads):
        probability[rows] = predicted
    return probability
