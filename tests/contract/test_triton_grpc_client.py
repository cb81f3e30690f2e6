"""Triton's own gRPC client, as it is, against the Rust service."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from tests.contract.any_models import MODELS
from tests.contract.grpc_calls import GrpcServed, grpc_running
from tests.contract.inference import NULL, as_array, as_outputs, by_feature, packed

pytestmark = [pytest.mark.slow, pytest.mark.cargo]


@pytest.fixture(scope="module", params=MODELS, ids=[bundle.name for bundle in MODELS])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrpcServed]:
    with grpc_running(request.param, tmp_path_factory.mktemp(request.param.name)) as served:
        yield served


@pytest.fixture
def client(served: GrpcServed) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        yield client


def inputs(tensors: Sequence[dict[str, Any]]) -> list[triton.InferInput]:
    """The client's own tensors."""
    made = []
    for one in tensors:
        kind, values = as_array(one)
        tensor = triton.InferInput(one["name"], one["shape"], kind)
        tensor.set_data_from_numpy(values)
        made.append(tensor)
    return made


def as_list(values: Any) -> list[Any]:
    return [text.decode() if isinstance(text, bytes) else text for text in values.tolist()]


@pytest.mark.parametrize("make", [by_feature, packed])
def test_it_gets_the_answers_of_predict_batch(served: GrpcServed, client: Any, make: Any):
    rows = list(served.bundle.rows)
    predictions = served.service.client.post("/predict/batch", json=rows).json()["predictions"]
    wanted = as_outputs(served.bundle, predictions)
    asked = [triton.InferRequestedOutput(name) for name in wanted]
    tensors = inputs(make(served.bundle, rows))
    result = client.infer(served.bundle.name, tensors, outputs=asked, request_id="7", parameters={"null_string": NULL})
    assert result.get_response().id == "7"
    assert {name: as_list(result.as_numpy(name)) for name in wanted} == wanted


def test_it_finds_the_server_and_the_model(served: GrpcServed, client: Any):
    name = served.bundle.name
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(name)
    assert client.get_model_metadata(name).name == name
    with pytest.raises(InferenceServerException, match="NOT_FOUND"):
        client.get_model_metadata("no-such-model")
