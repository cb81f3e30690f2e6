"""Fit on rows that stay on disk: XGBoost's external-memory matrix, filled batch by batch from partitioned rows.

What needs all rows at once is done elsewhere: the study and the encoders use the sample (see `scale.training.sample`).
"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial

import xgboost as xgb
from sklearn.pipeline import Pipeline

from bundle.cpus import usable_cpus
from scale.training.partitioned import (
    EncodedBatches,
    EveryRound,
    boosting_arguments,
    fit_partitioned,
    matrix_bytes,
    predict_part,
)
from scale.training.partitions import Partitions
from scale.training.sample import Plan, survey
from training.data.prepare import PreparedRows
from training.dataset import Parameters
from training.errors import TrainingError
from training.interruption import StoppedError, interrupts_held
from training.model.evaluation import Scored
from training.model.fitting import Model
from training.model.score import Score
from training.progress import progress_bar


@dataclass(frozen=True)
class External:
    """All files are read by this process, one after the other."""

    partitions: Partitions
    plan: Plan

    def prepare(self) -> PreparedRows:
        """The sample, as `survey` takes it.

        Raises:
            DataError: a row isn't what the data set declares.
        """
        return survey(self.partitions, self.plan)

    def fit(self, rows: PreparedRows, parameters: Parameters, score: Score, *, seed: int) -> Model:
        """A fit on all training rows, then the threshold on validation rows."""
        return fit_external(rows, self.partitions, self.plan, parameters, score, seed=seed, threads=usable_cpus())

    def score_held_out(self, model: Model) -> Scored:
        """Score all held-out rows, from the files."""
        return predict_part(model.pipeline, self.partitions, self.plan.held_out, "held out")


def fit_external(
    rows: PreparedRows,
    partitions: Partitions,
    plan: Plan,
    parameters: Parameters,
    score: Score,
    *,
    seed: int,
    threads: int,
) -> Model:
    """Fit the pipeline on all training rows, and choose the threshold on the validation rows, which it has not seen.

    Raises:
        DataError: a file can't be read any more.
        TrainingError: there is no room for XGBoost's files in the temporary folder.
    """
    grow = partial(_grow, rows, partitions, plan, threads)
    return fit_partitioned(rows, partitions, plan, parameters, score, grow, seed=seed)


def _grow(rows: PreparedRows, partitions: Partitions, plan: Plan, threads: int, pipeline: Pipeline) -> bytes:
    """The trees of the pipeline's unfitted classifier; its preprocessing is fitted."""
    preprocessing, classifier = pipeline.named_steps["preprocessing"], pipeline.named_steps["model"]
    _check_room(matrix_bytes(rows, preprocessing), rows.description.training_rows)
    with (
        tempfile.TemporaryDirectory(prefix="train-") as cache,
        progress_bar("matrix", "rows", unit_scale=True) as bar,
    ):
        prefix = os.path.join(cache, "matrix")  # noqa: PTH118 - a prefix, no path
        batches = EncodedBatches(
            preprocessing, partitions.partitions, plan.training, advance=bar.update, cache_prefix=prefix
        )
        with interrupts_held():
            try:
                matrix = xgb.ExtMemQuantileDMatrix(batches, nthread=threads)
            except StoppedError:
                raise KeyboardInterrupt from None
        bar.close()
        rounds = classifier.get_num_boosting_rounds()
        arguments = {**boosting_arguments(rows.dataset, classifier), "n_jobs": threads}
        with progress_bar("trees", "trees", total=rounds) as trees:
            booster = xgb.train(arguments, matrix, num_boost_round=rounds, callbacks=[EveryRound(trees.update)])
        del matrix, batches  # they remove their own files, and complain if somebody else has
    return bytes(booster.save_raw())


def _check_room(needed: float, rows: int) -> None:
    """XGBoost ends the whole process when it can't write: check first."""
    folder = tempfile.gettempdir()
    if (free := shutil.disk_usage(folder).free) < needed:
        raise TrainingError(
            f"{folder}: {free / 1e9:.1f} GB are free, but XGBoost's matrix of {rows:,} rows takes about "
            f"{needed / 1e9:.1f} GB; set TMPDIR to a folder with room"
        )
