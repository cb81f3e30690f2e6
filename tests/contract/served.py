"""A hand-made bundle and the service that serves it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.hand_made_bundle import HandMade
from tests.services import TestedService


@dataclass
class Served:
    bundle: HandMade
    models: Path
    service: TestedService

    def predict(self, row: dict[str, Any]) -> dict[str, Any]:
        answer = self.service.client.post("/predict", json=row)
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content

    def problems(self, row: dict[str, Any]) -> list[tuple[str, str]]:
        """Field and type of every problem of a refused row."""
        answer = self.service.client.post("/predict", json=row)
        assert answer.status_code == 422, answer.text
        return [(problem["loc"][1], problem["type"]) for problem in answer.json()["detail"]]


def only(*bundles: HandMade) -> Any:
    """For tests of some of the bundles."""
    return pytest.mark.parametrize("served", bundles, indirect=True, ids=[bundle.name for bundle in bundles])
