"""Fit the chosen model and choose its threshold, on the training rows alone."""

from dataclasses import dataclass

from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, TargetEncoder
from xgboost import Booster, XGBModel

from training.data.prepare import PreparedRows
from training.dataset import Parameters
from training.interruption import interrupts_held
from training.model.evaluation import Scored, best_threshold
from training.model.folds import Fold, out_of_fold
from training.model.pipeline import apply_threshold, build_pipeline
from training.model.score import Score


@dataclass(frozen=True)
class Model:
    """The fitted pipeline, and what it gave for rows that it had not seen, on which the threshold was chosen.

    `estimator` is what is pickled: for two classes the pipeline with its threshold applied, else the pipeline itself.
    """

    estimator: BaseEstimator
    pipeline: BaseEstimator
    threshold: float | None
    out_of_sample: Scored

    @property
    def booster(self) -> Booster | None:
        """The trees, if they are the last step of the pipeline and XGBoost's."""
        last = self.pipeline[-1] if isinstance(self.pipeline, Pipeline) else self.pipeline
        return last.get_booster() if isinstance(last, XGBModel) else None

    @property
    def columns(self) -> list[str]:
        """The feature behind each of the booster's input columns, for a pipeline of the project's own preprocessing."""
        return encoded_columns(self.pipeline.named_steps["preprocessing"])


def fit_model(
    rows: PreparedRows, folds: list[Fold], parameters: Parameters, score: Score, *, seed: int, threads: int
) -> Model:
    """Choose the threshold on out-of-fold predictions, then fit the pipeline on all training rows.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; raised once the fit that was begun is finished.
    """
    with interrupts_held():
        output = out_of_fold(folds, parameters, threads=threads)
    threshold = best_threshold(score, rows.target, output) if score.task == "binary_classification" else None
    return finish_model(rows, parameters, threshold, Scored(rows.target, output), seed=seed)


def finish_model(
    rows: PreparedRows, parameters: Parameters, threshold: float | None, out_of_sample: Scored, *, seed: int
) -> Model:
    """Fit the pipeline on all training rows, and put the threshold on it, if there is one.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; raised once the pipeline is fitted.
    """
    with interrupts_held():
        pipeline = build_pipeline(rows.dataset, parameters, rows.wide, seed=seed).fit(rows.features, rows.target)
    if threshold is None:
        return Model(pipeline, pipeline, None, out_of_sample)
    return Model(apply_threshold(pipeline, threshold, rows.features, rows.target), pipeline, threshold, out_of_sample)


def encoded_columns(preprocessing: ColumnTransformer) -> list[str]:
    """The feature behind each output column of a fitted preprocessing: a run of each name where it has several."""
    names: list[str] = []
    for _, transformer, features in preprocessing.transformers_:
        if isinstance(transformer, OneHotEncoder):
            rare = getattr(transformer, "infrequent_categories_", [None] * len(features))
            for feature, categories, merged in zip(features, transformer.categories_, rare, strict=True):
                names += [feature] * (len(categories) - (0 if merged is None else len(merged) - 1))
        elif isinstance(transformer, TargetEncoder):
            names += [feature for feature in features for _ in range(len(transformer.encodings_) // len(features))]
        else:
            names += features
    return names


def feature_importance(rows: PreparedRows, model: Model) -> dict[str, float]:
    """Share of the trees' total gain that each feature brings, encoded columns added up; sums to 1, largest first.

    Empty for a data set's own pipeline.
    """
    if model.booster is None or rows.dataset.pipeline is not None:
        return {}
    columns = model.columns
    totals = dict.fromkeys((feature.name for feature in rows.dataset.features), 0.0)
    for column, gain in model.booster.get_score(importance_type="total_gain").items():
        totals[columns[int(column.removeprefix("f"))]] += float(gain)
    whole = sum(totals.values()) or 1.0
    return {name: totals[name] / whole for name in sorted(totals, key=totals.__getitem__, reverse=True)}
