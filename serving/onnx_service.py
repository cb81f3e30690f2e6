"""The ONNX service: `python -m serving.onnx_service`. Imports no scikit-learn, xgboost or polars."""

import sys

from fastapi import FastAPI

from serving.app import create_app
from serving.onnx_predictor import OnnxPredictor
from serving.service import load, run
from serving.settings import read_settings

PORT = 8001


def build() -> FastAPI:
    """The application of one worker process."""
    settings = read_settings(default_port=PORT)
    manifest, model = load(settings, "onnx_packed")
    return create_app(OnnxPredictor(model), manifest, settings)


if __name__ == "__main__":
    sys.exit(run("serving.onnx_service:build", "onnx_packed", default_port=PORT))
