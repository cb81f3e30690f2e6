"""From a batch to the polars frame that a pickled pipeline was fitted on."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bundle.manifest import CATEGORICAL_KINDS, Feature
from serving.predictor import Batch, Place


class PolarsFrames:
    """Builds frames of the given features. A missing category is null; a missing number NaN in a column of floats, and
    null in any other.
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
            texts = pl.Series(feature.name, values.tolist(), pl.String).replace(self._missing, None)
            return texts if feature.dtype in ("", "String") else texts.cast(_category_type(feature), strict=False)
        numbers = pl.Series(feature.name, values).cast(pl.Float64)
        if feature.dtype in ("", "Float64", "Float32"):
            return numbers.cast(pl.Float32) if feature.dtype == "Float32" else numbers
        present = numbers.fill_nan(None)
        if feature.kind == "date":
            present = present.cast(pl.Int32).cast(pl.Date)
        return present.cast(getattr(pl, feature.dtype))


def _category_type(feature: Feature) -> pl.DataType:
    kind: pl.DataType = (
        pl.Enum([*feature.categories, *feature.rare]) if feature.dtype == "Enum" else getattr(pl, feature.dtype)()
    )
    return kind
