"""`x-request-id` as gRPC metadata: in every answer to an inference, whoever gives it, and in the record."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tritonclient.grpc import service_pb2 as messages

from tests.contract.any_models import BINARY
from tests.contract.grpc_calls import SECONDS, SERVICE, GrpcServed, grpc_running, request
from tests.contract.inference import NULL, by_feature
from tests.contract.recording import answered, lines, metric, understood
from tests.services import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.cargo]

NAME = "x-request-id"
MADE = re.compile("[0-9a-f]{32}")
KEY = "a-key-0123456789"
MAX_BYTES = 20_000
PARAMETERS = {"null_string": messages.InferParameter(string_param=NULL)}
Metadata = Sequence[tuple[str, str]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrpcServed]:
    with grpc_running(BINARY, tmp_path_factory.mktemp("ids"), api_key=KEY, max_body_bytes=MAX_BYTES) as served:
        yield served


def good() -> Any:
    return request(BINARY, by_feature(BINARY, BINARY.rows), parameters=PARAMETERS)


def ask(served: GrpcServed, asked: bytes, given: Metadata, key: str = KEY) -> tuple[str, list[str]]:
    """The status of an inference, and the ids in what came with it."""
    call = served.channel.unary_unary(SERVICE + "ModelInfer")
    future = call.future(asked, timeout=SECONDS, metadata=[("authorization", f"Bearer {key}"), *given])
    status = future.code()
    came = [*future.initial_metadata(), *future.trailing_metadata()]
    return status.name, [str(value) for name, value in came if name == NAME]


@pytest.mark.parametrize("given", ["a", "8f14e45f-ceea-467f-a34d-1c2c0d0f5b1a", "x" * 128])
def test_an_id_is_taken_and_comes_back(served: GrpcServed, given: str):
    assert ask(served, good().SerializeToString(), [(NAME, given)]) == ("OK", [given])


@pytest.mark.parametrize("given", [[], ["x" * 129], ["two words"], ["one", "two"]], ids=repr)
def test_without_a_usable_id_one_is_made(served: GrpcServed, given: list[str]):
    found = [ask(served, good().SerializeToString(), [(NAME, one) for one in given]) for _ in range(2)]
    (first, (one,)), (second, (other,)) = found
    assert first == second == "OK"
    assert MADE.fullmatch(one)
    assert MADE.fullmatch(other)
    assert one != other


@pytest.mark.parametrize(
    ("asked", "key", "status"),
    [
        (messages.ModelInferRequest(model_name="other").SerializeToString(), KEY, "NOT_FOUND"),
        (messages.ModelInferRequest(model_name=BINARY.name).SerializeToString(), KEY, "INVALID_ARGUMENT"),
        (b"\xff" * 10, KEY, "INVALID_ARGUMENT"),
        (b"a" * (MAX_BYTES + 1), KEY, "RESOURCE_EXHAUSTED"),
        (b"", "another-key-0123456789", "UNAUTHENTICATED"),
    ],
    ids=["model", "tensors", "message", "size", "key"],
)
def test_an_error_has_it_too(served: GrpcServed, asked: bytes, key: str, status: str):
    assert ask(served, asked, [(NAME, "mine")], key) == (status, ["mine"])
    found, (made,) = ask(served, asked, [], key)
    assert found == status
    assert MADE.fullmatch(made)


def test_other_calls_have_none(served: GrpcServed):
    call = served.channel.unary_unary(SERVICE + "ServerLive")
    _, made = call.with_call(b"", timeout=SECONDS, metadata=[(NAME, "mine")])
    assert NAME not in dict([*made.initial_metadata(), *made.trailing_metadata()])


def test_an_answered_inference_is_recorded_under_its_id(tmp_path: Path):
    record = tmp_path / "record"
    with grpc_running(BINARY, tmp_path, record_dir=record, record_sample=1) as served:
        client, rows = served.service.client, list(BINARY.rows)
        answers = client.post("/predict/batch", json=rows, headers={NAME: "http"}).json()["predictions"]
        assert ask(served, good().SerializeToString(), [(NAME, "taken")]) == ("OK", ["taken"])
        _, (made,) = ask(served, good().SerializeToString(), [])
        assert ask(served, b"\xff" * 10, [(NAME, "refused")])[0] == "INVALID_ARGUMENT"
        wait_until(lambda: metric(client, "record_rows_total") == 3 * len(rows), served.service.log)
    found = lines(record)
    assert {line["request_id"] for line in found} == {"http", "taken", made}
    for name in ("taken", made):
        own = [line for line in found if line["request_id"] == name]
        assert [(line["route"], line["row"]) for line in own] == [("infer", place) for place in range(len(rows))]
        for line, row, answer in zip(own, rows, answers, strict=True):
            wanted = understood(BINARY.features, row) | answered(answer)
            assert {key: line.get(key) for key in wanted} == wanted
