import logging
import platform

import httpx
import msgspec
import numpy as np
import pytest
from fastapi import FastAPI

from bundle.errors import BundleError
from bundle.manifest import Expected, Manifest
from serving.app import create_app
from serving.predictor import Batch, Classes


class FakePredictor:
    """Answers every row with the positive class, or fails once `error` is set."""

    backend = "fake"
    shares_runs = False
    piece_bytes = 1 << 15

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.batches: list[Batch] = []

    def predict(self, batch: Batch) -> Classes:
        if self.error is not None:
            raise self.error
        self.batches.append(batch)
        rows = len(batch.numeric)
        return Classes(np.ones(rows, dtype=np.int64), np.tile(np.float32([0.25, 0.75]), (rows, 1)))


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


ANSWER = Expected(prediction=1, probabilities=(0.25, 0.75))


@pytest.fixture
def fake(manifest: Manifest) -> Manifest:
    """Of a bundle that expects the fake predictor's answer."""
    return msgspec.structs.replace(manifest, expected=ANSWER)


@pytest.fixture
def row(fake) -> dict:
    return {feature.name: feature.example for feature in fake.features}


@pytest.mark.anyio
async def test_a_failure_inside_is_a_500_that_tells_nothing(fake, settings, row, caplog):
    predictor = FakePredictor()
    app = create_app(predictor, fake, settings)
    predictor.error = RuntimeError("secret cause")
    async with client(app) as http:
        with caplog.at_level(logging.ERROR, "serving"):
            answer = await http.post("/predict", json=row, headers={"x-request-id": "mine"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "mine"
    assert "/predict failed, request mine" in caplog.text
    assert answer.json() == {"detail": [{"loc": [], "msg": "internal error", "type": "internal_error"}]}
    assert "secret cause" in caplog.text


@pytest.mark.anyio
async def test_it_is_ready_only_between_startup_and_shutdown(fake, settings):
    app = create_app(FakePredictor(), fake, settings)
    async with client(app) as http:
        assert (await http.get("/health/ready")).status_code == 503
        assert (await http.get("/health/live")).status_code == 200
        async with app.router.lifespan_context(app):
            assert (await http.get("/health/ready")).json()["version"] == fake.version
        assert (await http.get("/health/ready")).status_code == 503


def test_it_does_not_start_with_a_model_that_can_not_answer(fake, settings):
    message = r"the fake model of \w+ \w+ does not work here \(ValueError: broken model\): made with python"
    with pytest.raises(BundleError, match=message):
        create_app(FakePredictor(ValueError("broken\nmodel")), fake, settings)


@pytest.mark.parametrize(
    ("expected", "right"),
    [
        (ANSWER, True),
        (Expected(prediction=1, probabilities=(0.2500009, 0.7499991)), True),
        (Expected(prediction=1, probabilities=(0.250002, 0.749998)), False),
        (Expected(prediction=0, probabilities=(0.25, 0.75)), False),
    ],
)
def test_it_does_not_start_with_a_model_that_answers_otherwise_than_expected(fake, settings, expected, right):
    other = msgspec.structs.replace(fake, expected=expected, libraries={"python": "3.4.1", "numpy": "0.1"})
    if right:
        create_app(FakePredictor(), other, settings)
        return
    with pytest.raises(BundleError) as raised:
        create_app(FakePredictor(), other, settings)
    one, other = expected.probabilities
    assert str(raised.value) == (
        f"the fake model of {fake.name} {fake.version} answers its example with class 1 (0.25, 0.75), but its "
        f"bundle expects class {expected.prediction} ({one:.9g}, {other:.9g}): made with python 3.4.1, numpy 0.1; "
        f"running on python {platform.python_version()}, numpy {np.__version__}; "
        "serve it with those versions, or make it again with these"
    )


def test_a_tolerance_that_the_bundle_was_made_with_is_allowed(fake, settings):
    parity = msgspec.structs.replace(fake.parity, tolerance=1e-3)
    expected = Expected(prediction=1, probabilities=(0.2509, 0.7491))
    create_app(FakePredictor(), msgspec.structs.replace(fake, expected=expected, parity=parity), settings)


@pytest.mark.anyio
async def test_the_predictor_gets_the_rows_in_packed_order(fake, settings, row):
    predictor = FakePredictor()
    async with client(create_app(predictor, fake, settings)) as http:
        answer = await http.post("/predict/batch", json=[row, row])
    _, batch = predictor.batches  # the first one was the example
    assert answer.json()["predictions"][1]["probabilities"] == [0.25, 0.75]
    assert batch.categorical.tolist() == [[row[f.name] for f in fake.categorical]] * 2
    assert batch.numeric.dtype == np.float32
    assert batch.numeric.tolist() == [[row[f.name] for f in fake.numeric]] * 2
