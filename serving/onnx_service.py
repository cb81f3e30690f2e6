"""The ONNX service: `python -m serving.onnx_service`. Imports no scikit-learn, xgboost or polars."""

import sys

from bundle.manifest import ArtifactKind
from serving.app import Application, create_app
from serving.metrics import Metrics
from serving.onnx_predictor import OnnxPredictor
from serving.process.copies import load
from serving.process.reloading import ReloadingApplication, start_worker
from serving.process.service import run
from serving.settings import Settings

ARTIFACT: ArtifactKind = "onnx_packed"
PORT = 8001


def build(settings: Settings, metrics: Metrics | None = None) -> Application:
    """The application for the bundle in the model folder."""
    manifest, model = load(settings, ARTIFACT)
    return create_app(OnnxPredictor(model, manifest), manifest, settings, metrics)


def serve() -> ReloadingApplication:
    """What a worker process serves."""
    return start_worker(build, default_port=PORT)


if __name__ == "__main__":
    sys.exit(run("serving.onnx_service", build, ARTIFACT, default_port=PORT))
