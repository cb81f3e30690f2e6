"""Fit the chosen model and choose its threshold, on the training rows alone."""

from dataclasses import dataclass

from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline
from xgboost import Booster

from training.data.prepare import PreparedRows
from training.model.evaluation import Scored, best_threshold
from training.model.folds import Fold, out_of_fold
from training.model.pipeline import Parameters, apply_threshold, build_pipeline


@dataclass(frozen=True)
class Model:
    """The classifier with its threshold, and the predictions for unseen rows that the threshold was chosen on."""

    classifier: FixedThresholdClassifier
    threshold: float
    out_of_sample: Scored

    @property
    def pipeline(self) -> Pipeline:
        """The fitted preprocessing and trees, which know no threshold."""
        return self.classifier.estimator_.estimator

    @property
    def booster(self) -> Booster:
        """The trees."""
        return self.pipeline.named_steps["classifier"].get_booster()

    @property
    def columns(self) -> list[str]:
        """The feature behind each of the booster's input columns: ordinal, one-hot (a run of each name), numeric."""
        preprocessing = self.pipeline.named_steps["preprocessing"]
        features = {name: names for name, _, names in preprocessing.transformers_}
        categories = preprocessing.named_transformers_["nominal"].categories_ if features["nominal"] else []
        one_hot = [name for name, column in zip(features["nominal"], categories, strict=True) for _ in column]
        return [*features["ordinal"], *one_hot, *features["numeric"]]


def fit_model(rows: PreparedRows, folds: list[Fold], parameters: Parameters, *, seed: int, threads: int) -> Model:
    """Choose the threshold on out-of-fold predictions, then fit the pipeline on all training rows."""
    probability = out_of_fold(folds, parameters, seed=seed, threads=threads)
    threshold = best_threshold(rows.target, probability)
    pipeline = build_pipeline(rows.dataset, rows.features, parameters, seed=seed).fit(rows.features, rows.target)
    classifier = apply_threshold(pipeline, threshold, rows.features, rows.target)
    return Model(classifier, threshold, Scored(rows.target, probability))


def feature_importance(rows: PreparedRows, model: Model) -> dict[str, float]:
    """Share of the trees' total gain that each feature brings, one-hot columns added up; sums to 1, largest first."""
    columns = model.columns
    totals = dict.fromkeys((feature.name for feature in rows.dataset.features), 0.0)
    for column, gain in model.booster.get_score(importance_type="total_gain").items():
        totals[columns[int(column.removeprefix("f"))]] += float(gain)
    whole = sum(totals.values()) or 1.0
    return {name: totals[name] / whole for name in sorted(totals, key=totals.__getitem__, reverse=True)}
