import contextlib
import json
import select
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bundle.manifest import Feature, Manifest
from tests.contract.conftest import SMALL_LIMITS
from tests.services import PATIENCE_SECONDS, TestedService


def problems(answer: httpx.Response) -> list[tuple[list[str | int], str]]:
    """Location and type of every entry of `detail`."""
    return [(entry["loc"], entry["type"]) for entry in answer.json()["detail"]]


def first(manifest: Manifest, *, numeric: bool, nullable: bool = False) -> Feature:
    return next(f for f in manifest.features if (f.kind == "numeric") == numeric and f.nullable == nullable)


def test_a_missing_field_is_named(service: TestedService, row):
    name = list(row)[3]
    del row[name]
    answer = service.client.post("/predict", json=row)
    assert (answer.status_code, problems(answer)) == (422, [(["body", name], "missing")])


def test_everything_that_is_wrong_is_named_at_once(service: TestedService, manifest, row):
    number, text = first(manifest, numeric=True).name, first(manifest, numeric=False).name
    bad = {**row, number: "x", text: 1, "unheard_of": 1}
    answer = service.client.post("/predict/batch", json=[row, bad, 5])
    expected = [
        *sorted([(["body", 1, number], "float_type"), (["body", 1, text], "string_type")], key=str),
        (["body", 1, "unheard_of"], "extra_forbidden"),
        (["body", 2], "object_type"),
    ]
    assert answer.status_code == 422
    assert sorted(problems(answer), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("12", "float_type"),
        (True, "float_type"),
        ([1], "float_type"),
        ({"a": 1}, "float_type"),
        (None, "not_nullable"),
        (1e39, "float_range"),
        (-1e39, "float_range"),
        (10**60, "float_range"),
    ],
)
def test_a_number_must_be_a_number_in_range(service: TestedService, manifest, row, value: Any, kind: str):
    name = first(manifest, numeric=True).name
    answer = service.client.post("/predict", json={**row, name: value})
    assert (answer.status_code, problems(answer)) == (422, [(["body", name], kind)])


@pytest.mark.parametrize("literal", ["1e999", "-1e999", "9" * 400])
def test_a_number_that_no_float_holds_is_out_of_range(service: TestedService, manifest, row, literal: str):
    name = first(manifest, numeric=True).name
    row[name] = "@"
    answer = service.client.post("/predict", content=json.dumps(row).replace('"@"', literal))
    assert (answer.status_code, problems(answer)) == (422, [(["body", name], "float_range")])


@pytest.mark.parametrize(("value", "kind"), [(1, "string_type"), (["a"], "string_type"), (None, "not_nullable")])
def test_a_category_must_be_a_string(service: TestedService, manifest, row, value: Any, kind: str):
    name = first(manifest, numeric=False).name
    answer = service.client.post("/predict", json={**row, name: value})
    assert (answer.status_code, problems(answer)) == (422, [(["body", name], kind)])


@pytest.mark.parametrize("content", [b"[]", b"3", b'"x"', b"null", b"true"])
def test_a_row_must_be_an_object(service: TestedService, content: bytes):
    answer = service.client.post("/predict", content=content)
    assert (answer.status_code, problems(answer)) == (422, [(["body"], "object_type")])


@pytest.mark.parametrize(("content", "kind"), [(b"{}", "list_type"), (b"null", "list_type"), (b"[]", "too_short")])
def test_a_batch_must_be_an_array_with_rows(service: TestedService, content: bytes, kind: str):
    answer = service.client.post("/predict/batch", content=content)
    assert (answer.status_code, problems(answer)) == (422, [(["body"], kind)])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"{",
        b'{"a":}',
        b"{'a': 1}",
        b"[1,]",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 01}',
        b"\xef\xbb\xbf{}",
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b"{} x",
        b"not json",
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_what_is_not_json_is_refused(service: TestedService, path: str, content: bytes):
    answer = service.client.post(path, content=content)
    assert answer.status_code in {400, 422}
    assert all(location[0] == "body" for location, _ in problems(answer))


def test_a_good_request_works_after_bad_ones(service: TestedService, row):
    service.client.post("/predict", content=b"{")
    assert service.client.post("/predict", json=row).status_code == 200


def test_at_most_a_hundred_problems_are_listed(service: TestedService):
    answer = service.client.post("/predict/batch", json=[{}] * 1000)
    assert answer.status_code == 422
    assert len(problems(answer)) == 100


def test_a_body_over_the_limit_is_refused(limited: TestedService, row):
    padded = json.dumps(row) + " " * SMALL_LIMITS["max_body_bytes"]
    answer = limited.client.post("/predict", content=padded)
    assert (answer.status_code, problems(answer)) == (413, [(["body"], "too_many_bytes")])
    assert limited.client.post("/predict", json=row).status_code == 200


def test_a_chunked_body_over_the_limit_is_refused(limited: TestedService, row):
    def chunks():
        yield json.dumps(row).encode()
        for _ in range(100):
            yield b" " * 1000

    with httpx.Client(base_url=limited.client.base_url) as client:
        try:
            answer = client.post("/predict", content=chunks())
        except httpx.WriteError:  # the service may close before all of it was sent
            return
    assert (answer.status_code, problems(answer)) == (413, [(["body"], "too_many_bytes")])


def test_a_batch_over_the_limit_is_refused(limited: TestedService, row):
    rows = SMALL_LIMITS["max_batch_rows"]
    assert limited.client.post("/predict/batch", json=[row] * rows).status_code == 200
    answer = limited.client.post("/predict/batch", json=[row] * (rows + 1))
    assert (answer.status_code, problems(answer)) == (413, [(["body"], "too_many_rows")])


def test_over_capacity_the_service_asks_to_come_again(limited: TestedService, row, body):
    with only_place_taken(limited, row, body) as (holder, answer):
        assert answer.headers["retry-after"] == "1"
        assert problems(answer) == [([], "overloaded")]
        holder.sendall(body[10:].encode())
        assert holder.recv(100).startswith(b"HTTP/1.1 200")
    assert limited.client.post("/predict", json=row).status_code == 200


def test_a_client_that_leaves_frees_its_place(limited: TestedService, row, body):
    with only_place_taken(limited, row, body):
        pass
    deadline = time.monotonic() + PATIENCE_SECONDS
    while limited.client.post("/predict", json=row).status_code != 200:
        assert time.monotonic() < deadline, "the place was not given back"


@contextlib.contextmanager
def only_place_taken(
    service: TestedService, row: dict[str, Any], body: str
) -> Iterator[tuple[socket.socket, httpx.Response]]:
    """A connection whose unfinished request holds the service's one place, and the refusal that another one got."""
    head = f"POST /predict HTTP/1.1\r\nhost: test\r\ncontent-length: {len(body)}\r\n\r\n"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE_SECONDS) as holder:
            holder.sendall((head + body[:10]).encode())
            while not select.select([holder], [], [], 0)[0]:  # it may have been refused, behind the last of ours
                answer = service.client.post("/predict", json=row)
                if answer.status_code != 503:
                    continue
                service.client.get("/health/live")  # by its answer a refusal of the unfinished one would be here, too
                if not select.select([holder], [], [], 0)[0]:
                    yield holder, answer
                    return
    raise AssertionError("the place could not be taken")


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("missing", lambda row, number, text: row.pop(number)),
        ("extra_forbidden", lambda row, number, text: row.update(unheard_of=1)),
        ("float_type", lambda row, number, text: row.update({number: "x"})),
        ("not_nullable", lambda row, number, text: row.update({number: None})),
        ("float_range", lambda row, number, text: row.update({number: 1e39})),
        ("string_type", lambda row, number, text: row.update({text: 1})),
    ],
)
def test_in_a_body_over_a_mebibyte_the_first_fault_is_named(
    service: TestedService, manifest, row, kind: str, change: Any
):
    number, text = first(manifest, numeric=True).name, first(manifest, numeric=False).name
    bad = dict(row)
    change(bad, number, text)
    field = {"extra_forbidden": "unheard_of", "string_type": text}.get(kind, number)
    body = json.dumps([row] * 3 + [bad] + [row] * 4000)
    assert len(body) > 1 << 20
    answer = service.client.post("/predict/batch", content=body)
    assert (answer.status_code, problems(answer)) == (422, [(["body", 3, field], kind)])
