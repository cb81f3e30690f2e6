"""`POST …/infer`: from a request's bytes to a response's, with the limits and metrics of `/predict`."""

from collections.abc import Sequence

import numpy as np
from starlette.types import Scope

from serving.endpoints import Answer, Endpoint, Worker
from serving.errors import RequestError
from serving.inference.errors import error_object
from serving.inference.inputs import InputSchema
from serving.inference.outputs import Columns, OutputSchema, Selected
from serving.inference.requests import LENGTH_HEADER, InferRequest, RequestReader
from serving.predictor import Batch
from serving.watching import Steps

ROUTE = "infer"
"""Its route in the metrics, whatever the model is called."""

ROWS_PER_RUN = 1024
"""A larger batch is predicted in pieces, so that the model's intermediate results stay small."""


class InferEndpoint(Endpoint):
    """Answers inference requests for one model."""

    def __init__(
        self, inputs: InputSchema, outputs: OutputSchema, output_names: tuple[str, ...], worker: Worker
    ) -> None:
        super().__init__(ROUTE, Steps(self._decode, worker.predictor.predict, outputs.encode), worker)
        self._reader = RequestReader(inputs.most, len(outputs.outputs))
        self._inputs = inputs
        self._outputs = outputs
        self._output_names = output_names

    def work(self, scope: Scope, body: bytes, steps: Steps) -> Answer:
        """Decode, predict, encode."""
        request, selected, batch, unseen = steps.decode(scope, body)
        rows = len(batch.numeric)
        content, headers = steps.encode(self._predict(batch, rows, steps), rows, selected, request)
        return content, rows, unseen, headers

    def refusal(self, error: RequestError) -> bytes:
        """The body that says what is wrong."""
        return error_object(error)

    def _decode(self, scope: Scope, body: bytes) -> tuple[InferRequest, Selected, Batch, Sequence[str]]:
        """The request, the outputs that it asks for, its rows, and the feature of every unseen category in them."""
        length = next((value for name, value in scope["headers"] if name == LENGTH_HEADER), None)
        request, tensors = self._reader.read(body, length)
        selected = self._outputs.select(request)
        return request, selected, *self._inputs.decode(request, tensors)

    def _predict(self, batch: Batch, rows: int, steps: Steps) -> Columns:
        starts = range(0, rows, ROWS_PER_RUN)
        parts = [slice(start, start + ROWS_PER_RUN) for start in starts]
        pieces = [Batch(batch.categorical[part], batch.numeric[part]) for part in parts]
        answers = [steps.predict(piece) for piece in pieces]
        return dict(zip(self._output_names, map(np.concatenate, zip(*answers, strict=True)), strict=True))
