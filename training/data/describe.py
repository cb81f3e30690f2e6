"""What the manifest says about each feature, as seen in the training rows."""

from collections.abc import Collection
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from bundle.manifest import Feature
from training.data.typed import days
from training.dataset import Boolean, Dataset, Date, FeatureSpec, Numeric, Ordinal

OTHER = "other"
"""The example for a nominal feature whose categories are all rare: as good as any of them."""


def describe_features(dataset: Dataset, training: pl.DataFrame, wide: Collection[str] = ()) -> tuple[Feature, ...]:
    """What the manifest says about each feature, as seen in the training rows; `wide` ones are target-encoded."""
    return tuple(_describe(spec, training[spec.name], dataset, spec.name in wide) for spec in dataset.features)


def _describe(spec: FeatureSpec, column: pl.Series, dataset: Dataset, wide: bool) -> Feature:  # noqa: FBT001
    # The example is the typical value of each column by itself: a real row is private.
    common: dict[str, Any] = {"name": spec.name, "nullable": spec.nullable, "description": spec.description}
    seen = column.drop_nulls()
    if isinstance(spec, Boolean):
        return Feature(kind="boolean", example=_most_frequent(seen), **common)
    if isinstance(spec, Date):
        ordered: list[date] = seen.sort().to_list()
        low, middle, high = ordered[0], ordered[len(ordered) // 2], ordered[-1]
        return Feature(kind="date", example=str(middle), minimum=float(days(low)), maximum=float(days(high)), **common)
    if isinstance(spec, Numeric):
        values = seen.to_numpy()
        example = int(_most_frequent(seen)) if spec.integer else float(np.median(values))
        return Feature(
            kind="numeric", integer=spec.integer, example=example, minimum=float(values.min()),
            maximum=float(values.max()), **common,
        )  # fmt: skip
    if isinstance(spec, Ordinal):
        return Feature(kind="ordinal", categories=spec.categories, example=_most_frequent(seen), **common)
    counts = seen.alias("value").value_counts(name="rows")
    frequent = pl.col("rows") >= dataset.min_frequency
    often, rare = counts.filter(frequent)["value"], counts.filter(~frequent)["value"]
    usual = _most_frequent(seen) if len(often) else OTHER
    # one-hot columns treat a rare category like an unseen one, so that the services needn't know it
    known = tuple(sorted(rare)) if wide else ()
    return Feature(kind="nominal", categories=tuple(sorted(often)), rare=known, example=usual, **common)


def _most_frequent(seen: pl.Series) -> Any:  # noqa: ANN401 - a float, a string or a boolean, as the column is
    counts = seen.alias("value").value_counts(name="rows")
    return counts.sort(["rows", "value"], descending=[True, False])["value"][0]
