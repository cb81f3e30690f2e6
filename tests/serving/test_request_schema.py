import json
import math
from collections.abc import Iterable

import msgspec
import numpy as np
import pytest

from bundle.manifest import Feature, Tokens
from serving.errors import InvalidRows, MalformedBody, TooLarge
from serving.request_schema import PIECE_BYTES, Piece, RequestSchema

FEATURES = (
    Feature(name="size", kind="numeric", nullable=True, example=1.0),
    Feature(name="color", kind="nominal", nullable=True, example="red", categories=("?", "red")),
    Feature(name="grade", kind="ordinal", nullable=False, example="b", categories=("a", "b")),
    Feature(name="count", kind="numeric", nullable=False, example=2),
)
TOKENS = Tokens(missing="<missing>", unseen="<unseen>")
GOOD = {"size": 1.5, "color": "red", "grade": "b", "count": 3}


@pytest.fixture
def schema(manifest) -> RequestSchema:
    return RequestSchema(msgspec.structs.replace(manifest, tokens=TOKENS, features=FEATURES), max_rows=3)


def one(pieces: Iterable[Piece]) -> Piece:
    """The only piece."""
    (piece,) = pieces
    return piece


def decode(schema: RequestSchema, row: dict, *, many: bool) -> Piece:
    return one(schema.decode_rows(json.dumps([row]).encode()) if many else schema.decode_row(json.dumps(row).encode()))


def test_rows_become_a_string_part_and_a_float_part(schema: RequestSchema):
    batch, unseen = one(schema.decode_rows(json.dumps([GOOD, {**GOOD, "color": "?", "count": 7}]).encode()))
    assert batch.categorical.tolist() == [["red", "b"], ["?", "b"]]
    assert batch.numeric.tolist() == [[1.5, 3.0], [1.5, 7.0]]
    assert batch.numeric.dtype == np.float32
    assert list(unseen) == []


@pytest.mark.parametrize("many", [False, True])
def test_null_is_the_missing_token_or_nan(schema: RequestSchema, many: bool):
    decoded = decode(schema, {**GOOD, "size": None, "color": None}, many=many)
    assert decoded.batch.categorical.tolist() == [[TOKENS.missing, "b"]]
    assert math.isnan(decoded.batch.numeric[0, 0])
    assert list(decoded.unseen) == []


@pytest.mark.parametrize("many", [False, True])
def test_unseen_categories_are_made_one_and_counted(schema: RequestSchema, many: bool):
    decoded = decode(schema, {**GOOD, "color": "red\x00", "grade": "z"}, many=many)
    assert decoded.batch.categorical.tolist() == [[TOKENS.unseen, TOKENS.unseen]]
    assert list(decoded.unseen) == ["color", "grade"]


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("token", [TOKENS.missing, TOKENS.unseen])
def test_a_client_that_sends_a_token_s_text_has_sent_an_unseen_category(schema: RequestSchema, token: str, many: bool):
    decoded = decode(schema, {**GOOD, "color": token}, many=many)
    assert decoded.batch.categorical.tolist() == [[TOKENS.unseen, "b"]]
    assert list(decoded.unseen) == ["color"]


def test_numbers_are_rounded_to_float32_as_the_trees_see_them(schema: RequestSchema):
    batch, _ = decode(schema, {**GOOD, "size": 0.1, "count": 16_777_217}, many=False)
    assert batch.numeric[0].tolist() == [float(np.float32(0.1)), 16_777_216.0]


def test_the_number_of_rows_is_limited(schema: RequestSchema):
    assert len(one(schema.decode_rows(json.dumps([GOOD] * 3).encode())).batch.numeric) == 3
    with pytest.raises(TooLarge, match="more than 3 rows"):
        list(schema.decode_rows(json.dumps([GOOD] * 4).encode()))


def test_an_empty_batch_is_refused(schema: RequestSchema):
    with pytest.raises(InvalidRows, match="at least one row"):
        list(schema.decode_rows(b"[]"))


def test_a_truncated_body_is_malformed(schema: RequestSchema):
    with pytest.raises(MalformedBody, match="truncated"):
        schema.decode_row(b'{"size"')


def test_a_large_refused_body_is_not_decoded_a_second_time(schema: RequestSchema):
    body = json.dumps([{**GOOD, "size": "x"}] * 20_000).encode()
    with pytest.raises(InvalidRows) as raised:
        list(schema.decode_rows(body))
    (problem,) = raised.value.problems
    assert problem.loc == ("body", 0, "size")


def test_a_data_set_of_numbers_alone_has_an_empty_string_part(manifest):
    features = tuple(feature for feature in FEATURES if feature.kind == "numeric")
    schema = RequestSchema(msgspec.structs.replace(manifest, tokens=TOKENS, features=features), max_rows=3)
    batch = one(schema.decode_rows(b'[{"size": 1, "count": 2}]')).batch
    assert batch.categorical.shape == (1, 0)
    assert batch.numeric.tolist() == [[1.0, 2.0]]


def test_a_data_set_of_categories_alone_has_an_empty_float_part(manifest):
    features = tuple(feature for feature in FEATURES if feature.kind != "numeric")
    schema = RequestSchema(msgspec.structs.replace(manifest, tokens=TOKENS, features=features), max_rows=3)
    for many in (True, False):
        decoded = decode(schema, {"color": "red", "grade": "a"}, many=many)
        assert decoded.batch.categorical.tolist() == [["red", "a"]]
        assert decoded.batch.numeric.shape == (1, 0)


@pytest.fixture
def large(manifest) -> RequestSchema:
    return RequestSchema(msgspec.structs.replace(manifest, tokens=TOKENS, features=FEATURES), max_rows=100_000)


def test_a_large_batch_comes_in_pieces_with_all_rows_in_order(large: RequestSchema):
    rows = [{**GOOD, "count": number} for number in range(5000)]
    pieces = list(large.decode_rows(json.dumps(rows).encode()))
    assert len(pieces) > 5
    assert np.concatenate([piece.batch.numeric[:, 1] for piece in pieces]).tolist() == list(range(5000))


def test_a_string_that_looks_like_the_end_of_a_row_does_not_mislead(large: RequestSchema):
    rows = [{**GOOD, "count": number, "color": "},{" * 50} for number in range(1000)]
    pieces = list(large.decode_rows(json.dumps(rows).encode()))
    assert np.concatenate([piece.batch.numeric[:, 1] for piece in pieces]).tolist() == list(range(1000))


def test_a_mistake_far_behind_is_located_in_the_whole_batch(large: RequestSchema):
    rows = [GOOD] * 3000 + [{**GOOD, "count": "x"}]
    body = json.dumps(rows).encode()
    assert len(body) > 4 * PIECE_BYTES
    with pytest.raises(InvalidRows) as raised:
        list(large.decode_rows(body))
    assert raised.value.problems[0].loc == ("body", 3000, "count")


@pytest.mark.parametrize("tail", [b"", b"]]", b"] x", b",]", b"}]"])
def test_a_large_body_that_is_no_array_is_malformed(large: RequestSchema, tail: bytes):
    body = json.dumps([GOOD] * 3000).encode()[:-1] + tail
    with pytest.raises(MalformedBody):
        list(large.decode_rows(body))
