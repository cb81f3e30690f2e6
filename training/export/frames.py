"""Tensors in the frame that a fitted pipeline wants, made as the pickle service makes it."""

from datetime import date
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bundle.manifest import CATEGORICAL_KINDS, Feature
from training.export.interface import Interface, Tensors

_EPOCH = date(1970, 1, 1).toordinal()


def pickle_frame(interface: Interface, tensors: Tensors) -> Any:  # noqa: ANN401 - of the library that `frame` names
    """The rows as a polars frame, a pandas frame, or a float64 matrix in feature order."""
    columns = interface.columns(tensors)
    missing = interface.tokens.missing
    if interface.frame == "polars":
        return pl.DataFrame([_polars(f, columns[f.name], missing) for f in interface.features])
    if interface.frame == "numpy":
        return np.column_stack([columns[f.name] for f in interface.features]).astype(np.float64)
    import pandas as pd  # noqa: PLC0415 - only pipelines that were fitted on pandas need it

    return pd.DataFrame({f.name: _pandas(f, columns[f.name], missing) for f in interface.features})


def _polars(feature: Feature, values: NDArray[Any], missing: str) -> pl.Series:
    if feature.kind in CATEGORICAL_KINDS:
        texts = pl.Series(feature.name, [None if text == missing else text for text in values.tolist()], pl.String)
        if feature.dtype in ("", "String"):
            return texts
        known = [*feature.categories, *feature.rare]
        return texts.cast(pl.Enum(known) if feature.dtype == "Enum" else getattr(pl, feature.dtype)(), strict=False)
    numbers = pl.Series(feature.name, values).cast(pl.Float64)
    if feature.dtype in ("", "Float64", "Float32"):
        return numbers.cast(pl.Float32) if feature.dtype == "Float32" else numbers
    present = numbers.fill_nan(None)
    if feature.kind == "date":
        present = present.cast(pl.Int32).cast(pl.Date)
    return present.cast(getattr(pl, feature.dtype))


def _pandas(feature: Feature, values: NDArray[Any], missing: str) -> Any:  # noqa: ANN401 - a pandas series
    import pandas as pd  # noqa: PLC0415 - as above

    if feature.kind in CATEGORICAL_KINDS:
        texts = [np.nan if text == missing else text for text in values.tolist()]
        if feature.dtype == "category":
            return pd.Series(pd.Categorical(texts, categories=[*feature.categories, *feature.rare]))
        return pd.Series(texts, dtype=feature.dtype or "object")
    numbers = pd.Series(values.astype(np.float64))
    if feature.dtype == "object":
        return pd.Series([_python_value(feature, value) for value in numbers], dtype="object")
    if feature.kind == "date" and feature.dtype.startswith("datetime64"):
        days = np.where(np.isnan(values), 0, values).astype(np.int64).astype("datetime64[D]").astype("datetime64[s]")
        return pd.Series(days).mask(np.isnan(values)).astype(feature.dtype)
    return numbers.astype(feature.dtype or "float64")


def _python_value(feature: Feature, value: float) -> object:
    if np.isnan(value):
        return np.nan
    if feature.kind == "boolean":
        return bool(value)
    return date.fromordinal(_EPOCH + int(value)) if feature.kind == "date" else value
