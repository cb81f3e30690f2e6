"""Rows of a made-up data set with features of all kinds, missing values among them."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from training.data.prepare import PreparedRows, prepare_rows
from training.data.sources import RawRows
from training.dataset import Dataset, Nominal, Numeric, Ordinal


def orchard(*, nullable: bool = True, rows: int = 600) -> tuple[Dataset, pl.DataFrame]:
    generator = np.random.default_rng(5)
    weight = generator.normal(150, 30, rows)
    soil = generator.choice(["clay", "sand", "peat"], rows)
    grade = generator.choice(["poor", "fair", "good"], rows)
    sold = (weight - 150) / 30 + (grade == "good") - (soil == "clay") + generator.normal(0, 0.5, rows) > 0.3
    gaps = generator.random(rows) < (0.1 if nullable else 0)
    frame = pl.DataFrame(
        {
            "weight": pl.Series(np.where(gaps, np.nan, weight)).fill_nan(None),
            "trees": pl.Series(generator.integers(1, 40, rows), dtype=pl.Float64),
            "grade": pl.Series(grade, dtype=pl.String),
            "soil": pl.Series(soil, dtype=pl.String),
            "sold": pl.Series(np.where(sold, "yes", "no"), dtype=pl.String),
        }
    )
    dataset = Dataset(
        name="orchard",
        source="farm",
        features=(
            Numeric(name="weight", nullable=nullable),
            Numeric(name="trees", integer=True),
            Ordinal(name="grade", categories=("poor", "fair", "good")),
            Nominal(name="soil", nullable=True),
        ),
        target="sold",
        classes=("no", "yes"),
        files=(),
        parse=lambda _: frame,
    )
    return dataset, frame


@pytest.fixture(scope="session")
def rows() -> PreparedRows:
    dataset, frame = orchard()
    return prepare_rows(dataset, RawRows(frame, dataset.source))


@pytest.fixture(scope="session")
def rows_without_gaps() -> PreparedRows:
    dataset, frame = orchard(nullable=False)
    return prepare_rows(dataset, RawRows(frame, dataset.source))


@pytest.fixture(scope="session")
def numbers_only() -> PreparedRows:
    dataset, frame = orchard(nullable=False)
    numeric = tuple(feature for feature in dataset.features if isinstance(feature, Numeric))
    dataset = dataclasses.replace(dataset, features=numeric)
    return prepare_rows(dataset, RawRows(frame.select("weight", "trees", "sold"), dataset.source))


@pytest.fixture(scope="session")
def made_other() -> Dataset:
    return orchard()[0]
