"""Rows of requests that are begun together share a run, and nothing else."""

import asyncio
import json
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from bundle.manifest import Expected, Manifest
from serving.app import Application, create_app
from serving.predictor import Batch, Classes
from serving.process.connections import STATE_KEY, ConnectionLimits
from serving.process.http_protocol import Protocol
from serving.record.lines import Lines
from serving.record.recorder import RecordedModel
from serving.row_independence import TRIED_ROWS, can_share, rows_to_try
from serving.settings import Settings
from serving.shared_runs import RowEndpoint, SharedRuns
from serving.watching import Steps
from tests.serving.test_http_protocol import Transport

FAULTY = 9999.0


class FirstNumber:
    """Gives each row its first number as a probability, and fails for a batch with a faulty row."""

    backend = "fake"
    shares_runs = True
    piece_bytes = 1 << 15

    def __init__(self) -> None:
        self.runs: list[list[float]] = []

    def predict(self, batch: Batch) -> Classes:
        numbers = batch.numeric[:, 0]
        self.runs.append(numbers.tolist())
        if FAULTY in numbers:
            raise ValueError("a faulty row")
        return Classes(np.ones(len(numbers), dtype=np.int64), np.column_stack([1 - numbers, numbers]))


class Company(FirstNumber):
    """Of one row in a hundred, its answers depend on how many rows there are: by the last bit."""

    def predict(self, batch: Batch) -> Classes:
        labels, probabilities = super().predict(batch)
        if len(labels) > 1:
            rare = batch.numeric.sum(axis=1).view(np.int32) % 100 == 0
            probabilities[rare] = np.nextafter(probabilities[rare], np.float32(np.inf))
        return Classes(labels, probabilities)


class Particular(FirstNumber):
    """Fails at what no valid row need have."""

    def predict(self, batch: Batch) -> Classes:
        if len(self.runs) > 10:
            raise ValueError("not such a row")
        return super().predict(batch)


def row(number: float) -> Batch:
    return Batch(np.array([["a"]], dtype=object), np.array([[number, 7.0]], dtype=np.float32))


def test_rows_of_one_turn_are_one_run_and_each_gets_its_own_answer():
    async def run() -> None:
        predictor = FirstNumber()
        runs = SharedRuns(predictor)
        answers = await asyncio.gather(*(runs.predict(row(number)) for number in (0.25, 0.5, 0.75)))
        assert predictor.runs == [[0.25, 0.5, 0.75]]
        assert [answer.probabilities.tolist() for answer in answers] == [[[0.75, 0.25]], [[0.5, 0.5]], [[0.25, 0.75]]]
        assert [answer.labels.tolist() for answer in answers] == [[1]] * 3
        await runs.predict(row(0.125))
        assert predictor.runs[1:] == [[0.125]]

    asyncio.run(run())


def test_a_row_that_the_model_fails_at_fails_alone():
    async def run() -> None:
        predictor = FirstNumber()
        runs = SharedRuns(predictor)
        rows = (0.25, FAULTY, 0.75)
        good, faulty, other = await asyncio.gather(*(runs.predict(row(n)) for n in rows), return_exceptions=True)
        assert predictor.runs == [[0.25, FAULTY, 0.75], [0.25], [FAULTY], [0.75]]
        assert str(faulty) == "a faulty row"
        assert (good.probabilities.tolist(), other.probabilities.tolist()) == ([[0.75, 0.25]], [[0.25, 0.75]])

    asyncio.run(run())


@pytest.mark.parametrize("number", [0.5, FAULTY])
def test_a_request_that_is_cancelled_takes_nobody_with_it(number: float):
    async def run() -> None:
        runs = SharedRuns(FirstNumber())
        tasks = [asyncio.create_task(runs.predict(row(n))) for n in (0.25, number)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        assert (await tasks[0]).probabilities.tolist() == [[0.75, 0.25]]

    asyncio.run(run())


def test_a_model_whose_answers_depend_on_other_rows_runs_for_each_alone(manifest: Manifest, settings):
    rows = rows_to_try(manifest)
    assert can_share(FirstNumber(), rows)
    assert not can_share(Company(), rows)
    for predictor, shared in ((FirstNumber(), True), (Company(), False), (Particular(), False)):
        app = create_app(predictor, expecting_its_example(manifest), settings)
        assert isinstance(app.direct["/predict"], RowEndpoint) == shared
        assert not isinstance(app.direct["/predict/batch"], RowEndpoint)


def test_a_model_that_takes_too_long_to_try_runs_for_each_alone(manifest: Manifest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("serving.row_independence.TRIAL_SECONDS", 0.0)
    assert not can_share(FirstNumber(), rows_to_try(manifest))


def test_a_model_is_tried_with_all_that_its_features_may_have(manifest: Manifest):
    rows = rows_to_try(manifest)
    assert (rows.categorical.shape[0], rows.numeric.shape[0], rows.numeric.dtype) == (TRIED_ROWS,) * 2 + (np.float32,)
    for feature, texts in zip(manifest.categorical, rows.categorical.T, strict=True):
        tokens = {manifest.tokens.unseen, *([manifest.tokens.missing] if feature.nullable else [])}
        assert {*texts} - {*feature.rare, *feature.categories} == tokens
        assert len({*texts} & {*feature.categories}) > len(feature.categories) / 2
    for feature, numbers in zip(manifest.numeric, rows.numeric.T, strict=True):
        assert np.isnan(numbers).any() == feature.nullable
        assert np.unique(numbers).size > 20
        assert not np.isinf(numbers).any()
    again = rows_to_try(manifest)
    assert rows.numeric.tobytes() == again.numeric.tobytes()
    assert (rows.categorical == again.categorical).all()


def expecting_its_example(manifest: Manifest) -> Manifest:
    number = float(np.float32(manifest.numeric[0].example))
    return msgspec.structs.replace(manifest, expected=Expected(prediction=1, probabilities=(1 - number, number)))


def serving(predictor: FirstNumber, manifest: Manifest, settings: Settings) -> Application:
    app = create_app(predictor, expecting_its_example(manifest), settings)
    predictor.runs.clear()
    return app


def answers_together(app: Application, firsts: Sequence[object]) -> list[tuple[bytes, bytes]]:
    """Status and body for rows with these first numbers, whose requests arrive in one turn, each on its connection."""
    example = {feature.name: feature.example for feature in app.manifest.features}
    rows = [{**example, app.manifest.numeric[0].name: first} for first in firsts]

    async def run() -> list[tuple[bytes, bytes]]:
        limits = ConnectionLimits(connections=100, requests=100, seconds=30)
        config = Config(app, interface="asgi3", http=Protocol, log_config=None, proxy_headers=False)
        config.load()
        transports = []
        for content in map(json.dumps, rows):
            transport = Transport()
            protocol = Protocol(config, ServerState(), {STATE_KEY: limits})
            protocol.connection_made(transport)
            protocol.data_received(
                b"POST /predict HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(content), content.encode())
            )
            transports.append(transport)
        for _ in range(50):
            await asyncio.sleep(0)
        assert not limits.in_hand
        answers = [transport.written.partition(b"\r\n\r\n") for transport in transports]
        return [(head[9:12], body) for head, _, body in answers]

    return asyncio.run(run())


def test_requests_that_arrive_together_share_a_run_whatever_is_wrong_with_one(manifest: Manifest, settings):
    predictor = FirstNumber()
    answers = answers_together(serving(predictor, manifest, settings), (20, 21, 22, FAULTY, "x"))
    assert [status for status, _ in answers] == [b"200", b"200", b"200", b"500", b"422"]
    assert [json.loads(body)["probabilities"][1] for _, body in answers[:3]] == [20, 21, 22]
    assert predictor.runs == [[20], [21, 22, FAULTY], [21], [22], [FAULTY]]


def test_recorded_rows_share_a_run_and_are_recorded_with_their_own_answers(manifest: Manifest, settings):
    predictor, recorded = FirstNumber(), []
    app = serving(predictor, manifest, settings)
    app.worker.watcher = RecordedModel(Lines(manifest, (), "onnx"), 1.0, recorded.append)
    answers_together(app, (20, 21, 22))
    assert predictor.runs == [[20], [21, 22]]
    pieces = sorted(
        (piece for answered in recorded for piece in answered.pieces), key=lambda piece: piece[0].numeric[0, 0]
    )
    assert [batch.numeric[:, 0].tolist() for batch, _ in pieces] == [[20], [21], [22]]
    assert [answer.probabilities[:, 1].tolist() for _, answer in pieces] == [[20], [21], [22]]
    assert all(part.base is None for _, answer in pieces[1:] for part in answer)


def test_a_row_whose_run_is_watched_has_one_of_its_own(manifest: Manifest, settings):
    class Watched:
        def around(self, steps: Steps) -> Steps:
            return Steps(*steps[:3])

        def end(self, status: int | None) -> None:
            assert status == 200

    predictor = FirstNumber()
    app = serving(predictor, manifest, settings)
    app.worker.watcher = type("All", (), {"begin": lambda *_: Watched()})()
    answers_together(app, (20, 21, 22))
    assert predictor.runs == [[20], [21], [22]]
