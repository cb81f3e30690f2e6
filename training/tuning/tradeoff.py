"""The study of two objectives, a score and latency: its search space, and what a trial of it is worth.

Optuna doesn't prune trials with several objectives, so that each is evaluated on all folds. Since latency is measured,
two such studies are not the same to the bit, whatever the seed.
"""

from functools import cached_property

import optuna

from bundle.graph_names import Task
from training.data.prepare import PreparedRows
from training.dataset import Parameters
from training.export.graphs import tree_nodes
from training.model.evaluation import Scored, best_threshold, standard_error
from training.model.folds import Fold, out_of_fold
from training.model.score import Score
from training.tuning.latency import Latency, Stopwatch, export_trial
from training.tuning.objective import suggest_regularization

TRADEOFF_VERSION = 2
"""Part of the study's name: a changed search space or way of timing must not continue an old study."""

LEAST_TREES, MOST_TREES = 5, 300

MEASURED = ("standard_error", "us_per_row_of_100", "nodes", "graph_bytes")
"""Attributes of a trial, named as the manifest names them."""

_STANDARD = "reference µs/row, rows per call: {}"
"""Study attribute: what the reference graph took when the study began, on the machine that began it."""


def suggest_small_and_large(trial: optuna.Trial, task: Task) -> Parameters:
    """One point of a search space that reaches from five shallow trees to the largest model of the other study.

    Trees are drawn on a logarithmic scale, or most trials would be large; few trees need large steps.
    """
    return {
        "n_estimators": trial.suggest_int("n_estimators", LEAST_TREES, MOST_TREES, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 0.03, 1.0, log=True),
        "max_depth": trial.suggest_int("max_depth", 2, 6),
        **suggest_regularization(trial, task),
    }


class Tradeoff:
    """Evaluates trials by the score and by the latency of the graph that would be published."""

    def __init__(self, rows: PreparedRows, folds: list[Fold], score: Score, *, seed: int, threads: int) -> None:
        self._rows = rows
        self._folds = folds
        self._score = score
        self._seed = seed
        self._threads = threads

    @cached_property
    def _stopwatch(self) -> Stopwatch:
        """Made when the first trial needs it: a study that is finished needs none."""
        return Stopwatch(self._rows, seed=self._seed)

    def __call__(self, trial: optuna.Trial) -> tuple[float, float]:
        """The score over all folds' predictions together, and µs per row of the packed graph, one row a call.

        Other figures that a person may want to choose by become attributes of the trial.

        Raises:
            ConversionError: the model can't be converted.
        """
        parameters = suggest_small_and_large(trial, self._score.task)
        scored = Scored(self._rows.target, out_of_fold(self._folds, parameters, threads=self._threads))
        binary = self._score.task == "binary_classification"
        threshold = best_threshold(self._score, scored.target, scored.output) if binary else None
        graph = export_trial(self._rows, parameters, threshold, seed=self._seed)
        latency = self._stopwatch.measure(graph, self._standard(trial.study))
        error = standard_error(self._score, scored, threshold)
        measured = (error, latency.us_per_row[100], tree_nodes(graph), len(graph))
        for name, value in zip(MEASURED, measured, strict=True):
            trial.set_user_attr(name, value)
        return self._score(scored.target, scored.output, threshold), latency.us_per_row[1]

    def _standard(self, study: optuna.Study) -> Latency:
        """The reference graph's latency, by which all trials are scaled; the first process of a study measures it.

        It is read again for every trial: of two processes that begin a study at once, the later one's stays.
        """
        names = {count: _STANDARD.format(count) for count in (1, 100)}
        if any(name not in study.user_attrs for name in names.values()):
            measured = self._stopwatch.reference()
            for count, name in names.items():
                study.set_user_attr(name, measured.us_per_row[count])
        attributes = study.user_attrs
        return Latency({count: float(attributes[name]) for count, name in names.items()})
