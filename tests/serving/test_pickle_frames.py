"""Frames for pickled pipelines: the columns have the types that the pipeline was fitted on."""

from datetime import date, datetime

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pytest

from bundle.manifest import Feature, Tokens
from serving.pickle_predictor import build_frames
from serving.predictor import Batch

TOKENS = Tokens(missing="<missing>", unseen="<unseen>")
NAN = float("nan")


def frame(manifest, library, features, strings, numbers):
    """The frame of a batch with these columns."""
    wanted = msgspec.structs.replace(manifest, frame=library, features=tuple(features), tokens=TOKENS)
    rows = len((strings + numbers)[0])
    categorical = np.array(strings, dtype=object).T.reshape(rows, len(strings))
    numeric = np.array(numbers, dtype=np.float32).T.reshape(rows, len(numbers))
    return build_frames(wanted)(Batch(categorical, numeric))


def feature(name, kind, dtype="", **more):
    return Feature(name=name, kind=kind, nullable=True, example=None, dtype=dtype, **more)


def test_polars_columns_are_strings_and_floats_in_feature_order(manifest):
    features = [feature("n", "numeric"), feature("s", "nominal", categories=("a",)), feature("d", "date")]
    got = frame(manifest, "polars", features, [["a", "<missing>", "<unseen>"]], [[0.1, NAN, 3], [-1, 0, NAN]])
    assert got.schema == {"n": pl.Float64, "s": pl.String, "d": pl.Float64}
    assert got["n"].to_list()[::2] == [float(np.float32(0.1)), 3.0]
    assert got["n"].is_nan().to_list() == [False, True, False]
    assert got["s"].to_list() == ["a", None, "<unseen>"]


@pytest.mark.parametrize(
    ("kind", "dtype", "values", "expected"),
    [
        ("numeric", "Int64", [1, NAN], [1, None]),
        ("numeric", "Float32", [1.5, 2], [1.5, 2.0]),
        ("boolean", "Boolean", [1, NAN], [True, None]),
        ("date", "Date", [-1, NAN], [date(1969, 12, 31), None]),
        ("date", "Datetime", [1, NAN], [datetime(1970, 1, 2), None]),
    ],
)
def test_polars_columns_have_the_declared_types(manifest, kind, dtype, values, expected):
    got = frame(manifest, "polars", [feature("x", kind, dtype)], [], [values])
    assert got["x"].to_list() == expected
    assert got["x"].dtype == getattr(pl, dtype)


def test_polars_categories_outside_an_enum_are_null(manifest):
    wanted = feature("x", "nominal", "Enum", categories=("a", "b"), rare=("c",))
    got = frame(manifest, "polars", [wanted], [["c", "<missing>", "<unseen>"]], [])
    assert got["x"].dtype == pl.Enum(["a", "b", "c"])
    assert got["x"].to_list() == ["c", None, None]


def test_pandas_gaps_are_as_pandas_reads_them(manifest):
    features = [feature("s", "nominal", categories=("a",)), feature("n", "numeric")]
    got = frame(manifest, "pandas", features, [["a", "<missing>"]], [[0.1, NAN]])
    assert list(got.columns) == ["s", "n"]
    assert got["s"].dtype == object
    assert got["s"][0] == "a"
    assert isinstance(got["s"][1], float)
    assert np.isnan(got["s"][1])
    assert got["n"].dtype == np.float64
    assert np.isnan(got["n"][1])


@pytest.mark.parametrize(
    ("kind", "dtype", "values", "expected"),
    [
        ("numeric", "int64", [1, 2], [1, 2]),
        ("numeric", "Int64", [1, NAN], [1, None]),
        ("numeric", "float32", [1.5, NAN], [1.5, None]),
        ("boolean", "bool", [1, 0], [True, False]),
        ("boolean", "boolean", [1, NAN], [True, None]),
        ("boolean", "object", [0, NAN], [False, None]),
        ("date", "datetime64[ns]", [-1, NAN], [pd.Timestamp(1969, 12, 31), None]),
        ("date", "datetime64[us]", [-719162, NAN], [pd.Timestamp("0001-01-01"), None]),
        ("date", "object", [-1, NAN], [date(1969, 12, 31), None]),
    ],
)
def test_pandas_columns_have_the_declared_types(manifest, kind, dtype, values, expected):
    got = frame(manifest, "pandas", [feature("x", kind, dtype)], [], [values])["x"]
    assert [None if pd.isna(value) else value for value in got] == expected
    assert str(got.dtype) == dtype


def test_pandas_category_knows_published_and_rare_ones(manifest):
    wanted = feature("x", "nominal", "category", categories=("a", "b"), rare=("c",))
    got = frame(manifest, "pandas", [wanted], [["c", "<missing>", "<unseen>"]], [])["x"]
    assert list(got.cat.categories) == ["a", "b", "c"]
    assert [None if pd.isna(value) else value for value in got] == ["c", None, None]


def test_matrix_has_the_columns_in_feature_order(manifest):
    got = frame(manifest, "numpy", [feature("b", "boolean"), feature("n", "numeric")], [], [[1, 0], [0.5, NAN]])
    assert got.dtype == np.float64
    assert got[0].tolist() == [1.0, 0.5]
    assert np.isnan(got[1, 1])
