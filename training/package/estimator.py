"""A fitted scikit-learn estimator as it comes out of a file, and as a service needs it."""

import copy
import warnings
from pathlib import Path
from typing import Any

import joblib
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
from sklearn.utils.validation import check_is_fitted

from training.errors import ConversionError
from training.export.estimators import leaves_of, steps_of


def load_estimator(path: Path) -> Any:  # noqa: ANN401 - whatever was pickled
    """Unpickle the file, which runs the code in it.

    Raises:
        ConversionError: it can't be unpickled, or holds no fitted classifier or regressor.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about another version of scikit-learn: the gate shows whether it matters
            estimator = joblib.load(path)
    except FileNotFoundError as error:
        raise ConversionError(f"PIPELINE={path}: {error.strerror}") from error
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConversionError(f"PIPELINE={path} can't be unpickled: {reason}") from error
    if not isinstance(estimator, BaseEstimator) or not (is_classifier(estimator) or is_regressor(estimator)):
        kind = f"the class {estimator.__name__}" if isinstance(estimator, type) else type(estimator).__name__
        raise ConversionError(f"PIPELINE={path} holds {kind}, which is no classifier or regressor of scikit-learn")
    try:
        check_is_fitted(estimator)
    except NotFittedError as error:
        raise ConversionError(f"PIPELINE={path} is not fitted; fit it before it is pickled") from error
    if isinstance(getattr(estimator, "classes_", None), list):
        raise ConversionError(f"PIPELINE={path} predicts several targets; a bundle has one: package a model for each")
    if is_classifier(estimator) and not hasattr(estimator, "predict_proba"):
        last = type(steps_of(estimator)[-1][1]).__name__
        raise ConversionError(f"{last} gives no probabilities; wrap it in CalibratedClassifierCV")
    return estimator


def text_columns(estimator: Any) -> set[str]:  # noqa: ANN401 - any estimator
    """Columns in which the estimator's encoders and imputers, if they were fitted on named columns, have seen text."""
    found: set[str] = set()
    for _, step in leaves_of(estimator):
        names = getattr(step, "feature_names_in_", ())
        seen = getattr(step, "categories_", None) or [[value] for value in getattr(step, "statistics_", ())]
        found |= {name for name, values in zip(names, seen, strict=False) if any(isinstance(v, str) for v in values)}
    return found


def accept_unseen(estimator: Any) -> tuple[Any, list[str]]:  # noqa: ANN401 - any estimator
    """A copy whose encoders take categories that they have never seen, as services must; and what was changed."""
    changed, notes = copy.deepcopy(estimator), []
    for name, step in leaves_of(changed):
        if isinstance(step, OneHotEncoder) and step.handle_unknown == "error":
            step.set_params(handle_unknown="ignore")
            notes.append(
                f"{name}: OneHotEncoder(handle_unknown='error') becomes 'ignore': zeros for an unseen category"
            )
        elif isinstance(step, OrdinalEncoder) and step.handle_unknown == "error":
            step.set_params(handle_unknown="use_encoded_value", unknown_value=-1)
            notes.append(f"{name}: OrdinalEncoder(handle_unknown='error') encodes an unseen category as -1")
    return changed, notes
