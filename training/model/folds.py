"""Cross-validation folds of the training rows, prepared once, and the fits on them."""

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import polars as pl
import xgboost as xgb
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold, StratifiedKFold

from bundle.graph_names import Task
from training.dataset import Dataset, Parameters
from training.interruption import interrupts_held, raise_held
from training.model.pipeline import OBJECTIVES, build_pipeline, build_preprocessing
from training.model.score import Output, Target

FOLDS = 4
"""Even, so that two cores get the same amount of work."""

Predict = Callable[[Parameters], Output]


@dataclass(frozen=True)
class Fold:
    """`rows` are the indices of the validation rows; `predict(parameters)` returns the output for them of a model that
    was fitted on all other rows.
    """

    rows: NDArray[np.int_]
    predict: Predict


def prepare_folds(
    dataset: Dataset, features: pl.DataFrame, target: Target, wide: Collection[str], *, seed: int
) -> list[Fold]:
    """Split the training rows, stratified by class; encoders see only each fold's own training part.

    Rows for XGBoost are encoded and binned here, once for all trials. A data set's own pipeline is fitted whole.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; raised once the fold that was begun is prepared.
    """
    splitter = KFold if dataset.task == "regression" else StratifiedKFold
    parts = splitter(FOLDS, shuffle=True, random_state=seed).split(features, target)
    splits = [_Split(dataset, features, target, wide, seed, inside, outside) for inside, outside in parts]
    folds = []
    with interrupts_held():
        for split in splits:
            folds.append(Fold(split.outside, (_own_pipeline if dataset.pipeline else _boosted)(split)))
            raise_held()
    return folds


@dataclass(frozen=True)
class _Split:
    """Training rows, with the indices of those to fit on and of those to validate with."""

    dataset: Dataset
    features: pl.DataFrame
    target: Target
    wide: Collection[str]
    seed: int
    inside: NDArray[np.int_]
    outside: NDArray[np.int_]


def _boosted(split: _Split) -> Predict:
    dataset, features, target = split.dataset, split.features, split.target
    inside, outside = split.inside, split.outside
    preprocessing = build_preprocessing(dataset, split.wide, seed=split.seed)
    matrix = preprocessing.fit_transform(features[inside], target[inside]).astype(np.float32)
    training = xgb.QuantileDMatrix(matrix, target[inside])
    matrix = preprocessing.transform(features[outside]).astype(np.float32)
    validation = xgb.QuantileDMatrix(matrix, target[outside], ref=training)
    common: dict[str, Any] = {
        "objective": OBJECTIVES[dataset.task], "tree_method": "hist", "seed": split.seed, "nthread": 1,
    }  # fmt: skip
    if dataset.task == "multiclass_classification":
        common["num_class"] = len(dataset.classes)

    def predict(parameters: Parameters) -> Output:
        options = {**parameters, **common}
        rounds = int(options.pop("n_estimators"))
        booster = xgb.train(options, training, num_boost_round=rounds)
        predicted: Output = booster.predict(validation)
        return predicted

    return predict


def _own_pipeline(split: _Split) -> Predict:
    def predict(parameters: Parameters) -> Output:
        pipeline = build_pipeline(split.dataset, parameters, split.wide, seed=split.seed)
        estimator = pipeline.fit(split.features[split.inside], split.target[split.inside])
        return output_of(estimator, split.features[split.outside], split.dataset.task)

    return predict


def output_of(estimator: BaseEstimator, features: Any, task: Task) -> Output:  # noqa: ANN401 - any frame
    """What a fitted estimator gives, float32: P(positive) [rows], P(class) [rows, K] or values [rows]."""
    if task == "regression":
        values: Output = np.asarray(estimator.predict(features)).astype(np.float32).reshape(-1)
        return values
    probabilities: Output = estimator.predict_proba(features).astype(np.float32)
    return probabilities[:, 1] if task == "binary_classification" else probabilities


def fold_predictions(
    folds: list[Fold], parameters: Parameters, *, threads: int
) -> Generator[tuple[NDArray[np.int_], Output]]:
    """Fit the folds side by side: (indices of the validation rows, their outputs), in order.

    Each fit has one thread: results don't depend on the number of cores, and XGBoost's threads, which spin at every
    level of every tree, don't fight over cores that others use too. A fold beyond the first `threads` is begun when the
    caller asks for more, so that one that stops early, as a pruned trial does, pays for few folds in vain.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed during a study; raised once the folds that were begun are finished.
    """
    to_come = iter(folds)
    with ThreadPoolExecutor(threads) as pool:
        begun = deque((fold, pool.submit(fold.predict, parameters)) for fold in islice(to_come, threads))
        while begun:
            fold, future = begun.popleft()
            output = future.result()
            raise_held()
            yield fold.rows, output
            begun.extend((fold, pool.submit(fold.predict, parameters)) for fold in islice(to_come, 1))


def out_of_fold(folds: list[Fold], parameters: Parameters, *, threads: int) -> Output:
    """The output for every training row, from the model that did not see it."""
    return joined(fold_predictions(folds, parameters, threads=threads))


def joined(parts: Iterator[tuple[NDArray[np.int_], Output]]) -> Output:
    """The folds' outputs in the order of the training rows."""
    collected = list(parts)
    first = collected[0][1]
    output = np.empty((sum(rows.size for rows, _ in collected), *first.shape[1:]), dtype=np.float32)
    for rows, predicted in collected:
        output[rows] = predicted
    return output
