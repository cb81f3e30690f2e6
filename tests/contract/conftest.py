"""The contract suite runs, unchanged, over HTTP on every backend."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bundle.artifacts import read_artifact
from bundle.manifest import Manifest
from bundle.reference import LABEL, PROBABILITIES, ROW
from tests.contract.any_models import MODELS
from tests.contract.served import Served
from tests.services import TestedService, running

BACKENDS = [pytest.param("onnx"), pytest.param("pickle"), pytest.param("axum", marks=pytest.mark.cargo)]
SMALL_LIMITS = {"max_body_bytes": 20_000, "max_batch_rows": 20, "max_concurrency": 1}


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def service(backend: str, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestedService]:
    with running(backend, models, tmp_path_factory.mktemp(backend)) as service:
        yield service


@pytest.fixture(scope="session")
def limited(backend: str, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestedService]:
    """The same service with limits that a test can reach."""
    with running(backend, models, tmp_path_factory.mktemp(backend), **SMALL_LIMITS) as service:
        yield service


@pytest.fixture(scope="module", params=MODELS, ids=[bundle.name for bundle in MODELS])
def served(request: pytest.FixtureRequest, backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp(request.param.name)
    request.param.write(folder / "models")
    with running(backend, folder / "models", folder) as service:
        yield Served(request.param, folder / "models", service)


class ReferenceAnswers:
    """The bundle's reference rows as requests, and the answers that they must get."""

    def __init__(self, manifest: Manifest, models: Path) -> None:
        frame = pl.read_parquet(io.BytesIO(read_artifact(manifest, "reference", models)))
        self.rows: list[dict[str, Any]] = frame[ROW].to_list()
        self.labels: list[int] = frame[LABEL].to_list()
        self.probabilities: list[float] = [both[1] for both in frame[PROBABILITIES].to_list()]


@pytest.fixture(scope="session")
def reference(manifest: Manifest, models: Path) -> ReferenceAnswers:
    return ReferenceAnswers(manifest, models)


@pytest.fixture
def row(manifest: Manifest) -> dict[str, Any]:
    """A row that works, free to be changed."""
    return {feature.name: feature.example for feature in manifest.features}


@pytest.fixture
def body(row: dict[str, Any]) -> str:
    return json.dumps(row)
