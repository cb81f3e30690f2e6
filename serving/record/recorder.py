"""The record of one process, from one bundle to the next: which requests are recorded, and what is recorded of them."""

import random
import time
from collections.abc import Callable
from typing import Any

from starlette.types import Scope

from bundle.manifest import Manifest
from serving.metrics import Metrics
from serving.predictor import Batch, Predictions
from serving.record.backlog import Backlog
from serving.record.files import Files
from serving.record.folder import Folder
from serving.record.lines import Answered, Lines
from serving.record.writer import Writer
from serving.record_settings import RecordSettings
from serving.request_ids import request_id
from serving.watching import Steps, Watch

ANSWERED = 200


class Recorder:
    """Records into the settings' folder between `start` and `stop`, and counts in the metrics."""

    def __init__(self, settings: RecordSettings, service: str, metrics: Metrics) -> None:
        self._settings = settings
        self._service = service
        self._counters = metrics.count_record()
        folder = Folder(settings.folder, settings.most_bytes, self._counters.removed.inc)
        self._backlog = Backlog()
        self._writer = Writer(self._backlog, Files(folder, service, settings.most_bytes), self._counters)

    def watcher(self, manifest: Manifest) -> "RecordedModel":
        """The watcher that records requests for this model."""
        lines = Lines(manifest, self._settings.recorded(manifest), self._service)
        return RecordedModel(lines, self._settings.sample, self.put)

    def put(self, answered: Answered) -> None:
        """Let the request be written, or count it as lost."""
        if not self._backlog.put(answered):
            self._counters.dropped.inc(answered.rows)

    def start(self) -> None:
        """Begin to write."""
        self._writer.start()

    def stop(self) -> None:
        """Write what is left."""
        self._writer.close()


class RecordedModel:
    """Records a sample of the requests, each one whole or not at all."""

    def __init__(self, lines: Lines, sample: float, put: Callable[[Answered], None]) -> None:
        self.lines = lines
        self.put = put
        self._sample = sample
        self._random = random.random

    def begin(self, scope: Scope, route: str) -> Watch | None:
        """Decide whether to record a request."""
        return _Recorded(self, scope, route) if self._random() < self._sample else None


class _Recorded:
    """A request that is recorded, if it is answered."""

    def __init__(self, model: RecordedModel, scope: Scope, route: str) -> None:
        self._model = model
        self._scope = scope
        self._route = route
        self._pieces: list[tuple[Batch, Predictions]] = []
        self._size = 0

    def around(self, steps: Steps) -> Steps:
        tell = steps.predicted

        def decode(*arguments: Any) -> Any:  # noqa: ANN401 - the endpoint's own
            self._size = len(arguments[-1])  # the body
            return steps.decode(*arguments)

        def predict(batch: Batch) -> Predictions:
            predictions = steps.predict(batch)
            self._pieces.append((batch, predictions))
            return predictions

        def predicted(batch: Batch, predictions: Predictions) -> None:
            self._pieces.append((batch, predictions.copy()))  # a copy keeps no other request's in memory
            if tell is not None:
                tell(batch, predictions)

        return Steps(decode, predict, steps.encode, None if tell is None else predicted)

    def end(self, status: int | None) -> None:
        if status != ANSWERED:
            return
        rows = sum(len(predictions[0]) for _, predictions in self._pieces)
        name = request_id(self._scope)
        model, now = self._model, time.time_ns()
        model.put(Answered(model.lines, name, now, self._route, self._pieces, rows, self._size))
