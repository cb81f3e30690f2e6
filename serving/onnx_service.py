"""The ONNX service: `python -m serving.onnx_service`. Imports no scikit-learn, xgboost or polars."""

import sys

from serving.app import Application, create_app
from serving.metrics import Metrics
from serving.onnx_predictor import OnnxPredictor
from serving.process.reloading import ReloadingApplication
from serving.process.service import load, run
from serving.settings import read_settings

PORT = 8001


def build(metrics: Metrics | None = None) -> Application:
    """The application of the bundle that is there now."""
    settings = read_settings(default_port=PORT)
    manifest, model = load(settings, "onnx_packed")
    return create_app(OnnxPredictor(model), manifest, settings, metrics)


def serve() -> ReloadingApplication:
    """What a worker process serves."""
    return ReloadingApplication(build, read_settings(default_port=PORT))


if __name__ == "__main__":
    sys.exit(run("serving.onnx_service:serve", "onnx_packed", default_port=PORT))
