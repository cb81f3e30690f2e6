"""`X-Request-ID`: taken if it can be used, made if not, and in every answer of a predict route."""

import json
import re
import socket
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests.contract.conftest import SMALL_LIMITS
from tests.contract.test_bad_input import only_place_taken
from tests.services import PATIENCE_SECONDS, TestedService, running

MADE = re.compile("[0-9a-f]{32}")
ALL_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))


def ask(service: TestedService, body: str, given: Sequence[bytes], path: str = "/predict") -> str:
    """The id of the answer to a request with these ids."""
    headers = [(b"x-request-id", value) for value in given]
    answer = service.client.post(path, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert len(answer.headers.get_list("x-request-id")) == 1
    return answer.headers["x-request-id"]


@pytest.mark.parametrize("given", ["a", "8f14e45f-ceea-467f-a34d-1c2c0d0f5b1a", ALL_VISIBLE, "x" * 128])
def test_an_id_of_visible_ascii_characters_is_taken(service: TestedService, body: str, given: str):
    assert ask(service, body, [given.encode()]) == given


@pytest.mark.parametrize(
    "given",
    [
        [],
        [b""],
        [b"x" * 129],
        [b"x" * 10_000],
        [b"two words"],
        [b"a\tb"],
        ["schlüssel".encode()],
        [b"caf\xe9"],
        [b"one", b"two"],
        [b"same", b"same"],
        [b"one", b""],
    ],
    ids=lambda given: repr(given)[:20],
)
def test_any_other_id_is_replaced(service: TestedService, body: str, given: list[bytes]):
    found = ask(service, body, given)
    assert MADE.fullmatch(found)


def test_ids_that_are_made_differ(service: TestedService, body: str):
    ids = [ask(service, body, []) for _ in range(50)]
    assert len(set(ids)) == len(ids)


def refused(service: TestedService, manifest, row: dict) -> list[httpx.Response]:
    """Answers that are no predictions, one for each reason that can be brought about at will."""
    infer = f"/v2/models/{manifest.name}/infer"
    calls = [
        *[("POST", path, "no JSON", {}, 400) for path in ("/predict", "/predict/batch", infer)],
        *[("GET", path, None, {}, 405) for path in ("/predict", "/predict/batch", infer)],
        ("POST", "/predict", "{}", {}, 422),
        ("POST", "/predict/batch", "[]", {}, 422),
        ("POST", infer, '{"inputs": []}', {}, 400),
        ("POST", "/predict", json.dumps(row), {"content-encoding": "gzip"}, 415),
        ("POST", "/predict", " " * (SMALL_LIMITS["max_body_bytes"] + 1), {}, 413),
        ("POST", "/predict/batch", json.dumps([row] * (SMALL_LIMITS["max_batch_rows"] + 1)), {}, 413),
    ]
    answers = []
    for method, path, content, headers, status in calls:
        answer = service.client.request(method, path, content=content, headers={**headers, "x-request-id": "mine"})
        assert answer.status_code == status, (method, path, answer.text)
        answers.append(answer)
    return answers


def test_refusals_have_the_id_as_well(limited: TestedService, manifest, row: dict):
    for answer in refused(limited, manifest, row):
        assert answer.headers.get_list("x-request-id") == ["mine"], (answer.request.url, answer.status_code)


def test_so_have_answers_of_all_predict_routes(service: TestedService, manifest, row: dict):
    assert ask(service, json.dumps([row, row]), [b"b-1"], "/predict/batch") == "b-1"
    datatypes = {"numeric": "FP64", "boolean": "BOOL"}
    inputs = [
        {"name": f.name, "datatype": datatypes.get(f.kind, "BYTES"), "shape": [1, 1], "data": [row[f.name]]}
        for f in manifest.features
    ]
    infer = f"/v2/models/{manifest.name}/infer"
    assert ask(service, json.dumps({"inputs": inputs}), [b"v2"], infer) == "v2"


def test_who_has_no_key_is_told_the_id(backend: str, models: Path, tmp_path: Path, body: str):
    with running(backend, models, tmp_path, api_key="a-key-0123456789") as service:
        answer = service.client.post("/predict", content=body, headers={"x-request-id": "mine"})
        assert (answer.status_code, answer.headers["x-request-id"]) == (401, "mine")


def test_over_capacity_an_answer_has_an_id(limited: TestedService, row: dict, body: str):
    with only_place_taken(limited, row, body) as (_, answer):
        assert MADE.fullmatch(answer.headers["x-request-id"])


def test_a_request_that_does_not_arrive_in_time_is_told_its_id(backend: str, models: Path, tmp_path: Path):
    with (
        running(backend, models, tmp_path, request_seconds=1) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE_SECONDS) as connection,
    ):
        connection.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\nx-request-id: mine\r\ncontent-length: 9\r\n\r\n{")
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nx-request-id: mine\r\n" in answer
