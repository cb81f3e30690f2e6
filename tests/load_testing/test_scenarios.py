"""Prepared requests."""

import json

import pytest

from load_testing.payloads import read_reference
from load_testing.scenarios import SCENARIOS, Address, parse_address, prepare_requests

ADDRESS = Address("127.0.0.1", 8001)


def sent_rows(message: bytes):
    head, _, body = message.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    return head, json.loads(body)


@pytest.mark.parametrize("rows", [1, 10, 100])
def test_requests_of_one_size_send_every_row(model_folder, rows):
    reference = read_reference(model_folder)
    requests = prepare_requests(reference, ADDRESS, rows)
    sent = [sent_rows(request.message)[1] for request in requests]
    if rows > 1:
        assert {len(batch) for batch in sent} == {rows}
        sent = [row for batch in sent for row in batch]
    assert {row["number"] for row in sent} == {4 * i for i in range(250)}
    assert len(sent) == -(-250 // rows) * rows


def test_request_line_names_route_and_host(model_folder):
    reference = read_reference(model_folder)
    single, batch = (prepare_requests(reference, ADDRESS, rows)[0].message for rows in (1, 10))
    assert single.startswith(b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:8001\r\n")
    assert batch.startswith(b"POST /predict/batch HTTP/1.1\r\n")


def test_check_of_a_request_knows_its_rows(model_folder):
    def answer(row):
        positive = row["number"] / 1000
        label = int(positive >= 0.5)
        return {
            "prediction": label,
            "probabilities": [1 - positive, positive],
            "predicted_taste": ["sour", "sweet"][label],
        }

    first, second, *_ = prepare_requests(read_reference(model_folder), ADDRESS, 10)
    rows = sent_rows(first.message)[1]
    right = json.dumps({"predictions": [answer(row) for row in rows], "batch_size": 10}).encode()
    assert first.check(right) is None
    assert second.check(right).startswith("wrong ")


def test_scenarios_of_the_protocol():
    assert list(SCENARIOS) == ["single", "batch10", "batch50", "batch100", "mixed"]
    assert sum(SCENARIOS["mixed"].values()) == 100


def test_addresses():
    assert parse_address("http://127.0.0.1:8001") == ("127.0.0.1", 8001)
    assert parse_address("http://localhost/") == ("localhost", 80)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8001", "https://a:1", "http://a:1/path", "http://", "http://a:x"])
def test_other_addresses_are_refused(url):
    with pytest.raises(ValueError, match=r"http://host:port|Port"):
        parse_address(url)
