"""A fitted scikit-learn pipeline, or a single estimator, as a source of a bundle."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import polars as pl
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer

from bundle.graph_names import Task
from bundle.manifest import ClassLabel, Feature, Frame, Tokens
from bundle.tolerance import PROBABILITY_TOLERANCE
from training.data.prepare import unused_tokens
from training.errors import ConversionError
from training.export.converters.encoders import is_missing
from training.export.estimators import leaves_of, steps_of, threshold_of
from training.export.frames import pickle_frame
from training.export.graphs import export_graphs, export_pickle
from training.export.interface import Interface, Tensors
from training.export.named_graph import unknown_steps
from training.export.predictions import Predictions, joined, predict_estimator
from training.package.bundle_it import Source
from training.package.columns import describe, feature_column, plain, typed

_KINDS: dict[Any, str] = {pl.Date: "dates", pl.Boolean: "booleans"}
HALF = float(np.nextafter(np.float32(0.5), np.float32(1)))
"""The smallest float32 number above 0.5: a class that reaches it is the more probable of two; ties go to the first."""


def pipeline_source(
    name: str,
    estimator: Any,  # noqa: ANN401 - any estimator
    rows: pl.DataFrame,
    *,
    target: str,
    positive: str,
    threshold: float | None,
) -> tuple[Source, pl.DataFrame]:
    """The source, and the rows with the features' columns only; `target` is the column that was taken from them.

    Raises:
        ConversionError: rows and pipeline don't fit each other, or a step can't be converted.
    """
    problems = unknown_steps(estimator)
    names = _feature_names(estimator, rows.columns)
    if target in names:
        problems.append(
            f"TARGET={target} is one of the columns that the pipeline was fitted on; if it is what the pipeline "
            "predicts, fit it on a frame without it"
        )
    if missing := [column for column in names if column not in (*rows.columns, target)]:
        problems.append(f"ROWS has no column {', '.join(map(repr, missing))}; it has {', '.join(rows.columns)}")
    if problems:
        raise ConversionError("\nerror: ".join(problems))
    table = pl.DataFrame([feature_column(rows[column]) for column in names])
    interface = _interface(estimator, rows, table, positive, threshold)
    interface = _with_frame(estimator, interface, table)
    if threshold is None:
        _check_labels(estimator, interface, table)
    graphs = export_graphs(name, estimator, interface)
    libraries = ["scikit-learn", interface.frame, *_boosters(estimator)]
    source = Source(
        interface, graphs, lambda tensors: _answers(estimator, interface, tensors), libraries,
        export_pickle(estimator),
    )  # fmt: skip
    return source, table


def _answers(estimator: Any, interface: Interface, rows: Tensors) -> Predictions:  # noqa: ANN401
    """What the pipeline answers, NaN for rows that it refuses, as some estimators do with numbers of extreme size."""
    try:
        return predict_estimator(estimator, interface, rows)
    except Exception as error:
        count = len(rows.numeric)
        if count == 1:
            width = max(1, len(interface.classes))
            return Predictions(np.zeros(1, dtype=np.int64), np.full((1, width), np.nan, dtype=np.float32))
        if isinstance(error, ConversionError):
            raise
        halves = (slice(None, count // 2), slice(count // 2, None))
        return joined(_answers(estimator, interface, rows.at(half)) for half in halves)


def _check_labels(estimator: Any, interface: Interface, table: pl.DataFrame) -> None:  # noqa: ANN401
    """Check that `predict` goes by the probabilities, as services do, except for ties.

    Raises:
        ConversionError: it doesn't.
    """
    if interface.task == "regression":
        return
    tensors = interface.tensors(table)
    answer = predict_estimator(estimator, interface, tensors)
    own = np.searchsorted(estimator.classes_, np.asarray(estimator.predict(pickle_frame(interface, tensors))))
    if interface.threshold is None:
        ordered = np.sort(answer.probabilities, axis=1)
        tied = ordered[:, -1] - ordered[:, -2] < PROBABILITY_TOLERANCE
    else:
        tied = np.abs(answer.probabilities[:, interface.positive] - interface.threshold) < PROBABILITY_TOLERANCE
    if count := int(((own != answer.labels) & ~tied).sum()):
        raise ConversionError(
            f"predict and the probabilities give different classes for {count} of {table.height} rows, as with SVC; "
            "wrap the classifier in CalibratedClassifierCV, or give THRESHOLD="
        )


def reference_target(interface: Interface, column: pl.Series) -> pl.Series:
    """The target's `plain` values as class indices, null where a label is none of the classes, or as numbers. Texts
    are read as the numbers or booleans that the model predicts.

    Raises:
        ConversionError: no value is a label of the model, or the model predicts a number and they are not numbers.
    """
    texts = bool(interface.classes) and isinstance(interface.classes[0], str)
    if column.dtype == pl.String and not texts:
        column = plain(typed(column))
    if not interface.classes:
        if column.dtype != pl.Float64:
            raise ConversionError(f"TARGET={column.name}: the model predicts a number, and ROWS has {column.dtype}")
        return column
    boolean = isinstance(interface.classes[0], bool)
    index = {_plain_text(label, boolean=boolean): place for place, label in enumerate(interface.classes)}
    found = pl.Series([index.get(_plain_text(value, boolean=boolean)) for value in column.to_list()], dtype=pl.Int32)
    if found.null_count() == len(found) > column.null_count():
        labels = " or ".join(map(repr, interface.classes[:10]))
        there = ", ".join(map(repr, column.drop_nulls().unique(maintain_order=True).head(10).to_list()))
        raise ConversionError(
            f"TARGET={column.name}: no row has a label of the model, {labels}; there are {there}. Recode the column, "
            "or give an ONNX graph's labels in CLASSES="
        )
    return found


def _plain_text(value: object, *, boolean: bool) -> str:
    text = str(int(value) if isinstance(value, float) and value.is_integer() else value)
    return {"1": "true", "0": "false"}.get(text, text.lower()) if boolean else text


def _feature_names(estimator: Any, columns: Sequence[str]) -> list[str]:  # noqa: ANN401
    for candidate in (estimator, steps_of(estimator)[0][1]):
        if (names := getattr(candidate, "feature_names_in_", None)) is not None:
            written = {column.replace(" ", "_"): column for column in columns}  # as LightGBM writes them
            used = _without_dropped(steps_of(estimator)[0][1], list(map(str, names)))
            return [name if name in columns else written.get(name, name) for name in used]
    count = getattr(estimator, "n_features_in_", None) or getattr(steps_of(estimator)[0][1], "n_features_in_", None)
    if count is not None and count != len(columns):
        raise ConversionError(
            f"the pipeline takes {count} columns without names, and ROWS has {len(columns)} beside the target"
        )
    return list(columns)


def _without_dropped(first: Any, names: list[str]) -> list[str]:  # noqa: ANN401 - any step
    """The names of those columns that a ColumnTransformer doesn't drop; it does not ask for the others."""
    if not isinstance(first, ColumnTransformer):
        return names
    kept: set[object] = set()
    for _, part, chosen in first.transformers_:
        if not (isinstance(part, str) and part == "drop"):
            kept.update([chosen] if isinstance(chosen, str) else list(chosen) if isinstance(chosen, Iterable) else [0])
    return [name for name in names if name in kept] if all(isinstance(one, str) for one in kept) else names


def _interface(
    estimator: Any,  # noqa: ANN401
    rows: pl.DataFrame,
    table: pl.DataFrame,
    positive: str,
    threshold: float | None,
) -> Interface:
    features = []
    for column in table.get_columns():
        whole = rows[column.name].dtype.is_integer()
        feature = describe(column, nullable=True)
        features.append(msgspec.structs.replace(feature, integer=whole and feature.kind == "numeric"))
    tokens = tokens_for(features)
    if not is_classifier(estimator):
        return Interface("regression", tuple(features), tokens)
    classes = tuple(_label(label) for label in estimator.classes_)
    if len(classes) > 2:
        return Interface("multiclass_classification", tuple(features), tokens, classes)
    texts = [str(label) for label in classes]
    if positive and positive not in texts:
        raise ConversionError(f"POSITIVE={positive} is none of the classes {', '.join(texts)}")
    try:
        own = threshold_of(estimator)
    except ValueError as error:
        raise ConversionError(str(error)) from error
    chosen = threshold if threshold is not None else HALF if own is None else own
    place = texts.index(positive) if positive else 1
    task: Task = "binary_classification"
    return Interface(task, tuple(features), tokens, classes, place, chosen)


def tokens_for(features: Sequence[Feature]) -> Tokens:
    """Tokens that are not a category of any feature."""
    return unused_tokens({text for feature in features for text in (*feature.categories, *feature.rare)})


def _label(label: Any) -> ClassLabel:  # noqa: ANN401 - numpy's
    value = label.item() if hasattr(label, "item") else label
    if isinstance(value, float):
        if not value.is_integer():
            raise ConversionError(f"the class {value} is neither a string, an integer nor a boolean")
        return int(value)
    known: ClassLabel = value
    return known


def _with_frame(estimator: Any, interface: Interface, table: pl.DataFrame) -> Interface:  # noqa: ANN401
    """The interface with the frame that the pipeline takes, and with the features nullable that may be missing."""
    problems = []
    for frame in _frames(estimator):
        candidate = replace(interface, frame=frame, features=_typed(interface, table, frame))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about the names of a kind of frame that is not the pipeline's
                predict_estimator(estimator, candidate, candidate.tensors(table.head(50)))
        except ConversionError:
            raise
        except Exception as error:  # noqa: BLE001 - pipelines raise whatever comes up
            problems.append(f"as {frame}: {' '.join(str(error).split())[:200]}")
            continue
        return _with_nulls(estimator, candidate, table)
    read = "".join(f"; ROWS has {name!r} as {_KINDS[kind]}" for name, kind in table.schema.items() if kind in _KINDS)
    hint = f"{read}; a column of a CSV file stays text if TEXT= names it"
    raise ConversionError(f"the pipeline refuses the rows of ROWS ({'; '.join(problems)}){hint}")


def _frames(estimator: Any) -> list[Frame]:  # noqa: ANN401
    """Frames to try, the likeliest first: pandas has NaN where polars has null, and a matrix has no names."""
    first = steps_of(estimator)[0][1]
    if not any(hasattr(one, "feature_names_in_") for one in (estimator, first)):
        return ["numpy", "pandas", "polars"]
    for _, step in leaves_of(estimator):
        if isinstance(step, SimpleImputer) and step.missing_values is None:
            return ["polars", "pandas"]
        for categories in getattr(step, "categories_", ()):
            gone = [category for category in categories if is_missing(category)]
            if gone:
                return ["polars", "pandas"] if gone[0] is None else ["pandas", "polars"]
    return ["pandas", "polars"]


def _typed(interface: Interface, table: pl.DataFrame, frame: Frame) -> tuple[Any, ...]:
    """The features with the column types that the frame has for booleans and dates."""
    kinds = {"polars": {"boolean": "Boolean", "date": "Date"}, "pandas": {"date": "datetime64[s]"}}.get(frame, {})
    typed = []
    for feature in interface.features:
        dtype = kinds.get(feature.kind, "")
        if frame == "pandas" and feature.kind == "boolean":
            dtype = "object" if table[feature.name].null_count() else "bool"
        typed.append(msgspec.structs.replace(feature, dtype=dtype))
    return tuple(typed)


def _with_nulls(estimator: Any, interface: Interface, table: pl.DataFrame) -> Interface:  # noqa: ANN401
    """Make those features nullable without which the pipeline still gives an answer."""
    features = []
    for feature in interface.features:
        probe = table.head(3).with_columns(pl.lit(None, dtype=table[feature.name].dtype).alias(feature.name))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answer = predict_estimator(estimator, interface, interface.tensors(probe))
            takes = bool(np.isfinite(answer.numbers).all()) and feature.dtype != "bool"
        except Exception as error:
            if table[feature.name].null_count():
                raise ConversionError(
                    f"column {feature.name!r} of ROWS has missing values, which the pipeline refuses: "
                    f"{' '.join(str(error).split())[:200]}"
                ) from error
            takes = False
        features.append(msgspec.structs.replace(feature, nullable=takes))
    return replace(interface, features=tuple(features))


def _boosters(estimator: Any) -> list[str]:  # noqa: ANN401
    modules = {type(step).__module__.partition(".")[0] for _, step in leaves_of(estimator)}
    return sorted(modules & {"xgboost", "lightgbm"})
