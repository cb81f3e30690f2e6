"""Fit on rows that stay on disk: XGBoost's external-memory matrix, filled batch by batch from partitioned rows.

What needs all rows at once is done elsewhere: the study and the encoders take the sample (see `training.survey`).
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from tqdm import tqdm

from training.dataset import Nominal
from training.errors import TrainingError
from training.evaluation import Scored, best_threshold
from training.features import fill_missing
from training.model import Model
from training.partitions import Part, Partitions
from training.pipeline import Parameters, apply_threshold, build_pipeline
from training.rows import PreparedRows, class_indices
from training.survey import Plan

DENSE_BYTES, SPARSE_BYTES = 2.3, 5.3
"""What a value takes in XGBoost's matrix on disk, as measured: a bin index by row and by column, or with positions too
if any value is missing."""


def fit_external(
    rows: PreparedRows, partitions: Partitions, plan: Plan, parameters: Parameters, *, seed: int, threads: int
) -> Model:
    """Fit the pipeline on all training rows, and choose the threshold on the validation rows, which it has not seen.

    The trees are those that `XGBClassifier.fit` would grow, from the same arguments, but for the quantiles that become
    split candidates: they are summaries of batches, merged.

    Raises:
        DataError: a file can't be read any more.
        TrainingError: there is no room for XGBoost's files in the temporary folder.
    """
    pipeline = build_pipeline(rows.dataset, parameters, seed=seed)
    pipeline.named_steps["preprocessing"].fit(rows.features)
    _check_room(rows, len(pipeline.named_steps["preprocessing"].get_feature_names_out()))
    booster = _grow(pipeline, partitions, plan.training, threads)
    pipeline.named_steps["classifier"].load_model(bytearray(booster.save_raw()))
    validation = predict_part(pipeline, partitions, plan.validation, "threshold")
    threshold = best_threshold(validation.target, validation.probability)
    return Model(apply_threshold(pipeline, threshold, rows.features, rows.target), threshold, validation)


def _grow(pipeline: Pipeline, partitions: Partitions, part: Part, threads: int) -> xgb.Booster:
    """The trees of the pipeline's unfitted classifier; its preprocessing is fitted."""
    classifier = pipeline.named_steps["classifier"]
    with tempfile.TemporaryDirectory(prefix="train-") as cache:
        batches = _Batches(pipeline, partitions, part, os.path.join(cache, "matrix"))  # noqa: PTH118 - a prefix
        matrix = xgb.ExtMemQuantileDMatrix(batches, nthread=threads)
        batches.bar.close()
        rounds = classifier.get_num_boosting_rounds()
        arguments = {**classifier.get_xgb_params(), "n_jobs": threads}
        with tqdm(total=rounds, desc="trees", unit="tree") as bar:
            booster = xgb.train(arguments, matrix, num_boost_round=rounds, callbacks=[_Progress(bar)])
        del matrix, batches  # they remove their own files, and complain when somebody else has
    return booster


def _check_room(rows: PreparedRows, columns: int) -> None:
    """XGBoost ends the whole process when it can't write: look first."""
    missing = any(feature.nullable for feature in rows.dataset.features if not isinstance(feature, Nominal))
    needed = rows.description.training_rows * columns * (SPARSE_BYTES if missing else DENSE_BYTES)
    folder = tempfile.gettempdir()
    if (free := shutil.disk_usage(folder).free) < needed:
        raise TrainingError(
            f"{folder}: {free / 1e9:.1f} GB are free, but XGBoost's matrix of {rows.description.training_rows:,} rows "
            f"and {columns} columns takes about {needed / 1e9:.1f} GB; set TMPDIR to a folder with room"
        )


def predict_part(pipeline: Pipeline, partitions: Partitions, part: Part, name: str) -> Scored:
    """The rows' targets and P(positive): twelve bytes a row, whatever its features are.

    Raises:
        DataError: a file can't be read any more.
    """
    targets: list[NDArray[np.int8]] = []
    probabilities: list[NDArray[np.float32]] = []
    with tqdm(desc=name, unit=" rows", unit_scale=True) as bar:
        for frame in partitions.read(part):
            features = fill_missing(partitions.dataset, frame)
            probabilities.append(pipeline.predict_proba(features)[:, 1].astype(np.float32))
            targets.append(class_indices(partitions.dataset, frame).astype(np.int8))
            bar.update(frame.height)
    return Scored(np.concatenate(targets).astype(np.int64), np.concatenate(probabilities))


class _Batches(xgb.DataIter):  # type: ignore[misc]  # XGBoost has no types
    """Training rows as float32 matrices; XGBoost asks for all of them several times, and keeps its own form on disk."""

    def __init__(self, pipeline: Pipeline, partitions: Partitions, part: Part, cache_prefix: str) -> None:
        super().__init__(cache_prefix=cache_prefix)
        self._preprocessing = pipeline.named_steps["preprocessing"]
        self._partitions = partitions
        self._part = part
        self._frames: Iterator[Any] = iter(())
        self.bar = tqdm(desc="matrix", unit=" rows", unit_scale=True)

    def reset(self) -> None:
        """Start again with the first rows."""
        self._frames = self._partitions.read(self._part)

    def next(self, input_data: Callable[..., None]) -> bool:
        """Hand the next batch to XGBoost; False after the last one."""
        frame = next(self._frames, None)
        if frame is None:
            return False
        features = fill_missing(self._partitions.dataset, frame)
        matrix = self._preprocessing.transform(features).astype(np.float32)
        input_data(data=matrix, label=class_indices(self._partitions.dataset, frame))
        self.bar.update(frame.height)
        return True


class _Progress(xgb.callback.TrainingCallback):  # type: ignore[misc]  # XGBoost has no types
    """Moves a progress bar on with every tree."""

    def __init__(self, bar: "tqdm[Any]") -> None:
        self._bar = bar

    def after_iteration(self, model: xgb.Booster, epoch: int, evals_log: object) -> bool:  # noqa: ARG002 - XGBoost's names
        """False: go on."""
        self._bar.update()
        return False
