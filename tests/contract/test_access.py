"""API keys, and what they leave open; the documentation's page and its absence."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.services import TestedService, running

KEYS = ("first-key-0123456789", "second-key-0123456789")


@pytest.fixture(scope="module")
def keyed(backend: str, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestedService]:
    folder = tmp_path_factory.mktemp(backend)
    (folder / "keys").write_text(f"{KEYS[0]}\n\n  {KEYS[1]}\n")
    with running(backend, models, folder, api_key_file=folder / "keys") as service:
        yield service
    log = service.log.read_text()
    assert "requests need an API key" in log
    assert not any(key in log for key in KEYS)


@pytest.mark.parametrize("authorization", [f"Bearer {KEYS[0]}", f"bearer  {KEYS[1]}"])
def test_each_of_the_keys_opens_the_service(keyed: TestedService, row, authorization: str):
    headers = {"authorization": authorization}
    assert keyed.client.post("/predict", json=row, headers=headers).status_code == 200
    for path in ("/", "/metadata", "/metrics", "/openapi.json"):
        assert keyed.client.get(path, headers=headers).status_code == 200, path


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "Bearer another-key-0123456789")],
        [("authorization", f"Basic {KEYS[0]}")],
        [("authorization", KEYS[0])],
        [("authorization", "Bearer")],
        [("authorization", f"Bearer {KEYS[0][:-1]}")],
        [("authorization", f"Bearer {KEYS[0]}"), ("authorization", f"Bearer {KEYS[0]}")],
        [("x-api-key", KEYS[0])],
    ],
    ids=str,
)
def test_without_a_key_nothing_is_told(keyed: TestedService, row, headers: list[tuple[str, str]]):
    calls = [("POST", "/predict"), ("POST", "/predict/batch")]
    calls += [("GET", path) for path in ("/", "/metadata", "/metrics", "/openapi.json", "/nothing-here", "/predict/")]
    for method, path in calls:
        answer = keyed.client.request(method, path, headers=headers, json=row if method == "POST" else None)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
        problem = {
            "loc": ["header", "authorization"],
            "msg": "a valid API key is required",
            "type": "unauthorized",
        }
        assert answer.json() == {"detail": [problem]}


def test_health_and_the_page_of_the_documentation_stay_open(keyed: TestedService):
    page = ("/docs", "/docs/start.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js")
    for path in ("/health", "/health/live", "/health/ready", *page):
        assert keyed.client.get(path).status_code == 200, path


def test_the_description_says_that_a_key_is_needed(keyed: TestedService):
    paths = keyed.client.get("/openapi.json", headers={"authorization": f"Bearer {KEYS[0]}"}).json()["paths"]
    needing = {path for path, operations in paths.items() for op in operations.values() if op.get("security")}
    assert needing == paths.keys() - {"/health", "/health/live", "/health/ready"}


def test_without_keys_the_log_says_that_everybody_is_answered(service: TestedService):
    assert "no API key is asked for" in service.log.read_text()


def test_the_log_says_which_model_is_served(service: TestedService):
    version = service.client.get("/metadata").json()["version"]
    assert f"model version {version}" in service.log.read_text()


def test_the_page_of_the_documentation_may_talk_to_its_service_only(service: TestedService):
    headers = service.client.get("/docs").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "connect-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "http://" not in service.client.get("/docs").text
    assert "https://" not in service.client.get("/docs").text


@pytest.mark.slow
def test_the_documentation_can_be_left_out(backend: str, models: Path, tmp_path: Path, row):
    with running(backend, models, tmp_path, docs="off") as service:
        for path in ("/docs", "/openapi.json", "/redoc", "/docs/", "/openapi.json/", "/docs/start.js"):
            answer: httpx.Response = service.client.get(path)
            assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"}), path
        assert not {"/docs", "/openapi.json"} & set(service.client.get("/").json()["links"])
        assert service.client.post("/predict", json=row).status_code == 200
