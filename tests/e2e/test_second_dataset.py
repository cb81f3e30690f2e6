"""Another data set is trained and served by the same code: only a data set module was written for it."""

import io
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from bundle.artifacts import read_artifact
from bundle.manifest import read_manifest
from bundle.reference import LABEL, PROBABILITIES
from tests.e2e import orchard
from tests.services import ROOT, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def orchard_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the second data set, trained by the command that a person would use."""
    folder = tmp_path_factory.mktemp("orchard")
    (folder / "data").mkdir()
    (folder / "data/apples.csv").write_bytes(orchard.make_csv())
    command = [
        *(sys.executable, "-m", "training", "train", "--dataset", "tests.e2e.orchard", "--data", "orchard"),
        *("--data-dir", str(folder / "data"), "--trials", "2"),
        *("--models", str(folder / "models"), "--reports", str(folder / "reports")),
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "ripeness" not in result.stdout
    return folder / "models"


@pytest.mark.parametrize("backend", ["onnx", "pickle", pytest.param("axum", marks=pytest.mark.cargo)])
def test_its_reference_rows_are_served_with_its_own_names(backend: str, orchard_models: Path, tmp_path: Path):
    manifest = read_manifest(orchard_models)
    reference = pl.read_parquet(io.BytesIO(read_artifact(manifest, "reference", orchard_models)))
    rows = reference["row"].to_list()
    assert any(row["sugar"] is None for row in rows)
    with running(backend, orchard_models, tmp_path) as service:
        predictions = service.client.post("/predict/batch", json=rows).json()["predictions"]
        refused = service.client.post("/predict", json={**rows[0], "weight": None}).json()
        schema = service.client.get("/openapi.json").json()["components"]["schemas"]["Row"]
    assert [got["prediction"] for got in predictions] == reference[LABEL].to_list()
    assert {got["predicted_verdict"] for got in predictions} == {"ja", "nein"}
    pairs = zip(predictions, reference[PROBABILITIES], strict=True)
    assert max(abs(got["probabilities"][1] - p[1]) for got, p in pairs) <= 1e-6
    assert refused["detail"][0]["loc"] == ["body", "weight"]
    assert list(schema["properties"]) == ["weight", "variety", "ripeness", "sugar"]


def test_the_model_is_better_than_chance(orchard_models: Path):
    assert read_manifest(orchard_models).metrics.held_out["roc_auc"] > 0.8
