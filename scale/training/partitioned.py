"""What fits on partitioned rows have in common: encoders fitted on the sample, batches for XGBoost, streamed scores."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import polars as pl
import xgboost as xgb
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from xgboost import XGBModel

from scale.training.partitions import DrawRange, ForEach, Partition, Partitions, one_by_one
from scale.training.sample import Plan
from training.data.prepare import PreparedRows, pipeline_frame, targets
from training.dataset import Dataset, Nominal, Parameters
from training.interruption import stop_if_held
from training.model.evaluation import Scored, best_threshold
from training.model.fitting import Model
from training.model.folds import output_of
from training.model.pipeline import apply_threshold, build_pipeline
from training.model.score import Output, Score, Target
from training.progress import progress_bar

DENSE_BYTES, SPARSE_BYTES = 2.3, 5.3
"""Bytes per value in XGBoost's quantile matrix, as measured: a bin index by row and by column, and positions, too, if
any value is missing."""


def fit_partitioned(
    rows: PreparedRows,
    partitions: Partitions,
    plan: Plan,
    parameters: Parameters,
    score: Score,
    grow: Callable[[Pipeline], bytes],
    for_each: ForEach = one_by_one,
    *,
    seed: int,
) -> Model:
    """Fit the encoders on the sample and the trees with `grow`, and choose the threshold on the validation rows.

    `grow` gets the pipeline with fitted preprocessing, and returns the trees of its classifier for all training rows
    (`Booster.save_raw`). They are those that `XGBClassifier.fit` would grow, from the same arguments, except for the
    quantiles that become split candidates: they come from merged summaries of batches.

    Raises:
        DataError: a file can't be read any more.
    """
    pipeline = build_pipeline(rows.dataset, parameters, rows.wide, seed=seed)
    pipeline.named_steps["preprocessing"].fit(rows.features, rows.target)
    pipeline.named_steps["model"].load_model(bytearray(grow(pipeline)))
    validation = predict_part(pipeline, partitions, plan.validation, "threshold", for_each)
    if score.task != "binary_classification":
        return Model(pipeline, pipeline, None, validation)
    threshold = best_threshold(score, validation.target, validation.output)
    return Model(apply_threshold(pipeline, threshold, rows.features, rows.target), pipeline, threshold, validation)


def boosting_arguments(dataset: Dataset, model: XGBModel) -> dict[str, Any]:
    """The parameters of the trees that the unfitted `model` would grow, for `xgboost.train`."""
    classes = {"num_class": len(dataset.classes)} if dataset.task == "multiclass_classification" else {}
    return {**model.get_xgb_params(), **classes}


def matrix_bytes(rows: PreparedRows, preprocessing: ColumnTransformer) -> float:
    """What XGBoost's quantile matrix of all training rows takes."""
    missing = any(feature.nullable for feature in rows.dataset.features if not isinstance(feature, Nominal))
    columns = len(preprocessing.get_feature_names_out())
    return rows.description.training_rows * columns * (SPARSE_BYTES if missing else DENSE_BYTES)


def predict_part(
    pipeline: Pipeline, partitions: Partitions, part: DrawRange, name: str, for_each: ForEach = one_by_one
) -> Scored:
    """The rows' targets and what the pipeline gives for them: some twelve bytes a row, whatever its features are.

    Raises:
        DataError: a file can't be read any more.
    """
    scored: list[Scored] = []
    with progress_bar(name, "rows", total=partitions.rows, unit_scale=True) as bar:
        found = for_each(_predict_file, (pipeline, part), partitions.partitions)
        for partition, result in zip(partitions.partitions, found, strict=True):
            scored.append(result)
            bar.update(partition.rows)
    target = np.concatenate([result.target for result in scored])
    return Scored(target, np.concatenate([result.output for result in scored]))


def _predict_file(shared: tuple[Pipeline, DrawRange], partition: Partition) -> Scored:
    pipeline, part = shared
    dataset = partition.dataset
    wide = (len(dataset.classes),) if dataset.task == "multiclass_classification" else ()
    found: list[Target] = [np.empty(0, dtype=np.int64 if dataset.classes else np.float64)]
    outputs: list[Output] = [np.empty((0, *wide), dtype=np.float32)]
    for frame in partition.read(part):
        outputs.append(output_of(pipeline, pipeline_frame(dataset, frame), dataset.task))
        found.append(targets(dataset, frame))
    return Scored(np.concatenate(found), np.concatenate(outputs))


class EncodedBatches(xgb.DataIter):  # type: ignore[misc]  # XGBoost has no types
    """Rows of a part as float32 matrices; XGBoost asks for all of them several times, and keeps its own form.

    That form is kept in files if `cache_prefix` says where. `advance` is called with each batch's number of rows.
    """

    def __init__(
        self,
        preprocessing: ColumnTransformer,
        partitions: Sequence[Partition],
        part: DrawRange,
        *,
        advance: Callable[[int], object],
        cache_prefix: str | None = None,
    ) -> None:
        super().__init__(cache_prefix=cache_prefix)
        self._preprocessing = preprocessing
        self._partitions = partitions
        self._part = part
        self._advance = advance
        self._frames: Iterator[pl.DataFrame] = iter(())

    def reset(self) -> None:
        """Start again with the first rows."""
        self._frames = chain.from_iterable(partition.read(self._part) for partition in self._partitions)

    def next(self, input_data: Callable[..., None]) -> bool:
        """Hand the next batch to XGBoost; False after the last one.

        Raises:
            StoppedError: Ctrl-C is held.
        """
        stop_if_held()
        frame = next(self._frames, None)
        if frame is None:
            return False
        dataset = self._partitions[0].dataset
        matrix = self._preprocessing.transform(pipeline_frame(dataset, frame)).astype(np.float32)
        input_data(data=matrix, label=targets(dataset, frame))
        self._advance(frame.height)
        return True


class EveryRound(xgb.callback.TrainingCallback):  # type: ignore[misc]  # XGBoost has no types
    """Calls `advance` after every round."""

    def __init__(self, advance: Callable[[], object]) -> None:
        self._advance = advance

    def after_iteration(self, model: Any, epoch: int, evals_log: object) -> bool:  # noqa: ANN401, ARG002 - XGBoost's
        """Return False: go on."""
        self._advance()
        return False
