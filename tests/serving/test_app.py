import logging

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from serving.app import create_app
from serving.predictor import Batch, Predictions


class FakePredictor:
    """Answers every row with the positive class, or fails."""

    backend = "fake"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.batches: list[Batch] = []

    def predict(self, batch: Batch) -> Predictions:
        if self.error is not None:
            raise self.error
        self.batches.append(batch)
        rows = len(batch.numeric)
        return Predictions(np.ones(rows, dtype=np.int64), np.tile(np.float32([0.25, 0.75]), (rows, 1)))


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def row(manifest) -> dict:
    return {feature.name: feature.example for feature in manifest.features}


@pytest.mark.anyio
async def test_a_failure_inside_is_a_500_that_tells_nothing(manifest, settings, row, caplog):
    app = create_app(FakePredictor(RuntimeError("secret cause")), manifest, settings)
    async with client(app) as http:
        with caplog.at_level(logging.ERROR, "serving"):
            answer = await http.post("/predict", json=row)
    assert answer.status_code == 500
    assert answer.json() == {"detail": [{"loc": [], "msg": "internal error", "type": "internal_error"}]}
    assert "secret cause" in caplog.text


@pytest.mark.anyio
async def test_it_is_ready_only_between_startup_and_shutdown(manifest, settings):
    app = create_app(FakePredictor(), manifest, settings)
    async with client(app) as http:
        assert (await http.get("/health/ready")).status_code == 503
        assert (await http.get("/health/live")).status_code == 200
        async with app.router.lifespan_context(app):
            assert (await http.get("/health/ready")).json()["version"] == manifest.version
        assert (await http.get("/health/ready")).status_code == 503


@pytest.mark.anyio
async def test_it_does_not_start_with_a_model_that_can_not_answer(manifest, settings):
    app = create_app(FakePredictor(ValueError("broken model")), manifest, settings)
    with pytest.raises(ValueError, match="broken model"):
        async with app.router.lifespan_context(app):
            pass


@pytest.mark.anyio
async def test_the_predictor_gets_the_rows_in_packed_order(manifest, settings, row):
    predictor = FakePredictor()
    async with client(create_app(predictor, manifest, settings)) as http:
        answer = await http.post("/predict/batch", json=[row, row])
    (batch,) = predictor.batches
    assert answer.json()["predictions"][1]["probabilities"] == [0.25, 0.75]
    assert batch.categorical.tolist() == [[row[f.name] for f in manifest.categorical]] * 2
    assert batch.numeric.dtype == np.float32
    assert batch.numeric.tolist() == [[row[f.name] for f in manifest.numeric]] * 2
