"""Triton's own client, as it is, against every service."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.contract.any_models import BINARY, REGRESSION
from tests.contract.inference import NULL, as_array, as_outputs, by_feature, packed
from tests.contract.served import Served, only

pytestmark = pytest.mark.slow


@pytest.fixture
def client(served: Served) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{served.service.port}") as client:
        yield client


def inputs(tensors: Sequence[dict[str, Any]], *, binary: bool) -> list[triton.InferInput]:
    """The client's own tensors."""
    made = []
    for one in tensors:
        kind, values = as_array(one)
        tensor = triton.InferInput(one["name"], one["shape"], kind)
        tensor.set_data_from_numpy(values, binary_data=binary)
        made.append(tensor)
    return made


def as_lists(result: triton.InferResult, names: Sequence[str]) -> dict[str, Any]:
    found = {}
    for name in names:
        values = result.as_numpy(name)
        if values.dtype == object:
            values = np.array([text.decode() if isinstance(text, bytes) else text for text in values], dtype=object)
        found[name] = values.tolist()
    return found


@pytest.mark.parametrize("make", [by_feature, packed])
@pytest.mark.parametrize("binary", [False, True])
def test_it_gets_the_answers_of_predict_batch(served: Served, client: Any, make: Any, binary: bool):
    rows = [row for row in served.bundle.rows if binary or None not in row.values()]
    predictions = served.service.client.post("/predict/batch", json=rows).json()["predictions"]
    wanted = as_outputs(served.bundle, predictions)
    asked = [triton.InferRequestedOutput(name, binary_data=binary) for name in wanted]
    tensors = inputs(make(served.bundle, rows), binary=binary)
    parameters = {"null_string": NULL}
    name = served.bundle.name
    result = client.infer(name, tensors, outputs=asked, request_id="7", parameters=parameters)
    assert result.get_response()["id"] == "7"
    # in JSON a probability is written as the double that it widens to, which the client narrows again
    assert as_lists(result, list(wanted)) == wanted
    everything = client.infer(name, tensors, model_version="1", parameters=parameters)
    assert as_lists(everything, list(wanted)) == wanted


def test_it_finds_the_server_and_the_model(served: Served, client: Any):
    name = served.bundle.name
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(name)
    assert client.is_model_ready(name, "1")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    assert client.get_model_metadata(name)["versions"] == ["1"]


@only(BINARY)
def test_it_can_read_what_is_wrong(served: Served, client: Any):
    tensors = inputs(by_feature(served.bundle, served.bundle.rows[:1]), binary=True)
    with pytest.raises(InferenceServerException, match=r"^\[400\] input .* is missing$"):
        client.infer(served.bundle.name, tensors[1:])
    with pytest.raises(InferenceServerException, match=r"^\[404\] .*odd_names"):
        client.infer("other", tensors)
    with pytest.raises(InferenceServerException, match=r"^\[415\] content encoding"):
        client.infer(served.bundle.name, tensors, request_compression_algorithm="gzip")


@only(REGRESSION)
def test_its_own_types_say_missing(served: Served, client: Any):
    rows = [served.bundle.rows[1]] * 3
    assert [name for name, value in rows[0].items() if value is None] == ["is bio", "sold", "worms"]
    wanted = served.service.client.post("/predict/batch", json=rows).json()["predictions"]
    tensors = inputs(by_feature(served.bundle, rows), binary=True)
    found = client.infer(served.bundle.name, tensors, parameters={"null_string": NULL}).as_numpy("value")
    assert found.tolist() == [one["prediction"] for one in wanted]
    with pytest.raises(InferenceServerException, match='input "sold", row 0: an ISO 8601 date'):
        client.infer(served.bundle.name, tensors)
