"""Request bodies from the reference rows."""

import json

import numpy as np
import pytest

from bundle.errors import BundleError
from load_testing.payloads import batch_body, read_reference


@pytest.fixture(scope="module")
def reference(model_folder):
    return read_reference(model_folder)


def test_rows_and_expectations_keep_the_order_of_the_file(reference):
    numbers = [json.loads(body)["number"] for body in reference.bodies]
    assert numbers == [4 * i for i in range(250)]
    assert reference.labels.tolist() == [int(number >= 500) for number in numbers]
    assert reference.labels.dtype == np.int8
    np.testing.assert_allclose(reference.probabilities, np.array(numbers) / 1000, rtol=1e-6)
    assert reference.probabilities.dtype == np.float32
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
