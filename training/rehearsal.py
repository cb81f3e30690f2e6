"""A small run before the study, so that a failing fit or export is reported in seconds, not after hours."""

import dataclasses

import numpy as np
import optuna

from training.data.prepare import PreparedRows
from training.dataset import Dataset, Parameters
from training.errors import TrainingError
from training.export.artifacts import make_contents
from training.model.evaluation import Scored
from training.model.fitting import finish_model
from training.model.score import Target
from training.tuning.objective import search_space

ROWS = 400
HELD_OUT_ROWS = 200
MOST_TREES = 10


def rehearse(rows: PreparedRows, *, seed: int) -> None:
    """Fit the pipeline on a few rows with parameters of the search space, export it, and pass it through the gate.

    Raises:
        TrainingError: the data set's own pipeline or space raised something, or the model can't be exported.
    """
    few = _sample(rows)
    try:
        parameters = _parameters(few.dataset, seed)
        threshold = 0.5 if few.dataset.task == "binary_classification" else None
        nothing = Scored(few.target[:0], np.empty(0, dtype=np.float32))
        model = finish_model(few, parameters, threshold, nothing, seed=seed)
    except TrainingError:
        raise
    except Exception as error:  # the data set's own code, which may raise anything
        raise TrainingError(
            f"{few.dataset.name}: the pipeline can't be fitted: {type(error).__name__}: {error}"
        ) from error
    make_contents(few, model)


def _parameters(dataset: Dataset, seed: int) -> Parameters:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    parameters = dict(search_space(dataset)(study.ask()))
    if "n_estimators" in parameters:
        parameters["n_estimators"] = min(MOST_TREES, parameters["n_estimators"])
    return parameters


def _sample(rows: PreparedRows) -> PreparedRows:
    """The first rows of each class."""
    inside = _first(rows.dataset, rows.target, ROWS)
    outside = _first(rows.dataset, rows.held_out_target, HELD_OUT_ROWS)
    return dataclasses.replace(
        rows,
        training=rows.training[inside.tolist()],
        held_out=rows.held_out[outside.tolist()],
        features=rows.features[inside.tolist()],
        target=rows.target[inside],
        held_out_target=rows.held_out_target[outside],
    )


def _first(dataset: Dataset, target: Target, count: int) -> np.ndarray:
    """Positions of the first `count` rows, as many of each class, in order."""
    if not dataset.classes:
        return np.arange(min(count, len(target)))
    each = max(2, count // len(dataset.classes))
    return np.sort(np.concatenate([np.flatnonzero(target == label)[:each] for label in range(len(dataset.classes))]))
