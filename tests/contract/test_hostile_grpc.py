"""gRPC clients that send nonsense, too much, too slowly or not at all, and how the service gets rid of them."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2 as messages

from tests.contract.any_models import BINARY
from tests.contract.grpc_calls import SERVICE, GrpcServed, grpc_running, refusal, request
from tests.contract.http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    call_head,
    frame,
    message,
    received_until_closed,
    settings,
)
from tests.contract.inference import NULL, by_feature

pytestmark = [pytest.mark.slow, pytest.mark.cargo]

PARAMETERS = {"null_string": messages.InferParameter(string_param=NULL)}
INFER = SERVICE + "ModelInfer"
MAX_BYTES = 200_000
KEPT_SECONDS = 60
"""Far longer than any connection of this module may be kept, on whatever machine."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrpcServed]:
    limits = {"max_body_bytes": MAX_BYTES, "max_batch_rows": 20, "max_concurrency": 1, "request_seconds": 1}
    with grpc_running(BINARY, tmp_path_factory.mktemp("hostile"), **limits) as served:
        yield served


@pytest.fixture(autouse=True)
def _answers_all_the_same(served: GrpcServed) -> Iterator[None]:
    yield
    assert served.infer(good()).keys() == {"label", "probabilities", "predicted_predicted case"}


def good(rows: int = 1) -> Any:
    return request(BINARY, by_feature(BINARY, BINARY.rows[:1] * rows), raw=True, parameters=PARAMETERS)


@contextlib.contextmanager
def connected(served: GrpcServed) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", served.port), timeout=KEPT_SECONDS) as sock:
        yield sock


def test_too_much_is_refused(served: GrpcServed):
    assert served.refusal(good(21)) == ("RESOURCE_EXHAUSTED", "more than 20 rows")
    asked = good()
    asked.raw_input_contents[0] = b"0" * MAX_BYTES
    told = ("RESOURCE_EXHAUSTED", f"more than {MAX_BYTES} bytes")
    assert served.refusal(asked) == told
    assert served.refusal(b"\x00" * (64 << 20)) == told
    assert served.refusal(b"\x00" * (1 << 20), "ServerMetadata") == ("RESOURCE_EXHAUSTED", "more than 65536 bytes")


def test_a_length_that_nobody_could_send_takes_no_memory(served: GrpcServed):
    with connected(served) as sock:
        sock.sendall(PREFACE + settings() + call_head(INFER) + frame(DATA, 0, 1, b"\x00\xff\xff\xff\xff"))
        sock.shutdown(socket.SHUT_WR)
        frames = received_until_closed(sock, KEPT_SECONDS)
    assert (HEADERS, END_STREAM | END_HEADERS) in [(kind, flags) for kind, flags, _ in frames]  # an error, at once


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (b"\xff" * 20, "not an inference request: the message is malformed"),
        (b"\x0a\x80", "not an inference request: the message is malformed"),
        (b"\x0a\x02\xff\xff", "not an inference request: the message is malformed"),
        (b"\x2a\x02\x0a\x7f", "not an inference request: the message is malformed"),
        (b"\x2a\x00" * 50_000, "not an inference request: more than 12 inputs"),
        (b"\x32\x00" * 50_000, "not an inference request: more than 6 outputs"),
        (b"\x3a\x00" * 50_000, "not an inference request: more than 12 raw_input_contents"),
        (b"\x2a\x14\x1a\x12" + b"\x01" * 18, "not an inference request: more than 8 dimensions of a tensor"),
    ],
)
def test_messages_that_make_no_sense_are_refused(served: GrpcServed, message: bytes, told: str):
    assert served.refusal(message) == ("INVALID_ARGUMENT", told)


def test_small_messages_that_make_no_sense_are_refused(served: GrpcServed):
    code, text = served.refusal(b"\x0a\x05ab", "ModelReady")
    assert code == "INVALID_ARGUMENT"
    assert "protobuf" in text.lower()


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ([-1, 1], "shape [-1, 1] has a negative size"),
        ([-(1 << 63)], f"shape [{-(1 << 63)}] has a negative size"),
        ([1, 1 << 62], f"shape [1, {1 << 62}], but [N, 1] or [N] is needed"),
        ([1, 1, 1], "shape [1, 1, 1], but [N, 1] or [N] is needed"),
        ([], "shape [], but [N, 1] or [N] is needed"),
        ([2, 1], '"年齢": 1 rows, but "education-num" has 2'),
    ],
)
def test_shapes_that_can_t_be_are_refused(served: GrpcServed, shape: list[int], told: str):
    asked = good()
    asked.inputs[0].shape[:] = shape
    code, text = served.refusal(asked)
    assert (code, told in text) == ("INVALID_ARGUMENT", True), text


def test_shapes_that_overflow_are_too_many_rows(served: GrpcServed):
    for size in (1 << 32, 1 << 62, (1 << 63) - 1):
        asked = good()
        for one in asked.inputs:
            one.shape[0] = size
        assert served.refusal(asked) == ("RESOURCE_EXHAUSTED", "more than 20 rows")
    for one in asked.inputs:
        one.shape[0] = 0
    assert served.refusal(asked) == ("INVALID_ARGUMENT", "at least one row is required")


def test_raw_contents_of_the_wrong_length_are_refused(served: GrpcServed):
    def told(change: Any) -> str:
        asked = good()
        change(asked)
        code, text = served.refusal(asked)
        assert code == "INVALID_ARGUMENT"
        return text

    def set_raw(index: int, content: bytes) -> Any:
        def change(asked: Any) -> None:
            asked.raw_input_contents[index] = content

        return change

    name = '"education-num"'
    assert told(set_raw(0, b"\0" * 7)) == f"input {name}: 7 bytes of binary data are no multiple of the 8 of FP64"
    assert told(set_raw(0, b"")) == f"input {name}: 0 values, but the shape [1, 1] has 1"
    assert told(set_raw(0, b"\0" * 16)) == f"input {name}: more values than the 1 of the shape [1, 1]"
    assert told(set_raw(1, b"\xff\xff\xff\xff")) == 'input "年齢", row 0: the binary data ends early'
    assert told(lambda asked: asked.raw_input_contents.pop()) == "raw_input_contents has 5 elements for 6 inputs"
    assert "either contents or raw_input_contents" in told(
        lambda asked: asked.inputs[0].contents.fp64_contents.append(1.0)
    )


def test_typed_contents_in_the_wrong_field_are_refused(served: GrpcServed):
    asked = request(BINARY, by_feature(BINARY, BINARY.rows[:1]), parameters=PARAMETERS)
    asked.inputs[0].contents.Clear()
    asked.inputs[0].contents.fp32_contents.append(1.0)
    told = 'input "education-num": contents of FP64 belong into fp64_contents'
    assert served.refusal(asked) == ("INVALID_ARGUMENT", told)
    asked.inputs[0].contents.Clear()
    assert served.refusal(asked)[1] == 'input "education-num": 0 values, but the shape [1, 1] has 1'


def test_compressed_calls_are_refused(served: GrpcServed):
    call = served.channel.unary_unary(INFER)
    told = refusal(lambda: call(b"\x00" * 4096, compression=grpc.Compression.Gzip))
    assert told[0] == "UNIMPLEMENTED"


@pytest.mark.parametrize("sent", [b"", PREFACE[:5], PREFACE, PREFACE + settings() + call_head(INFER)[:20]])
def test_a_client_that_falls_silent_is_disconnected(served: GrpcServed, sent: bytes):
    with connected(served) as sock:
        sock.sendall(sent)
        sock.settimeout(KEPT_SECONDS)
        with contextlib.suppress(ConnectionError):
            while sock.recv(1 << 16):
                pass


def test_another_protocol_is_disconnected(served: GrpcServed):
    for sent in (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10):
        with connected(served) as sock:
            sock.sendall(sent)
            received_until_closed(sock, KEPT_SECONDS)


def test_a_message_that_comes_too_slowly_is_given_up_and_meanwhile_others_are_refused(served: GrpcServed):
    done = threading.Event()

    def never() -> Iterator[bytes]:
        done.wait(KEPT_SECONDS)
        yield b""

    slow = served.channel.stream_unary(INFER).future(never())
    told = set()
    while not slow.done():
        try:
            served.infer(good())
        except grpc.RpcError as error:
            told.add((error.code().name, error.details()))  # type: ignore[attr-defined] # a call's errors are calls too
    done.set()
    assert told == {("UNAVAILABLE", "over capacity, try again later")}
    assert refusal(slow.result) == ("DEADLINE_EXCEEDED", "the request took more than 1 seconds to arrive")


def test_a_client_that_reads_no_answer_is_disconnected(served: GrpcServed):
    """It answers every PING, but never takes a byte of the answer."""
    with connected(served) as sock:
        asked = message(good().SerializeToString()) + frame(DATA, END_STREAM, 1)
        sock.sendall(PREFACE + settings(initial_window=0) + call_head(INFER) + asked)
        kinds = {kind for kind, _, _ in received_until_closed(sock, KEPT_SECONDS)}
    assert DATA not in kinds


def test_connections_beyond_the_limit_are_closed(tmp_path: Path):
    with grpc_running(BINARY, tmp_path, max_connections=1) as served:
        served.infer(good())  # the channel has the only place
        with connected(served) as sock:
            assert received_until_closed(sock, KEPT_SECONDS) == []
        served.infer(good())
