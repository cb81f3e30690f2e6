"""From a batch to the pandas frame that a pickled pipeline was fitted on."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bundle.manifest import CATEGORICAL_KINDS, Feature
from serving.predictor import Batch, Place

_EPOCH = date(1970, 1, 1).toordinal()


class PandasFrames:
    """Builds frames of the given features. Missing values are NaN, NaT or NA, as when pandas itself reads a gap."""

    def __init__(self, places: Sequence[Place], missing: str) -> None:
        """`missing` is the token of missing categories."""
        self._places = places
        self._missing = missing

    def __call__(self, batch: Batch) -> pd.DataFrame:
        """The frame of a batch."""
        return pd.DataFrame(
            {place.feature.name: self._column(place.feature, place.column(batch)) for place in self._places}
        )

    def _column(self, feature: Feature, values: NDArray[Any]) -> pd.Series:
        if feature.kind in CATEGORICAL_KINDS:
            texts = [np.nan if text == self._missing else text for text in values.tolist()]
            if feature.dtype == "category":
                known = [*feature.categories, *feature.rare]
                return pd.Series(pd.Categorical([t if t in known else np.nan for t in texts], categories=known))
            return pd.Series(texts, dtype=feature.dtype or "object")
        numbers = pd.Series(values.astype(np.float64))
        if feature.dtype == "object":
            return pd.Series([_object(feature, value) for value in numbers], dtype="object")
        if feature.kind == "date" and feature.dtype.startswith("datetime64"):
            return _dates(values).astype(feature.dtype)
        return numbers.astype(feature.dtype or "float64")


def _object(feature: Feature, value: float) -> object:
    if np.isnan(value):
        return np.nan
    if feature.kind == "boolean":
        return bool(value)
    return date.fromordinal(_EPOCH + int(value)) if feature.kind == "date" else value


def _dates(days: NDArray[np.float32]) -> pd.Series:
    whole = np.where(np.isnan(days), 0, days).astype(np.int64).astype("datetime64[D]").astype("datetime64[s]")
    return pd.Series(whole).mask(np.isnan(days))
