"""The examples in docs/protocols.md, on every backend."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.services import TestedService

pytestmark = pytest.mark.slow
TEXT = (Path(__file__).resolve().parents[2] / "docs/protocols.md").read_text(encoding="utf-8")


def example(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_examples_get_the_answer_of_predict(service: TestedService, manifest):
    request = json.loads(example("json"))
    row = {one["name"]: one["data"][0] for one in request["inputs"]}
    probabilities = service.client.post("/predict", json=row).json()["probabilities"]
    answer = service.client.post(f"/v2/models/{manifest.name}/infer", json=request).json()
    assert answer["id"] == request["id"]
    (found,) = (one["data"] for one in answer["outputs"] if one["name"] == "probabilities")
    assert found == probabilities
    names: dict[str, Any] = {}
    code = example("python")
    assert '"localhost:8001"' in code
    exec(code.replace("localhost:8001", f"127.0.0.1:{service.port}"), names)
    assert names["probabilities"].tolist() == [probabilities]
