"""The pickle service: `python -m serving.pickle_service`."""

import sys

from fastapi import FastAPI

from serving.app import create_app
from serving.pickle_predictor import PicklePredictor
from serving.service import load, run
from serving.settings import read_settings

PORT = 8000


def build() -> FastAPI:
    """The application of one worker process."""
    settings = read_settings(default_port=PORT)
    manifest, model = load(settings, "pickle")
    return create_app(PicklePredictor(model, manifest), manifest, settings)


if __name__ == "__main__":
    sys.exit(run("serving.pickle_service:build", "pickle", default_port=PORT))
