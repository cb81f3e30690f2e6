"""What a trial of the study is worth (the score of out-of-fold predictions of training rows), and the search space."""

import hashlib
import inspect
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from types import CodeType

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from bundle.graph_names import Task
from training.dataset import Dataset, Parameters
from training.model.evaluation import Scored, best_threshold, standard_error, tuned
from training.model.folds import Fold, fold_predictions
from training.model.score import Output, Score, Target

SPACE_VERSION = 5
"""Part of the study's name: a changed search space must not continue an old study, nor one whose trials store less."""

STANDARD_ERROR = "standard_error"
"""Attribute of a trial: its score's standard error, out of fold, if no trial before it had a better score."""

Space = Callable[[optuna.Trial], Parameters]
Objective = Callable[[optuna.Trial], float | tuple[float, float]]
"""The value of a trial, or its score and its µs per row. May raise TrialPruned."""


def search_space(dataset: Dataset) -> Space:
    """The data set's own, or that of XGBoost."""
    if dataset.space is not None:
        return dataset.space
    return lambda trial: suggest_parameters(trial, dataset.task)


def suggest_parameters(trial: optuna.Trial, task: Task) -> Parameters:
    """One point of the search space, named as XGBoost's scikit-learn classes name their arguments.

    The upper bounds of trees and depth keep a prediction in tens of microseconds: a larger model must earn its latency.
    """
    return {
        "n_estimators": trial.suggest_int("n_estimators", 50, 300, step=25),
        "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.3, log=True),
        "max_depth": trial.suggest_int("max_depth", 3, 6),
        **suggest_regularization(trial, task),
    }


def suggest_regularization(trial: optuna.Trial, task: Task) -> Parameters:
    """What every search space for XGBoost has in common."""
    common = {
        "min_child_weight": trial.suggest_float("min_child_weight", 0.5, 20, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
        "gamma": trial.suggest_float("gamma", 1e-3, 5, log=True),
        "reg_alpha": trial.suggest_float("reg_alpha", 1e-3, 10, log=True),
        "reg_lambda": trial.suggest_float("reg_lambda", 1e-2, 30, log=True),
    }
    if task == "binary_classification":
        common["scale_pos_weight"] = trial.suggest_float("scale_pos_weight", 1, 6, log=True)
    return common


@dataclass(frozen=True)
class ScoreObjective:
    """The score over all folds' predictions together; after each fold the study may give the trial up."""

    score: Score
    space: Space
    folds: list[Fold]
    target: Target
    threads: int

    def __call__(self, trial: optuna.Trial) -> float:
        """The trial's value; its standard error becomes an attribute if it is the best so far.

        Raises:
            TrialPruned: it is too bad to continue.
        """
        seen: list[np.ndarray] = []
        outputs: list[Output] = []
        value = 0.0
        with closing(fold_predictions(self.folds, self.space(trial), threads=self.threads)) as predictions:
            for step, (rows, predicted) in enumerate(predictions):
                seen.append(rows)
                outputs.append(predicted)
                value = tuned(self.score, self.target[np.concatenate(seen)], np.concatenate(outputs))
                trial.report(value, step)
                if step + 1 < len(self.folds) and trial.should_prune():
                    raise optuna.TrialPruned
        if _is_best(trial.study, value):
            scored = Scored(self.target[np.concatenate(seen)], np.concatenate(outputs))
            trial.set_user_attr(STANDARD_ERROR, _error_of(self.score, scored))
        return value


def _is_best(study: optuna.Study, value: float) -> bool:
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return all(value >= other.values[0] for other in complete)


def _error_of(score: Score, scored: Scored) -> float:
    """The standard error of the score at the rows' own threshold."""
    binary = score.task == "binary_classification"
    threshold = best_threshold(score, scored.target, scored.output) if binary else None
    return standard_error(score, scored, threshold)


def cost_of(trial: FrozenTrial) -> float:
    """What a row costs to serve: its µs if the study has measured them, else the most comparisons that it takes, trees
    times depth. 0 for a trial without such parameters.
    """
    if len(trial.values) > 1:
        return float(trial.values[1])
    trees, depth = trial.params.get("n_estimators"), trial.params.get("max_depth")
    return trees * depth if isinstance(trees, int) and isinstance(depth, int) else 0


def study_name(dataset: Dataset, content: bytes, score: Score, *, seed: int, latency: int | None = None) -> str:
    """A name that changes with all that a trial depends on: only the same study is resumed.

    `content` are the training rows; `latency` is the version of the study that weighs latency, too.
    """
    own = [_source(function) for function in (dataset.pipeline, dataset.space) if function is not None]
    parts = [seed, SPACE_VERSION, score.name, latency, optuna.__version__, dataset.features, dataset.classes]
    digest = hashlib.sha256(content)
    digest.update("|".join(map(repr, [*parts, dataset.min_frequency, *own])).encode(errors="surrogatepass"))
    return f"{dataset.name}-{digest.hexdigest()[:12]}"


def _source(function: Callable[..., object]) -> tuple[str, str]:
    """A function's text, if there is one, and its own constants: two lambdas may stand on one line."""
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        text = ""
    code = getattr(function, "__code__", None)
    constants = [one for one in code.co_consts if not isinstance(one, CodeType)] if code else []
    return text, repr((constants, code.co_code if code else function))
