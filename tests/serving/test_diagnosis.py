"""A large body gets the decoder's first finding, a small one a full diagnosis: both must say it in the same words."""

import json

import msgspec
import pytest

from bundle.manifest import Feature
from serving import diagnosis
from serving.errors import InvalidRows, Problem
from serving.request_schema import RequestSchema

FEATURES = (
    Feature(name="size", kind="numeric", nullable=True, example=1.0),
    Feature(name="color", kind="nominal", nullable=True, example="red", categories=("red",)),
    Feature(name="grade", kind="ordinal", nullable=False, example="b", categories=("a", "b")),
    Feature(name="count", kind="numeric", nullable=False, example=2),
)
GOOD = {"size": 1.5, "color": "red", "grade": "b", "count": 3}
ONE_FAULT = [
    ({**GOOD, "size": "x"}, ("size",), "float_type"),
    ({**GOOD, "count": None}, ("count",), "not_nullable"),
    ({**GOOD, "count": True}, ("count",), "float_type"),
    ({**GOOD, "size": 1e39}, ("size",), "float_range"),
    ({**GOOD, "count": -1e39}, ("count",), "float_range"),
    ({**GOOD, "color": 1}, ("color",), "string_type"),
    ({**GOOD, "grade": None}, ("grade",), "not_nullable"),
    ({**GOOD, "grade": []}, ("grade",), "string_type"),
    ({**GOOD, "extra": 1}, ("extra",), "extra_forbidden"),
    ({"size": 1, "color": "red", "grade": "a"}, ("count",), "missing"),
    (None, (), "object_type"),
    ("text", (), "object_type"),
]


@pytest.fixture
def schema(manifest) -> RequestSchema:
    return RequestSchema(msgspec.structs.replace(manifest, features=FEATURES), max_rows=10)


def refusal(schema: RequestSchema, rows: object) -> list[Problem]:
    with pytest.raises(InvalidRows) as raised:
        list(schema.decode_rows(json.dumps(rows).encode()))
    return list(raised.value.problems)


@pytest.mark.parametrize(("row", "field", "kind"), ONE_FAULT)
@pytest.mark.parametrize("limit", [0, diagnosis.MAX_DIAGNOSED_BYTES])
def test_one_fault_is_named_alike_with_and_without_a_diagnosis(schema, monkeypatch, row, field, kind, limit):
    monkeypatch.setattr(diagnosis, "MAX_DIAGNOSED_BYTES", limit)
    (problem,) = refusal(schema, [GOOD, row])
    assert (problem.loc, problem.type) == (("body", 1, *field), kind)


@pytest.mark.parametrize("row", [row for row, _, _ in ONE_FAULT])
def test_the_message_is_the_same_too(schema, monkeypatch, row):
    diagnosed = refusal(schema, [row])
    monkeypatch.setattr(diagnosis, "MAX_DIAGNOSED_BYTES", 0)
    assert refusal(schema, [row]) == diagnosed


@pytest.mark.parametrize("limit", [0, diagnosis.MAX_DIAGNOSED_BYTES])
def test_what_is_no_array_is_named_alike(schema, monkeypatch, limit):
    monkeypatch.setattr(diagnosis, "MAX_DIAGNOSED_BYTES", limit)
    assert refusal(schema, {}) == [Problem(("body",), "an array of objects is required", "list_type")]


def test_a_number_that_no_float_holds_is_out_of_range(schema):
    body = json.dumps([{**GOOD, "size": "@"}]).replace('"@"', "1e999").encode()
    with pytest.raises(InvalidRows) as raised:
        list(schema.decode_rows(body))
    assert raised.value.problems == [Problem(("body", 0, "size"), "outside the range of a 32-bit float", "float_range")]
