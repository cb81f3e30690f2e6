"""From a batch to the polars frame that a pickled pipeline was fitted on."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bundle.manifest import CATEGORICAL_KINDS, Feature
from serving.predictor import Batch, Place


class PolarsFrames:
    """Builds frames of the given features. A missing category is null; a missing number is NaN in a column of floats,
    and null in any other.
    """

    def __init__(self, places: Sequence[Place], missing: str) -> None:
        """`missing` is the token of missing categories."""
        self._places = places
        self._missing = missing

    def __call__(self, batch: Batch) -> pl.DataFrame:
        """The frame of a batch."""
        return pl.DataFrame([self._column(place.feature, place.column(batch)) for place in self._places])

    def _column(self, feature: Feature, values: NDArray[np.object_] | NDArray[np.float32]) -> pl.Series:
        if feature.kind in CATEGORICAL_KINDS:
            present = [None if text == self._missing else text for text in values.tolist()]
            texts = pl.Series(feature.name, present, pl.String)
            return texts if feature.dtype in ("", "String") else texts.cast(_category_type(feature), strict=False)
        if feature.dtype == "Float32":
            return pl.Series(feature.name, values)
        numbers = pl.Series(feature.name, values.astype(np.float64))
        if feature.dtype in ("", "Float64"):
            return numbers
        days_or_numbers = numbers.fill_nan(None)
        if feature.kind == "date":
            days_or_numbers = days_or_numbers.cast(pl.Int32).cast(pl.Date)
        return days_or_numbers.cast(getattr(pl, feature.dtype))


def _category_type(feature: Feature) -> pl.DataType:
    kind: pl.DataType = (
        pl.Enum([*feature.categories, *feature.rare]) if feature.dtype == "Enum" else getattr(pl, feature.dtype)()
    )
    return kind
