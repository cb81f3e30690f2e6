"""The Open Inference Protocol by gRPC, in the Rust service: the answers of `/predict/batch`, bit for bit."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.grpc import service_pb2 as messages

from tests.contract.any_models import BINARY, MODELS, REGRESSION, THREE_CLASSES
from tests.contract.grpc_calls import GrpcServed, grpc_running, refusal, request
from tests.contract.inference import NULL, as_outputs, by_feature, packed, tensor
from tests.services import command, environment, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.cargo]

PARAMETERS = {"null_string": messages.InferParameter(string_param=NULL)}
KEY = "a-key-0123456789"
HEALTHY = health_pb2.HealthCheckResponse.SERVING
NOT_HEALTHY = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(scope="module", params=MODELS, ids=[bundle.name for bundle in MODELS])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrpcServed]:
    with grpc_running(request.param, tmp_path_factory.mktemp(request.param.name)) as served:
        yield served


def only(*bundles: Any) -> Any:
    return pytest.mark.parametrize("served", bundles, indirect=True, ids=[bundle.name for bundle in bundles])


def wanted(served: GrpcServed) -> dict[str, Any]:
    answer = served.service.client.post("/predict/batch", json=list(served.bundle.rows))
    return as_outputs(served.bundle, answer.json()["predictions"])


def tensors(served: GrpcServed) -> list[dict[str, Any]]:
    return by_feature(served.bundle, served.bundle.rows)


@pytest.mark.parametrize("make", [by_feature, packed])
@pytest.mark.parametrize("raw", [False, True])
def test_infer_answers_what_predict_batch_answers_to_the_bit(served: GrpcServed, make: Any, raw: bool):
    asked = request(served.bundle, make(served.bundle, served.bundle.rows), raw=raw, parameters=PARAMETERS)
    answer = served.call("ModelInfer", asked)
    assert (answer.model_name, answer.model_version, answer.id) == (served.bundle.name, "1", "")
    assert bool(answer.raw_output_contents) is raw
    assert served.infer(asked) == wanted(served)


@pytest.mark.parametrize("raw", [False, True])
def test_outputs_are_given_as_asked_for_and_the_id_comes_back(served: GrpcServed, raw: bool):
    asked = request(served.bundle, tensors(served), raw=raw, parameters=PARAMETERS, id="request 7", model_version="1")
    asked.parameters["priority"].int64_param = 1
    for name, values in wanted(served).items():
        asked.outputs.add(name=name)
        answer = served.call("ModelInfer", asked)
        assert answer.id == "request 7"
        assert [one.name for one in answer.outputs] == [name]
        assert served.infer(asked) == {name: values}
        del asked.outputs[:]


def test_a_large_batch_is_answered_as_a_small_one_is(served: GrpcServed):
    """On another thread, in many packets."""
    rows = list(served.bundle.rows) * 3000
    few = wanted(served)
    found = served.infer(request(served.bundle, by_feature(served.bundle, rows), raw=True, parameters=PARAMETERS))
    assert found == {name: values * 3000 for name, values in few.items()}


def test_the_metadata_is_that_of_http(served: GrpcServed):
    client, name = served.service.client, served.bundle.name
    server = served.call("ServerMetadata", messages.ServerMetadataRequest())
    assert {"name": server.name, "version": server.version, "extensions": list(server.extensions)} == client.get(
        "/v2"
    ).json()
    model = served.call("ModelMetadata", messages.ModelMetadataRequest(name=name))
    told = client.get(f"/v2/models/{name}").json()
    assert (model.name, list(model.versions), model.platform) == (told["name"], told["versions"], told["platform"])
    for ours, theirs in ((model.inputs, told["inputs"]), (model.outputs, told["outputs"])):
        found = [{"name": one.name, "datatype": one.datatype, "shape": list(one.shape)} for one in ours]
        assert found == theirs


def test_it_is_live_and_ready_and_so_is_the_model(served: GrpcServed):
    name = served.bundle.name
    assert served.call("ServerLive", messages.ServerLiveRequest()).live
    assert served.call("ServerReady", messages.ServerReadyRequest()).ready
    assert served.call("ModelReady", messages.ModelReadyRequest(name=name)).ready
    assert served.call("ModelReady", messages.ModelReadyRequest(name=name, version="1")).ready
    health = health_pb2_grpc.HealthStub(served.channel)
    for service in ("", "inference.GRPCInferenceService"):
        assert health.Check(health_pb2.HealthCheckRequest(service=service)).status == HEALTHY


@only(BINARY)
def test_what_is_not_here_is_not_found(served: GrpcServed):
    told = ("NOT_FOUND", 'not here; the model is "odd_names", its version "1"')
    for name, version in (("other", ""), (served.bundle.name, "2"), ("", "1")):
        asked = messages.ModelInferRequest(model_name=name, model_version=version)
        assert served.refusal(asked) == told
        for kind in ("ModelReady", "ModelMetadata"):
            message = getattr(messages, f"{kind}Request")(name=name, version=version)
            assert served.refusal(message, kind) == told
    assert refusal(lambda: served.channel.unary_unary("/inference.Other/Call")(b""))[0] == "UNIMPLEMENTED"


@only(BINARY)
def test_errors_have_the_text_that_http_has(served: GrpcServed):
    good = tensors(served)
    unknown = tensor("nothing", "FP32", (4, 1), [0.0] * 4)
    bad_value = good[0] | {"data": [0, 1e39, 0, 0]}
    longer = good[0] | {"shape": [5, 1]}
    rows = good[0] | {"shape": [3, 1], "data": [0] * 3}
    for changed in ([*good, unknown], [*good, good[0]], good[1:], [bad_value, *good[1:]], [longer, *good[1:]],
                    [rows, *good[1:]], [good[0] | {"shape": [2, 2]}, *good[1:]]):  # fmt: skip
        parameters = {"null_string": NULL}
        url = f"/v2/models/{served.bundle.name}/infer"
        answer = served.service.client.post(url, json={"inputs": changed, "parameters": parameters})
        asked = request(served.bundle, changed, parameters=PARAMETERS)
        assert served.refusal(asked) == ("INVALID_ARGUMENT", answer.json()["error"])
    asked = request(served.bundle, good, parameters=PARAMETERS)
    asked.outputs.add(name="other")
    assert served.refusal(asked)[1].startswith('unknown output "other": the model')


@only(REGRESSION)
def test_whole_numbers_are_held_to_their_datatype(served: GrpcServed):
    for datatype in ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"):
        asked = request(served.bundle, tensors(served), parameters=PARAMETERS)
        count = next(one for one in asked.inputs if one.name == "count")
        count.datatype = datatype
        count.contents.Clear()
        field = {"INT64": "int64_contents", "UINT64": "uint64_contents"}.get(datatype)
        field = field or ("uint_contents" if datatype.startswith("U") else "int_contents")
        values = [0, 3, 5] if datatype.startswith("U") else [0, -3, 5]
        getattr(count.contents, field).extend(values)
        rows = [row | {"count": value} for row, value in zip(served.bundle.rows, values, strict=True)]
        answer = served.service.client.post("/predict/batch", json=rows).json()["predictions"]
        assert served.infer(asked) == as_outputs(served.bundle, answer)
        if datatype in {"INT8", "INT16", "UINT8", "UINT16"}:
            getattr(count.contents, field)[1] = 1 << 20
            assert served.refusal(asked)[1] == f'input "count", row 1: outside the range of {datatype}'


@only(THREE_CLASSES)
def test_the_metrics_count_calls_as_those_of_http(served: GrpcServed):
    def count(status: int) -> float:
        text = served.service.client.get("/metrics").text
        lines = [line for line in text.splitlines() if line.startswith("predict_request_seconds_count{")]
        found = [line for line in lines if 'route="infer"' in line and f'status="{status}"' in line]
        return sum(float(line.split()[-1]) for line in found)

    before = count(200), count(400), count(404)
    served.infer(request(served.bundle, tensors(served)))
    served.refusal(request(served.bundle, tensors(served)[1:]))
    served.refusal(messages.ModelInferRequest(model_name="other"))
    assert (count(200), count(400), count(404)) == tuple(number + 1 for number in before)


@only(BINARY)
def test_its_description_is_the_one_that_clients_have(served: GrpcServed):
    """Numbers and types of all fields, as the service itself tells them, against those of Triton's client."""
    database = ProtoReflectionDescriptorDatabase(served.channel)
    assert set(database.get_services()) >= {"inference.GRPCInferenceService", "grpc.health.v1.Health"}
    pool = descriptor_pool.DescriptorPool(database)
    service = pool.FindServiceByName("inference.GRPCInferenceService")
    assert {method.name for method in service.methods} == {
        "ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer"
    }  # fmt: skip
    todo = [kind for method in service.methods for kind in (method.input_type, method.output_type)]
    checked = set()
    while todo:
        ours = todo.pop()
        theirs = messages.DESCRIPTOR.pool.FindMessageTypeByName(ours.full_name)
        for field in ours.fields:
            other = theirs.fields_by_name[field.name]
            assert (field.number, field.type, field.is_repeated) == (other.number, other.type, other.is_repeated)
            if field.message_type and field.message_type.full_name not in checked:
                checked.add(field.message_type.full_name)
                todo.append(field.message_type)
    assert "inference.InferTensorContents" in checked


def test_keys_are_asked_for_and_health_needs_none(tmp_path: Path):
    with grpc_running(BINARY, tmp_path, api_key=KEY, docs="off") as served:
        asked = request(served.bundle, tensors(served), parameters=PARAMETERS)
        told = ("UNAUTHENTICATED", "a valid API key is required")
        assert served.refusal(asked) == told
        assert served.refusal(asked, metadata=[("authorization", "Bearer wrong-0123456789")]) == told
        assert served.refusal(messages.ServerMetadataRequest(), "ServerMetadata") == told
        assert served.call("ModelInfer", asked, [("authorization", f"Bearer {KEY}")]).model_name == served.bundle.name
        assert served.call("ServerLive", messages.ServerLiveRequest()).live
        assert served.call("ServerReady", messages.ServerReadyRequest()).ready
        health = health_pb2_grpc.HealthStub(served.channel)
        assert health.Check(health_pb2.HealthCheckRequest()).status == HEALTHY
        key = [("authorization", f"Bearer {KEY}")]
        reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        call = served.channel.stream_stream(reflection)
        assert refusal(lambda: list(call(iter([b""]), metadata=key)))[0] == "UNIMPLEMENTED"  # as SERVE_DOCS=off says


def test_a_reload_changes_the_model_and_its_version(tmp_path: Path):
    with grpc_running(BINARY, tmp_path) as served:
        asked = request(served.bundle, tensors(served), parameters=PARAMETERS, model_version="1")
        served.infer(asked)
        shutil.rmtree(served.models)
        REGRESSION.write(served.models)
        served.service.process.send_signal(signal.SIGHUP)
        ready = messages.ModelReadyRequest(name=REGRESSION.name)
        wait_until(lambda: served.service.client.get(f"/v2/models/{REGRESSION.name}").status_code == 200)
        assert served.call("ModelReady", ready).ready
        assert served.refusal(asked)[0] == "NOT_FOUND"


def test_a_stop_is_told_to_those_who_watch_and_the_service_ends(tmp_path: Path):
    with grpc_running(BINARY, tmp_path, shutdown_seconds=100) as served:
        watch = health_pb2_grpc.HealthStub(served.channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(watch).status == HEALTHY
        served.service.process.terminate()
        assert [answer.status for answer in watch] == [NOT_HEALTHY]
        assert served.service.process.wait(60) == 0
    assert "unfinished" not in served.service.log.read_text()


def test_two_services_can_t_have_one_port(tmp_path: Path):
    with grpc_running(BINARY, tmp_path) as served:
        given = environment(served.models, port=0, grpc_port=served.port)
        ended = subprocess.run(command("axum"), env=given, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 2
        assert f"SERVE_GRPC_PORT={served.port}: Address already in use" in ended.stderr
