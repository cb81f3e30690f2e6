"""What only a training run knows of a model. A bundle that was packaged from an existing model has none of it."""

import msgspec


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """A raw data file that training read."""

    name: str
    bytes: int
    sha256: str


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """Where the rows came from. `source` is the data set's own name for its real files, or `synthetic`.

    `positive_fraction` is None unless there are two classes.
    """

    source: str
    files: tuple[SourceFile, ...]
    rows: int
    training_rows: int
    held_out_rows: int
    positive_fraction: float | None
    split_seed: int


class FrontTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A trial on the Pareto front of a score against latency.

    `score` is out-of-fold; `standard_error` is the score's, over samples of such rows. `us_per_row` is ONNX Runtime's
    time for the packed graph in microseconds, one row per call; `us_per_row_of_100` is the time per row in calls of a
    hundred rows. `depth` is the maximum allowed; `nodes` counts the inner nodes and leaves of all trees.
    """

    trial: int
    score: float
    standard_error: float
    us_per_row: float
    us_per_row_of_100: float
    trees: int
    depth: int
    nodes: int
    graph_bytes: int


class Study(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The hyperparameter search on out-of-fold predictions of the training split, alone or against latency.

    `score` names what was maximised ("f2", or a scorer of scikit-learn such as "roc_auc"). `trials` are those that
    finished; `ended` says why they are fewer than the run `asked` for. `best_value` and `best_parameters` are the score
    and the parameters of the trial that was published. `chosen_trial` is its number and `choice` says how it was
    chosen, if not for the best score; `front` is empty where the score was the only objective. The manifest of a run
    that doesn't need `asked`, `ended` or these three leaves them out.
    """

    objective: str
    score: str
    seed: int
    folds: int
    trials: int
    completed: int
    pruned: int
    best_value: float
    best_parameters: dict[str, int | float | str | bool | None]
    asked: int | None = None
    ended: str = ""
    chosen_trial: int | None = None
    choice: str = ""
    front: tuple[FrontTrial, ...] = ()


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """What the parity gate measured between the pickled pipeline and ONNX Runtime, over both graphs."""

    rows: int
    edge_case_rows: int
    label_mismatches: int
    max_abs_difference: float
    mean_abs_difference: float
    tolerance: float
    trees: int


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Scores by the metric's name, on out-of-fold predictions of the training rows and on the held-out rows.

    `standard_error` is that of the study's score on the held-out rows, `trivial` the score there of a model that
    ignores all features.
    """

    out_of_fold: dict[str, float]
    held_out: dict[str, float]
    standard_error: float | None = None
    trivial: float | None = None


class TrainingRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a manifest that training wrote, all of them present."""

    metrics: Metrics
    study: Study
    data: Data
    parity: Parity
