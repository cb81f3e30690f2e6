"""The Open Inference Protocol on every backend: the answers of `/predict/batch`, bit for bit, in all its forms."""

import copy
import json
import signal
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.contract.any_models import BINARY, QUOTED, REGRESSION, THREE_CLASSES
from tests.contract.inference import (
    LENGTH,
    NULL,
    as_outputs,
    binary_request,
    by_feature,
    in_binary,
    outputs,
    packed,
    tensor,
)
from tests.contract.served import Served, only
from tests.services import TestedService, running, wait_until

pytestmark = pytest.mark.slow


def url(served: Served, end: str = "/infer") -> str:
    return f"/v2/models/{served.bundle.name}{end}"


def expected(served: Served, rows: Any = None) -> dict[str, Any]:
    rows = list(served.bundle.rows) if rows is None else rows
    answer = served.service.client.post("/predict/batch", json=rows)
    return as_outputs(served.bundle, answer.json()["predictions"])


def infer(served: Served, tensors: list[dict[str, Any]], **members: Any) -> dict[str, Any]:
    return outputs(served.service.client.post(url(served), json={"inputs": tensors, **members}))


def error(served: Served, status: int = 400, **request: Any) -> str:
    answer = served.service.client.post(url(served), **request)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    content = answer.json()
    assert list(content) == ["error"]
    return str(content["error"])


@pytest.mark.parametrize("make", [by_feature, packed])
@pytest.mark.parametrize("binary_answer", [False, True])
def test_infer_answers_what_predict_batch_answers_to_the_bit(served: Served, make: Any, binary_answer: bool):
    tensors, wanted = make(served.bundle, served.bundle.rows), expected(served)
    parameters = {"binary_data_output": binary_answer, "null_string": NULL}
    assert infer(served, tensors, parameters=parameters) == wanted
    request = binary_request(tensors, parameters=parameters)
    answer = served.service.client.post(url(served), **request)
    assert (LENGTH in answer.headers) is binary_answer
    kind = "application/octet-stream" if binary_answer else "application/json"
    assert answer.headers["content-type"] == kind
    assert outputs(answer) == wanted


def test_data_may_be_flat_or_nested_and_a_column_a_vector(served: Served):
    rows, wanted = served.bundle.rows, expected(served)
    nested = [one | {"data": [[value] for value in one["data"]]} for one in by_feature(served.bundle, rows)]
    vectors = [one | {"shape": [len(rows)]} for one in by_feature(served.bundle, rows)]
    flat = [one | {"data": list(chain(*one["data"]))} for one in packed(served.bundle, rows)]
    assert infer(served, nested) == infer(served, vectors) == infer(served, flat) == wanted


def test_the_order_of_the_inputs_does_not_matter_and_some_may_be_binary(served: Served):
    tensors = by_feature(served.bundle, served.bundle.rows)
    wanted = expected(served)
    assert infer(served, tensors[::-1]) == wanted
    described, data = in_binary(tensors[:1])
    parameters = {"null_string": NULL}
    head = json.dumps({"inputs": [*tensors[1:], *described], "parameters": parameters}).encode()
    answer = served.service.client.post(url(served), content=head + data, headers={LENGTH: str(len(head))})
    assert outputs(answer) == wanted


def test_outputs_are_given_as_asked_for_and_the_id_comes_back(served: Served):
    tensors, wanted = by_feature(served.bundle, served.bundle.rows), expected(served)
    for name in wanted:
        asked = [{"name": name, "parameters": {"binary_data": True}}]
        request = {"inputs": tensors, "outputs": asked, "id": "request 7", "parameters": {"priority": 1}}
        answer = served.service.client.post(url(served), json=request)
        assert outputs(answer) == {name: wanted[name]}
        head = json.loads(answer.content[: int(answer.headers[LENGTH])])
        assert (head["id"], head["model_name"], head["model_version"]) == ("request 7", served.bundle.name, "1")
    plain = served.service.client.post(url(served, "/versions/1/infer"), json={"inputs": tensors, "id": None}).json()
    assert "id" not in plain
    assert {one["name"]: one["shape"] for one in plain["outputs"]} == {
        name: [len(values), len(values[0])] if name == "probabilities" else [len(values)]
        for name, values in wanted.items()
    }


def test_members_that_are_null_are_absent(served: Served):
    """As clients write them that serialise optional members."""
    tensors = [one | {"parameters": None} for one in by_feature(served.bundle, served.bundle.rows)]
    assert infer(served, tensors, id=None, parameters=None, outputs=None) == expected(served)


def test_server_and_model_say_what_they_are(served: Served):
    client = served.service.client
    assert client.get("/v2").json() == {
        "name": "train-to-serve",
        "version": "1.0.0",
        "extensions": ["binary_tensor_data"],
    }
    assert client.head("/v2").status_code == 200
    assert (client.get("/v2/health/live").json(), client.get("/v2/health/ready").json()) == (
        {"live": True},
        {"ready": True},
    )
    model = client.get(url(served, "")).json()
    assert model == client.get(url(served, "/versions/1")).json()
    assert (model["name"], model["versions"]) == (served.bundle.name, ["1"])
    assert model["platform"] == ("sklearn_pickle" if served.service.backend == "pickle" else "onnxruntime_onnx")
    assert [one["name"] for one in model["inputs"]] == [feature.name for feature in served.bundle.features]
    assert {tuple(one["shape"]) for one in model["inputs"]} == {(-1, 1)}
    assert [one["name"] for one in model["outputs"]] == list(expected(served))
    for path in ("/ready", "/versions/1/ready"):
        assert client.get(url(served, path)).json() == {"ready": True}


def test_a_request_made_of_the_metadata_works(served: Served):
    """What a generic client does: every input in the datatype that the metadata names."""
    inputs = served.service.client.get(url(served, "")).json()["inputs"]
    example = {feature.name: feature.example for feature in served.bundle.features}
    tensors = [tensor(one["name"], one["datatype"], (1, 1), [example[one["name"]]]) for one in inputs]
    assert infer(served, tensors) == expected(served, [example])


@pytest.mark.parametrize(
    "path",
    ["/v2/models/other", "/v2/models/other/ready", "/v2/models/other/infer", "/v2/models/{}/versions/2",
     "/v2/models/{}/versions/2/ready", "/v2/models/{}/versions/2/infer", "/v2/models", "/v2/nothing"],
)  # fmt: skip
def test_what_is_not_here_is_not_found(served: Served, path: str):
    path = path.format(served.bundle.name)
    for answer in (served.service.client.get(path), served.service.client.post(path, json={})):
        assert answer.status_code == 404
        assert served.bundle.name in answer.json()["error"]


def test_the_wrong_method_is_told(served: Served):
    for path, method, allowed in ((url(served), "GET", "POST"), ("/v2", "POST", "GET, HEAD")):
        answer = served.service.client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert answer.json() == {"error": "method not allowed"}


def test_what_is_no_request_is_told(served: Served):
    tensors = by_feature(served.bundle, served.bundle.rows)
    name = tensors[0]["name"]
    quoted = json.dumps(name, ensure_ascii=False)
    assert error(served, content=b"{").startswith("malformed JSON")
    for body in ({}, [], {"inputs": [{"name": 1}]}, {"inputs": tensors, "id": 1}):
        assert error(served, json=body).startswith("not an inference request")
    assert error(served, json={"inputs": tensors[1:]}) == f"input {quoted} is missing"
    assert error(served, json={"inputs": [*tensors, tensors[0]]}) == f"input {quoted}: given twice"
    unknown = [*tensors, tensor("other", "FP32", (4, 1), [0] * 4)]
    assert error(served, json={"inputs": unknown}).startswith('unknown input "other": the model\'s inputs are ')
    asked = {"inputs": tensors, "outputs": [{"name": "other"}]}
    assert error(served, json=asked).startswith('unknown output "other": the model\'s outputs are ')
    for unsupported in ("classification", "shared_memory_region"):
        asked["outputs"] = [{"name": "label", "parameters": {unsupported: 1}}]
        assert error(served, json=asked) == f'output "label": the parameter {unsupported} is not supported'
    assert "null_string must be a string" in error(served, json={"inputs": tensors, "parameters": {"null_string": 1}})
    wrong = {"inputs": tensors, "parameters": {"binary_data_output": 1}}
    assert "binary_data_output must be true or false" in error(served, json=wrong)
    encoded = error(served, status=415, content=b"x", headers={"content-encoding": "gzip"})
    assert "content encoding 'gzip' is not supported" in encoded


def test_a_request_can_not_make_the_service_hold_many_times_its_own_size(served: Served):
    tensors = by_feature(served.bundle, served.bundle.rows)
    first = next(iter(infer(served, tensors)))
    twice = {"inputs": tensors, "outputs": [{"name": first}] * 2}
    assert error(served, json=twice) == f"output {json.dumps(first)}: asked for twice"
    for body in (
        {"inputs": tensors, "outputs": [{"name": first}] * 1000},
        {"inputs": tensors * 1000},
        {"inputs": [{**tensors[0], "shape": [1] * 1000}, *tensors[1:]]},
    ):
        assert error(served, json=body).startswith("not an inference request")
    for index, given in enumerate(tensors):
        value = next(value for value in given["data"] if value is not None)
        changed = [*tensors[:index], {**given, "data": [value] * 1000}, *tensors[index + 1 :]]
        count = len(served.bundle.rows)
        assert f"values than the {count} of the shape" in error(served, json={"inputs": changed})
    unknown = {"parameters": {"other": [[]], "null_string": NULL}}
    assert infer(served, tensors, **unknown) == infer(served, tensors)


@only(BINARY, THREE_CLASSES)
def test_wrong_shapes_and_datatypes_are_told(served: Served):
    tensors = by_feature(served.bundle, served.bundle.rows)
    name = f"input {json.dumps(tensors[0]['name'])}"
    cases = [
        ({"datatype": "BYTES"}, f"{name}: datatype BYTES, but FP32 or FP64 or INT8 or INT16 "),
        ({"datatype": "FP16"}, f"{name}: datatype FP16, but FP32 or FP64 or "),
        ({"shape": [4, 2]}, f"{name}: shape [4, 2], but [N, 1] or [N] is needed"),
        ({"shape": []}, f"{name}: shape [], but [N, 1] or [N] is needed"),
        ({"shape": [-1, 1]}, "not an inference request"),
        ({"data": [1, 2]}, f"{name}: 2 values, but the shape [4, 1] has 4"),
        ({"data": [[1], [2, 3], [4], [5]]}, f"{name}, row 1: 2 values, but the shape is [4, 1]"),
        ({"data": 1}, f"{name}: data must be an array of values"),
        ({"data": None}, f"{name}: either data or the parameter binary_data_size is needed"),
        ({"parameters": {"binary_data_size": 4}}, f"{name}: either data or the parameter binary_data_size is needed"),
        ({"parameters": {"shared_memory_region": "x"}}, f"{name}: the parameter shared_memory_region is not supported"),
    ]
    for change, message in cases:
        assert error(served, json={"inputs": [tensors[0] | change, *tensors[1:]]}).startswith(message), change
    shorter = tensors[1] | {"shape": [3, 1], "data": tensors[1]["data"][:3]}
    assert f"3 rows, but {json.dumps(tensors[0]['name'])} has 4" in error(
        served, json={"inputs": [tensors[0], shorter, *tensors[2:]]}
    )
    empty = [one | {"shape": [0, 1], "data": []} for one in tensors]
    assert error(served, json={"inputs": empty}) == "at least one row is required"


def changed(tensors: list[dict[str, Any]], name: str, value: object, datatype: str | None = None) -> Any:
    """The tensors with another value in row 1 of one of them."""
    tensors = copy.deepcopy(tensors)
    (one,) = (one for one in tensors if one["name"] == name)
    one["data"][1] = value
    one["datatype"] = datatype or one["datatype"]
    return tensors


@only(BINARY)
def test_wrong_values_are_named_by_input_and_row(served: Served):
    tensors = by_feature(served.bundle, served.bundle.rows)
    for name, value, message in (
        (QUOTED, "x", "a number is required"),
        (QUOTED, True, "a number is required"),
        (QUOTED, None, "null is not allowed here"),
        (QUOTED, 1e39, "outside the range of a 32-bit float"),
        ("年齢", 1, "a string is required"),
        ("label", None, "null is not allowed here"),
    ):
        wrong = changed(tensors, name, value)
        place = f"input {json.dumps(name, ensure_ascii=False)}, row 1: "
        assert error(served, json={"inputs": wrong}) == place + message
        if value is None or value == 1e39:
            request = binary_request(wrong, parameters={"null_string": NULL})
            assert error(served, **request) == place + message
    for value, message in ((300, "outside the range of INT8"), (1.5, "a whole number is required")):
        wrong = changed(tensors, "education-num", value, "INT8")
        wrong[0]["data"] = [3, value, 3, 3]
        assert error(served, json={"inputs": wrong}) == f'input "education-num", row 1: {message}'


@only(BINARY)
def test_whole_numbers_of_every_size_are_numbers(served: Served):
    rows = [row | {"education-num": 7} for row in served.bundle.rows]
    tensors = by_feature(served.bundle, rows)
    for sign in ("INT", "UINT"):
        for size in (8, 16, 32, 64):
            assert infer(served, [tensors[0] | {"datatype": f"{sign}{size}"}, *tensors[1:]]) == expected(served, rows)


@only(BINARY)
def test_a_packed_tensor_names_row_and_column(served: Served):
    texts, numbers = packed(served.bundle, served.bundle.rows)
    texts["data"][2][1] = 5
    assert (
        error(served, json={"inputs": [texts, numbers]}) == 'input "categorical", row 2, column 1: a string is required'
    )
    texts["data"][2][1], numbers["data"][3][2] = "low", None
    found = error(served, json={"inputs": [texts, numbers]})
    assert found == 'input "numeric", row 3, column 2: null is not allowed here'
    shape = texts | {"shape": [12], "data": ["a"] * 12}
    assert error(served, json={"inputs": [shape, numbers]}) == 'input "categorical": shape [12], but [N, 3] is needed'


@only(REGRESSION)
def test_every_kind_has_its_own_rules(served: Served):
    tensors, whole = by_feature(served.bundle, served.bundle.rows), packed(served.bundle, served.bundle.rows)
    for name, value, datatype, message in (
        ("is ripe", 1, None, "true or false is required"),
        ("is ripe", None, None, "null is not allowed here"),
        ("picked", "2024-02-30", None, "an ISO 8601 date (YYYY-MM-DD) is required"),
        ("picked", 1, None, "a string is required"),
        ("count", 1.5, None, "a whole number is required"),
        ("count", 1.5, "FP32", "a whole number is required"),
        ("remark", None, None, "null is not allowed here"),
    ):
        wrong = changed(tensors, name, value, datatype)
        assert error(served, json={"inputs": wrong}) == f'input "{name}", row 1: {message}'
    for column, value, message in (
        (0, 0.5, "true or false is required"),
        (2, 0.5, "a date in whole days since 1970-01-01 is required"),
        (2, 3e6, "a date in whole days since 1970-01-01 is required"),
        (4, 0.5, "a whole number is required"),
    ):
        wrong = copy.deepcopy(whole)
        wrong[1]["data"][1][column] = value
        assert error(served, json={"inputs": wrong}) == f'input "numeric", row 1, column {column}: {message}'
    ripe = [tensors[0] | {"datatype": "FP32", "data": [1.0, 0.0, 1.0]}, *tensors[1:]]
    assert infer(served, ripe) == expected(served)


@only(BINARY)
def test_binary_data_that_does_not_fit_is_told(served: Served):
    described, data = in_binary(by_feature(served.bundle, served.bundle.rows))

    def refused(change: dict[str, Any], binary: bytes, index: int = 0, length: int = 0) -> str:
        inputs = copy.deepcopy(described)
        inputs[index] |= change
        head = json.dumps({"inputs": inputs}).encode()
        return error(served, content=head + binary, headers={LENGTH: str(len(head) + length)})

    assert refused({}, data + b"12") == "2 bytes of binary data belong to no input"
    short = refused({"parameters": {"binary_data_size": 10**9}}, data)
    assert f"binary_data_size: a number of bytes is needed, of which the body has {len(data)} left" in short
    assert "binary_data_size: a number" in refused({"parameters": {"binary_data_size": "32"}}, data)
    assert "Inference-Header-Content-Length" in refused({}, data, length=10**6)
    odd = refused({"parameters": {"binary_data_size": 31}}, data[:31] + data[32:])
    assert odd == 'input "education-num": 31 bytes of binary data are no multiple of the 8 of FP64'
    early = data[:32] + (255).to_bytes(4, "little") + data[36:]
    assert refused({}, early, index=1) == 'input "年齢", row 0: the binary data ends early'
    bad = data[:36] + b"\xff" + data[37:]
    assert refused({}, bad, index=1) == 'input "年齢", row 0: not UTF-8'
    fewer = refused({"parameters": {"binary_data_size": 24}}, data[:24] + data[32:])
    assert fewer == 'input "education-num": 3 values, but the shape [4, 1] has 4'


@only(BINARY)
def test_unseen_categories_and_requests_are_counted(served: Served):
    def value(sample: str) -> float:
        lines = served.service.client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(sample))

    samples = [
        'predict_rows_total{route="infer"}',
        'predict_request_seconds_count{route="infer",status="200"}',
        'predict_request_seconds_count{route="infer",status="400"}',
        'predict_unseen_categories_total{feature="label"}',
    ]
    before = [value(sample) for sample in samples]
    tensors = by_feature(served.bundle, served.bundle.rows)
    infer(served, changed(tensors, "label", "never seen"))
    error(served, json={})
    # the rows have two unseen ones of their own
    assert [value(sample) - start for sample, start in zip(samples, before, strict=True)] == [4, 1, 1, 3]


def test_a_large_request_is_answered_in_the_order_of_its_rows(served: Served):
    """In other pieces than the same rows as JSON, by which the last bit of a linear model's answer may differ."""
    rows = list(served.bundle.rows) * 1500
    tensors = by_feature(served.bundle, rows)
    wanted = expected(served, rows)
    assert_alike(infer(served, tensors), wanted)
    request = binary_request(tensors, parameters={"null_string": NULL, "binary_data_output": True})
    assert_alike(outputs(served.service.client.post(url(served), **request)), wanted)


def assert_alike(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        if name in ("value", "probabilities"):
            np.testing.assert_allclose(np.array(found[name], float), np.array(values, float), rtol=1e-6, atol=1e-6)
        else:
            assert found[name] == values


KEY = "a-key-of-the-protocol"


@pytest.fixture
def limited(backend: str, tmp_path: Path) -> Iterator[TestedService]:
    BINARY.write(tmp_path / "models")
    (tmp_path / "key").write_text(KEY)
    limits = {"max_body_bytes": 20_000, "max_batch_rows": 3, "api_key_file": tmp_path / "key"}
    with running(backend, tmp_path / "models", tmp_path, **limits) as service:
        yield service


def test_limits_and_keys_are_those_of_predict(limited: TestedService):
    client, keyed = limited.client, {"authorization": f"Bearer {KEY}"}
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert client.get(path).status_code == 200
    for path in ("/v2", "/v2/models/odd_names", "/v2/models/odd_names/ready", "/v2/nothing"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (401, {"error": "a valid API key is required"})
    request = {"inputs": by_feature(BINARY, BINARY.rows)}
    assert client.post("/v2/models/odd_names/infer", json=request).status_code == 401
    answer = client.post("/v2/models/odd_names/infer", json=request, headers=keyed)
    assert (answer.status_code, answer.json()) == (413, {"error": "more than 3 rows"})
    answer = client.post("/v2/models/odd_names/infer", content=b" " * 20_001, headers=keyed)
    assert (answer.status_code, answer.json()) == (413, {"error": "more than 20000 bytes"})


def test_a_reload_replaces_the_model_of_the_protocol_too(limited: TestedService, tmp_path: Path):
    keyed = {"authorization": f"Bearer {KEY}"}
    path = tmp_path / "models/odd_names.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": "2"}))
    limited.process.send_signal(signal.SIGHUP)

    def status(version: str) -> int:
        return limited.client.get(f"/v2/models/odd_names/versions/{version}", headers=keyed).status_code

    wait_until(lambda: status("2") == 200, limited.log)
    assert status("1") == 404
    request = {"inputs": by_feature(BINARY, BINARY.rows[:2])}
    answer = limited.client.post("/v2/models/odd_names/infer", json=request, headers=keyed)
    assert answer.json()["model_version"] == "2"
