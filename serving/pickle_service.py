"""The pickle service: `python -m serving.pickle_service`."""

import sys

from serving.app import Application, create_app
from serving.metrics import Metrics
from serving.pickle_predictor import PicklePredictor
from serving.process.reloading import ReloadingApplication
from serving.process.service import load, run
from serving.settings import read_settings

PORT = 8000


def build(metrics: Metrics | None = None) -> Application:
    """The application of the bundle that is there now."""
    settings = read_settings(default_port=PORT)
    manifest, model = load(settings, "pickle")
    return create_app(PicklePredictor(model, manifest), manifest, settings, metrics)


def serve() -> ReloadingApplication:
    """What a worker process serves."""
    return ReloadingApplication(build, read_settings(default_port=PORT))


if __name__ == "__main__":
    sys.exit(run("serving.pickle_service:serve", "pickle", default_port=PORT))
