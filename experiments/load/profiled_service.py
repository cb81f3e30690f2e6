"""The ONNX service with a clock around every stage of its hot path, for `make profile`. Not for production.

`GET /profile` gives the seconds spent in each stage, and resets the clocks. `POST /constant` gives the same answer to
every request.
"""

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from starlette.types import Receive, Scope, Send

from serving.app import Application, create_app
from serving.endpoints import Buffers, Reservation, read_body, respond
from serving.metrics import Metrics
from serving.onnx_predictor import OnnxPredictor
from serving.onnx_service import ARTIFACT, PORT
from serving.process.copies import load
from serving.process.reloading import ReloadingApplication, start_worker
from serving.process.service import run
from serving.settings import Settings

STAGES = ("decode", "predict", "encode", "metrics")


class StageClock:
    """Adds up the seconds spent in wrapped methods, by stage."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)

    def wrap(self, owner: Any, method: str, stage: str) -> None:  # noqa: ANN401 - any object
        """Time the method from now on."""
        setattr(owner, method, self.timed(getattr(owner, method), stage))

    def timed(self, call: Callable[..., Any], stage: str) -> Callable[..., Any]:
        """The callable with a clock. The time to consume an iterator that it returns counts as well."""

        def timed(*arguments: object) -> object:
            started = time.perf_counter()
            result = call(*arguments)
            if isinstance(result, Iterator):
                result = list(result)
            self.seconds[stage] += time.perf_counter() - started
            return result

        return timed


async def constant(_: Scope, receive: Receive, send: Send) -> None:
    """Reads the body and always gives the same answer: the cost of HTTP alone on this server."""
    await read_body(receive, 1 << 30, Reservation(Buffers(1 << 30)))
    await respond(send, 200, b'{"prediction":0,"probabilities":[0.5,0.5],"predicted_label":"constant"}')


def build(settings: Settings, metrics: Metrics | None = None) -> Application:
    """The application of `serving.onnx_service`, instrumented from the outside."""
    manifest, model = load(settings, ARTIFACT)
    predictor, stopwatch = OnnxPredictor(model, manifest), StageClock()
    stopwatch.wrap(predictor, "predict", "predict")
    app = create_app(predictor, manifest, settings, metrics)
    for endpoint in app.endpoints:
        for stage in ("decode", "encode"):
            timed = stopwatch.timed(getattr(endpoint.steps, stage), stage)
            endpoint.steps = endpoint.steps._replace(**{stage: timed})
    stopwatch.wrap(app.metrics, "predicted", "metrics")
    stopwatch.wrap(app.metrics, "observe", "metrics")
    app.direct = {**app.direct, "/constant": constant}

    @app.get("/profile")
    async def profile() -> dict[str, float]:
        seconds, stopwatch.seconds = stopwatch.seconds, dict.fromkeys(STAGES, 0.0)
        return seconds

    return app


def serve() -> ReloadingApplication:
    """What a worker process serves."""
    return start_worker(build, default_port=PORT)


if __name__ == "__main__":
    sys.exit(run("experiments.load.profiled_service", build, ARTIFACT, default_port=PORT))
