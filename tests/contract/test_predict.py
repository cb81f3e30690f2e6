import json
import random
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle.manifest import Manifest
from tests.services import TestedService

TOLERANCE = 1e-6


def predict(service: TestedService, row: dict) -> dict:
    answer = service.client.post("/predict", json=row)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_every_reference_row_gets_its_label_and_probability(service: TestedService, manifest, reference):
    worst = 0.0
    for start in range(0, len(reference.rows), 500):
        part = slice(start, start + 500)
        answer = service.client.post("/predict/batch", json=reference.rows[part]).json()
        assert answer["batch_size"] == len(answer["predictions"]) == len(reference.rows[part])
        expected = zip(reference.labels[part], reference.probabilities[part], strict=True)
        for got, (label, probability) in zip(answer["predictions"], expected, strict=True):
            assert got["prediction"] == label
            assert got[f"predicted_{manifest.target}"] == manifest.classes[label]
            worst = max(worst, abs(got["probabilities"][1] - probability))
    assert worst <= TOLERANCE


def test_a_batch_gives_what_its_rows_give_singly_bit_for_bit(service: TestedService, reference):
    rows = random.Random(1).sample(reference.rows, 150)
    batch = service.client.post("/predict/batch", json=rows).json()["predictions"]
    assert batch == [predict(service, row) for row in rows]


def test_a_batch_of_one_row_is_a_batch(service: TestedService, row):
    answer = service.client.post("/predict/batch", json=[row]).json()
    assert answer == {"predictions": [predict(service, row)], "batch_size": 1}


def test_the_answer_has_its_keys_in_the_documented_order(service: TestedService, manifest, row):
    assert list(predict(service, row)) == ["prediction", "probabilities", f"predicted_{manifest.target}"]


def test_whole_numbers_may_be_integers_or_floats(service: TestedService, manifest, row):
    floats = {name: float(value) if isinstance(value, int) else value for name, value in row.items()}
    assert predict(service, row) == predict(service, floats)


def test_the_order_of_the_fields_does_not_matter(service: TestedService, row):
    assert predict(service, row) == predict(service, dict(reversed(row.items())))


def test_a_repeated_field_counts_with_its_last_value(service: TestedService, row):
    name = next(iter(row))
    text = f'{{"{name}": 1e9, {json.dumps(row)[1:]}'
    assert service.client.post("/predict", content=text).json() == predict(service, row)


def test_a_token_s_text_is_an_unseen_category_like_any_other(service: TestedService, manifest, row):
    """Only a null means missing: no string that a client can send stands for it."""
    for feature in manifest.categorical:
        unseen = predict(service, {**row, feature.name: "never seen"})
        for text in (manifest.tokens.missing, manifest.tokens.unseen):
            assert predict(service, {**row, feature.name: text}) == unseen
    nullable = [feature.name for feature in manifest.categorical if feature.nullable]
    missing = predict(service, {**row, **dict.fromkeys(nullable)})
    assert missing != predict(service, {**row, **dict.fromkeys(nullable, manifest.tokens.missing)})


def test_all_unseen_categories_are_alike(service: TestedService, manifest, row):
    feature = manifest.categorical[-1].name
    seen = manifest.categorical[-1].categories[0]
    unseen = predict(service, {**row, feature: "never seen"})
    for text in ("", "x" * 5000, "日本語", "\x00", f"{seen}\x00suffix", f" {seen}", "line\nbreak", '"', "\ufffd"):
        assert predict(service, {**row, feature: text}) == unseen, text[:20]


def test_the_content_type_does_not_matter(service: TestedService, row):
    answer = service.client.post("/predict", content=json.dumps(row), headers={"content-type": "text/plain"})
    assert answer.json() == predict(service, row)


def test_a_large_batch_is_answered_in_order(service: TestedService, reference):
    rows = (reference.rows * 6)[:10_000]
    answer = service.client.post("/predict/batch", json=rows).json()
    assert [got["prediction"] for got in answer["predictions"]] == (reference.labels * 6)[:10_000]


@pytest.mark.slow
def test_small_requests_are_answered_while_a_large_batch_is_worked_on(service: TestedService, reference, row):
    body = json.dumps((reference.rows * 20)[:40_000])
    with ThreadPoolExecutor(1) as other, httpx.Client(base_url=service.client.base_url, timeout=60) as client:
        large = other.submit(client.post, "/predict/batch", content=body)
        answered = 0
        while not large.done():
            predict(service, row)
            assert service.client.get("/health/live").status_code == 200
            answered += 1
        assert large.result().json()["batch_size"] == 40_000
    assert answered >= 10


def rows_of(manifest: Manifest) -> st.SearchStrategy[dict]:
    """Rows that the schema allows."""
    values = {}
    for feature in manifest.features:
        if feature.kind == "numeric":
            numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
            numbers = numbers.map(lambda number: float(int(number))) if feature.integer else numbers
            value = numbers | st.integers(-(2**70), 2**70)
        else:
            value = st.sampled_from(feature.categories) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
        values[feature.name] = value | st.none() if feature.nullable else value
    return st.fixed_dictionaries(values)


@pytest.mark.parametrize("size", [1, pytest.param(7, marks=pytest.mark.slow)])
def test_whatever_the_schema_allows_is_answered_consistently(service: TestedService, manifest, size):
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(rows_of(manifest), min_size=size, max_size=size))
    def check(rows: list[dict]) -> None:
        batch = service.client.post("/predict/batch", content=json.dumps(rows)).json()["predictions"]
        for row, got in zip(rows, batch, strict=True):
            negative, positive = got["probabilities"]
            assert 0 <= positive <= 1
            assert abs(negative + positive - 1) <= TOLERANCE
            assert got["prediction"] == (positive >= manifest.decision_threshold)
            assert got[f"predicted_{manifest.target}"] == manifest.classes[got["prediction"]]
            assert predict(service, row) == got

    check()
