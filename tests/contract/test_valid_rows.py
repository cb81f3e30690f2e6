"""Rows that the manifest allows, whatever they hold, are answered, by the rules of the contract."""

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle.manifest import Feature, Manifest
from tests.services import TestedService

pytestmark = pytest.mark.slow

FLOAT32_MAX = 3.4028234663852886e38


def values(feature: Feature) -> st.SearchStrategy[Any]:
    """Everything that the contract allows for the feature, seen in training or not."""
    if feature.kind == "numeric":
        assert feature.minimum is not None
        assert feature.maximum is not None
        floats = st.floats(feature.minimum, feature.maximum) | st.floats(-FLOAT32_MAX, FLOAT32_MAX)
        floats = floats.map(lambda number: float(int(number))) if feature.integer else floats
        whole = st.integers(int(feature.minimum), int(feature.maximum)) | st.integers(-(10**38), 10**38)
        allowed: st.SearchStrategy[Any] = floats | whole
    else:
        allowed = st.sampled_from(feature.categories) | st.text(st.characters(exclude_categories=["Cs"]))
    return allowed | st.none() if feature.nullable else allowed


def rows(manifest: Manifest) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({feature.name: values(feature) for feature in manifest.features})


@pytest.fixture(scope="module")
def batches(manifest: Manifest) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(rows(manifest), min_size=1, max_size=5)


def test_valid_rows_are_answered_alike_alone_and_in_a_batch(service: TestedService, manifest: Manifest, batches):
    positive = manifest.classes.index(manifest.positive_class)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(batches)
    def check(batch: list[dict[str, Any]]) -> None:
        answer = service.client.post("/predict/batch", json=batch)
        assert answer.status_code == 200, answer.text
        predictions = answer.json()["predictions"]
        assert len(predictions) == answer.json()["batch_size"] == len(batch)
        for prediction in predictions:
            probabilities = prediction["probabilities"]
            assert all(0 <= probability <= 1 for probability in probabilities)
            assert math.isclose(sum(probabilities), 1, abs_tol=1e-6)
            chosen = int(probabilities[positive] >= manifest.decision_threshold)
            assert prediction["prediction"] == (positive if chosen else 1 - positive)
            assert prediction[f"predicted_{manifest.target}"] == manifest.classes[prediction["prediction"]]
        alone = [service.client.post("/predict", json=row) for row in batch]
        assert [one.json() for one in alone] == predictions  # bit for bit: JSON floats round-trip

    check()
