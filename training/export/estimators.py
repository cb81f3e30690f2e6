"""Looks into fitted estimators: what is inside wrappers, and which decision threshold they apply."""

from collections.abc import Iterator
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import FeatureUnion, Pipeline

Step = tuple[str, Any]


def inside(estimator: Any) -> Any:  # noqa: ANN401 - any estimator
    """The estimator that a wrapper answers with, or the estimator itself if it is not a wrapper."""
    while True:
        if isinstance(estimator, (FixedThresholdClassifier, TunedThresholdClassifierCV)):
            estimator = estimator.estimator_
        elif isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator


def steps_of(estimator: Any) -> list[Step]:  # noqa: ANN401 - any estimator
    """The steps that a row passes, wrappers and pipelines opened: (name, estimator); at least one."""
    estimator = inside(estimator)
    if not isinstance(estimator, Pipeline):
        return [(type(estimator).__name__.lower(), estimator)]
    steps: list[Step] = []
    for name, step in estimator.steps:
        if step not in (None, "passthrough"):
            opened = inside(step)
            steps += steps_of(opened) if isinstance(opened, Pipeline) else [(name, opened)]
    return steps


def leaves_of(estimator: Any) -> Iterator[Step]:  # noqa: ANN401 - any estimator
    """Every fitted transformer and model, those inside ColumnTransformers and FeatureUnions included."""
    for name, step in steps_of(estimator):
        if isinstance(step, ColumnTransformer):
            parts = [(part, fitted) for part, fitted, _ in step.transformers_]
        elif isinstance(step, FeatureUnion):
            parts = list(step.transformer_list)
        else:
            yield name, step
            continue
        for part, fitted in parts:
            if not isinstance(fitted, str):
                yield from ((f"{part}", leaf) for _, leaf in leaves_of(fitted))


def gives_sparse(estimator: Any) -> bool:  # noqa: ANN401 - any estimator
    """Whether the last step gets sparse matrices from those before it, as from a OneHotEncoder of many categories."""
    for _, step in reversed(steps_of(estimator)[:-1]):
        for attribute in ("sparse_output_", "sparse_output"):  # ColumnTransformer; encoders
            if hasattr(step, attribute):
                return bool(getattr(step, attribute))
    return False


def threshold_of(estimator: Any) -> float | None:  # noqa: ANN401 - any estimator
    """The decision threshold on P(positive) that the estimator applies; None if it has none of its own.

    Raises:
        ValueError: it applies one to something other than probabilities.
    """
    while True:
        if isinstance(estimator, (FixedThresholdClassifier, TunedThresholdClassifierCV)):
            break
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return None
    if estimator.response_method == "decision_function" or not hasattr(estimator.estimator_, "predict_proba"):
        raise ValueError(f"{type(estimator).__name__} applies its threshold to a decision function, not to P(positive)")
    threshold = getattr(estimator, "best_threshold_", getattr(estimator, "threshold", "auto"))
    return 0.5 if threshold == "auto" else float(threshold)
