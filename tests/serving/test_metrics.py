import asyncio

import msgspec
import pytest

from serving.metrics import BUCKETS, PUBLISH_SECONDS, Metrics


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def replaced(manifest):
    return msgspec.structs.replace(manifest, version="of another model")


def samples(metrics: Metrics) -> dict[str, float]:
    lines = metrics.expose().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


@pytest.mark.anyio
async def test_an_observation_on_a_bucket_s_bound_belongs_to_it_and_one_beyond_the_last_to_infinity(manifest):
    metrics = Metrics("fake")
    for seconds in (BUCKETS[1], BUCKETS[1] * 1.001, 60.0):
        metrics.observe("/predict", 200, seconds)
    found = samples(metrics)
    bucket = 'predict_request_seconds_bucket{{le="{}",route="/predict",status="200"}}'
    assert found[bucket.format(BUCKETS[0])] == 0
    assert found[bucket.format(BUCKETS[1])] == 1
    assert found[bucket.format(BUCKETS[2])] == 2
    assert found[bucket.format(BUCKETS[-1])] == 2
    assert found[bucket.format("+Inf")] == 3
    assert found['predict_request_seconds_sum{route="/predict",status="200"}'] == pytest.approx(60 + BUCKETS[1] * 2.001)


@pytest.mark.anyio
async def test_nothing_is_counted_twice_however_often_it_is_asked_for(manifest):
    metrics = Metrics("fake")
    metrics.observe("/predict/batch", 422, 0.01)
    metrics.predicted("/predict/batch", 7, [manifest.categorical[0].name] * 2)
    first = samples(metrics)
    assert first['predict_rows_total{route="/predict/batch"}'] == 7
    assert first[f'predict_unseen_categories_total{{feature="{manifest.categorical[0].name}"}}'] == 2
    assert first['predict_request_seconds_count{route="/predict/batch",status="422"}'] == 1
    second = samples(metrics)
    assert {name: value for name, value in second.items() if "_created" not in name} == {
        name: value for name, value in first.items() if "_created" not in name
    }


@pytest.mark.anyio
async def test_what_is_counted_is_published_soon_without_being_asked_for(manifest, monkeypatch):
    metrics = Metrics("fake")
    published = asyncio.Event()
    publish = metrics.publish
    monkeypatch.setattr(metrics, "publish", lambda: (publish(), published.set()))
    for _ in range(2):  # and again for what comes later
        published.clear()
        metrics.observe("/predict", 200, 0.001)
        await asyncio.wait_for(published.wait(), 50 * PUBLISH_SECONDS)
    assert samples(metrics)['predict_request_seconds_count{route="/predict",status="200"}'] == 2


@pytest.mark.anyio
async def test_after_a_reload_the_new_model_is_the_one_served_and_the_counts_go_on(manifest):
    metrics = Metrics("fake")
    metrics.serve(manifest)
    metrics.predicted("/predict", 2, [])
    metrics.serve(replaced(manifest))
    metrics.predicted("/predict", 3, [])
    found = samples(metrics)
    info = 'model_info{{backend="fake",name="{}",version="{}"}}'
    assert found[info.format(manifest.name, manifest.version)] == 0
    assert found[info.format(manifest.name, "of another model")] == 1
    assert found['predict_rows_total{route="/predict"}'] == 5
