"""One run of the model for the rows of several requests: those that are begun in the same turn of the event loop.

A row costs several times as much in a run of its own as among others. No request waits for another to arrive: the rows
are those that are to be answered in this turn anyway.
"""

import asyncio
from collections.abc import Sequence

import numpy as np
from starlette.types import Scope

from serving.endpoints import JSON_HEADERS, Answer, PredictEndpoint, Worker
from serving.predictor import Batch, Predictions, Predictor
from serving.process.exchange import TOGETHER
from serving.request_schema import Decode
from serving.response_schema import Assemble, Encode
from serving.watching import Steps

Waiting = tuple[Batch, asyncio.Future[Predictions]]


class SharedRuns:
    """Runs a model once for all rows that it gets in a turn of the event loop; used only in the event loop's thread."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._waiting: list[Waiting] = []

    async def predict(self, row: Batch) -> Predictions:
        """The answer to a batch of one row. Raises what the model raises for this row, whatever the others are."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._run)
        answer: asyncio.Future[Predictions] = loop.create_future()
        self._waiting.append((row, answer))
        return await answer

    def _run(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            predictions = predict_together(self._predictor, [row for row, _ in waiting])
        except Exception:  # noqa: BLE001 - the separate runs show whose row it is
            self._run_apart(waiting)
            return
        for (_, answer), prediction in zip(waiting, predictions, strict=True):
            if not answer.done():  # the request may have been cancelled
                answer.set_result(prediction)

    def _run_apart(self, waiting: Sequence[Waiting]) -> None:
        for row, answer in waiting:
            if answer.done():
                continue
            try:
                answer.set_result(self._predictor.predict(row))
            except Exception as error:  # noqa: BLE001 - raised where the answer is awaited
                answer.set_exception(error)


def predict_together(predictor: Predictor, rows: Sequence[Batch]) -> list[Predictions]:
    """The answers to batches of one row each, from one run."""
    if len(rows) == 1:
        return [predictor.predict(rows[0])]
    together = predictor.predict(Batch(*map(np.concatenate, zip(*rows, strict=True))))
    return [together.row(i) for i in range(len(rows))]


def _untold(_: Batch, __: Predictions) -> None:
    """Nobody wants to know what was predicted."""


class RowEndpoint(PredictEndpoint):
    """`POST` of one row: rows whose requests begin together share a run of the model."""

    def __init__(self, route: str, decode: Decode, encode: Encode, assemble: Assemble, worker: Worker) -> None:
        super().__init__(route, decode, encode, assemble, worker)
        self.steps = self.steps._replace(predicted=_untold)
        self._runs = SharedRuns(worker.predictor)

    async def answer_now(self, scope: Scope, body: bytes, steps: Steps) -> Answer:
        """Answer the row in the body, in a run of its own if it is alone or its steps have no `predicted`."""
        (piece,) = steps.decode(body)
        if scope.get(TOGETHER, 1) == 1 or steps.predicted is None:
            predictions = steps.predict(piece.batch)
        else:
            predictions = await self._runs.predict(piece.batch)
            steps.predicted(piece.batch, predictions)
        return self._assemble([steps.encode(predictions)], 1), 1, piece.unseen, JSON_HEADERS
