"""Request bodies from the reference rows."""

import json
from datetime import date

import numpy as np
import polars as pl
import pytest

from bundle.errors import BundleError
from bundle.manifest import Feature
from load_testing.payloads import batch_body, encode_rows, read_reference


@pytest.fixture(scope="module")
def reference(model_folder):
    return read_reference(model_folder)


def test_rows_and_expectations_keep_the_order_of_the_file(reference):
    numbers = [json.loads(body)["number"] for body in reference.bodies]
    assert numbers == [4 * i for i in range(250)]
    assert reference.labels.tolist() == [int(number >= 500) for number in numbers]
    assert reference.labels.dtype == np.int64
    np.testing.assert_allclose(reference.numbers[:, 1], np.array(numbers) / 1000, rtol=1e-6)
    np.testing.assert_allclose(reference.numbers[:, 0], 1 - np.array(numbers) / 1000, rtol=1e-5)
    assert reference.numbers.dtype == np.float32
    assert reference.cases[0] == "held_out"
    assert reference.cases[-1] == "missing:half"


def test_whole_numbers_are_integers_in_every_other_row_and_floats_in_the_rest(reference):
    assert reference.bodies[0] == b'{"number":0,"half":null,"colour":null}'
    assert reference.bodies[1] == b'{"number":4.0,"half":1.5,"colour":"bl\\"ue"}'
    assert reference.bodies[2] == b'{"number":8,"half":2.5,"colour":"bl\\"ue"}'


def test_bodies_hold_the_features_and_nothing_else(reference):
    assert {tuple(json.loads(body)) for body in reference.bodies} == {("number", "half", "colour")}


def test_batch_is_a_json_array_of_the_rows(reference):
    assert json.loads(batch_body(reference.bodies[:3])) == [json.loads(body) for body in reference.bodies[:3]]


def test_altered_reference_is_refused(model_folder, tmp_path):
    for path in model_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "m.reference.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match="altered"):
        read_reference(tmp_path)


def test_booleans_and_dates_are_written_as_json_has_them():
    features = [
        Feature(name=name, kind=kind, nullable=True, example=None)
        for name, kind in (("is ripe", "boolean"), ("収穫", "date"), ("count", "numeric"))
    ]
    rows = pl.DataFrame(
        {"count": [1.0, 2.0], "is ripe": [True, None], "収穫": [date(1, 1, 1), None]},
        schema={"count": pl.Float64, "is ripe": pl.Boolean, "収穫": pl.Date},
    )
    assert [body.decode() for body in encode_rows(rows, features)] == [
        '{"is ripe":true,"収穫":"0001-01-01","count":1}',
        '{"is ripe":null,"収穫":null,"count":2.0}',
    ]
