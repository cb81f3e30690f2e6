"""The Open Inference Protocol, without a server; tests/contract has it over HTTP."""

import re
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest

from bundle.artifacts import read_artifact
from serving.app import create_app
from serving.inference.metadata import SERVER_VERSION
from serving.onnx_predictor import OnnxPredictor
from serving.settings import read_settings
from tests.contract.any_models import MODELS
from tests.contract.inference import NULL, as_outputs, binary_request, by_feature, outputs, packed
from tests.hand_made_bundle import HandMade

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def make_app(bundle: HandMade, folder: Path) -> Any:
    manifest = bundle.write(folder / "models")
    settings = read_settings({"SERVE_MODEL_DIR": str(folder / "models"), "SERVE_WORKERS": "1"}, default_port=8001)
    predictor = OnnxPredictor(read_artifact(manifest, "onnx_packed", folder / "models"), manifest)
    return create_app(predictor, manifest, settings)


@pytest.mark.anyio
@pytest.mark.parametrize("bundle", MODELS, ids=lambda bundle: bundle.name)
async def test_infer_answers_what_predict_batch_answers(bundle: HandMade, tmp_path: Path):
    transport = httpx.ASGITransport(make_app(bundle, tmp_path))
    path = f"/v2/models/{bundle.name}/infer"
    parameters = {"null_string": NULL, "binary_data_output": True}
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        predictions = (await http.post("/predict/batch", json=list(bundle.rows))).json()["predictions"]
        for make in (by_feature, packed):
            tensors = make(bundle, bundle.rows)
            in_json = await http.post(path, json={"inputs": tensors})
            in_binary = await http.post(path, **binary_request(tensors, parameters=parameters))
            assert outputs(in_json) == outputs(in_binary) == as_outputs(bundle, predictions)
        refused = await http.post(path, json={"inputs": tensors[1:]})
    assert (refused.status_code, list(refused.json())) == (400, ["error"])


@pytest.mark.anyio
async def test_it_is_ready_when_the_service_is(tmp_path: Path):
    app = make_app(MODELS[0], tmp_path)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        for path in ("/v2/health/ready", f"/v2/models/{MODELS[0].name}/ready"):
            assert (await http.get(path)).status_code == 503
            async with app.router.lifespan_context(app):
                assert (await http.get(path)).json() == {"ready": True}
            assert ((await http.get(path)).status_code, (await http.get("/v2/health/live")).status_code) == (503, 200)


def test_the_server_s_version_is_the_project_s():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == SERVER_VERSION
    cargo = ROOT / "serving/axum/Cargo.toml"
    if cargo.exists():  # a copy may be without the Rust service
        versions = re.findall(r'^version = "(.*)"$', cargo.read_text(encoding="utf-8"), re.MULTILINE)
        assert versions[0] == SERVER_VERSION
