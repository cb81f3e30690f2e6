import re

from tests.services import TestedService


def test_root_names_the_service_the_backend_and_the_model(service: TestedService, manifest):
    root = service.client.get("/").json()
    assert root["backend"] == service.backend
    assert root["model"] == {"name": manifest.name, "version": manifest.version}
    assert {"/predict", "/predict/batch", "/docs", "/health/ready", "/metrics"} <= set(root["links"])


def test_every_link_of_the_root_that_can_be_got_answers(service: TestedService):
    for link in service.client.get("/").json()["links"]:
        if not link.startswith("/predict"):
            assert service.client.get(link).status_code == 200, link


def test_health_answers(service: TestedService):
    for path in ("/health", "/health/live", "/health/ready"):
        assert service.client.get(path).status_code == 200, path


def test_metadata_is_the_public_part_of_the_manifest(service: TestedService, manifest):
    metadata = service.client.get("/metadata").json()
    assert metadata["version"] == manifest.version
    assert metadata["decision_threshold"] == manifest.decision_threshold
    assert [feature["name"] for feature in metadata["features"]] == [feature.name for feature in manifest.features]
    assert metadata["metrics"]["held_out"] == manifest.metrics.held_out
    assert metadata["parity"]["label_mismatches"] == 0
    assert not {"artifacts", "libraries", "study", "distributions"} & metadata.keys()


def test_openapi_describes_the_request_as_the_manifest_does(service: TestedService, manifest):
    document = service.client.get("/openapi.json").json()
    schema = document["components"]["schemas"]["Row"]
    assert list(schema["properties"]) == [feature.name for feature in manifest.features]
    assert schema["required"] == [feature.name for feature in manifest.features]
    assert schema["additionalProperties"] is False
    for feature in manifest.features:
        kind = "string" if feature.kind != "numeric" else "integer" if feature.integer else "number"
        assert schema["properties"][feature.name]["type"] == ([kind, "null"] if feature.nullable else kind)
    assert set(document["paths"]["/predict"]["post"]["responses"]) == {"200", "400", "408", "413", "422", "500", "503"}


def test_the_examples_in_the_documentation_work_as_they_stand(service: TestedService):
    paths = service.client.get("/openapi.json").json()["paths"]
    for path in ("/predict", "/predict/batch"):
        example = paths[path]["post"]["requestBody"]["content"]["application/json"]["example"]
        assert service.client.post(path, json=example).status_code == 200, path


def test_the_documentation_page_loads_the_schema(service: TestedService):
    page = service.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "openapi.json" in page.text


def test_the_documentation_page_is_made_of_files_of_the_service(service: TestedService):
    page = service.client.get("/docs")
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert files == ["docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/start.js"]
    for file in files:
        answer = service.client.get(f"/{file}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/css" if file.endswith("css") else "text/javascript")
        assert answer.headers["content-security-policy"] == page.headers["content-security-policy"]
        assert len(answer.content) == int(answer.headers["content-length"])
        assert service.client.head(f"/{file}").headers["content-length"] == answer.headers["content-length"]
    assert "SwaggerUIBundle" in service.client.get("/docs/swagger-ui-bundle.js").text
    assert service.client.get("/docs/redoc.js").status_code == 404


def test_an_unknown_path_is_not_found(service: TestedService):
    answer = service.client.get("/nothing-here")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


def test_predict_takes_post_only(service: TestedService):
    for path in ("/predict", "/predict/batch"):
        answer = service.client.get(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), path


def test_metrics_count_requests_rows_and_unseen_categories(service: TestedService, manifest, row):
    def value(sample: str) -> float:
        lines = service.client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(sample))

    feature = manifest.categorical[0].name
    samples = {
        'predict_request_seconds_count{route="/predict",status="200"}': 1,
        'predict_request_seconds_count{route="/predict",status="422"}': 1,
        'predict_request_seconds_count{route="/predict/batch",status="200"}': 1,
        'predict_rows_total{route="/predict"}': 1,
        'predict_rows_total{route="/predict/batch"}': 3,
        f'predict_unseen_categories_total{{feature="{feature}"}}': 3,
    }
    before = {sample: value(sample) for sample in samples}
    unseen = {**row, feature: "never seen"}
    service.client.post("/predict", json=unseen)
    service.client.post("/predict", json={})
    service.client.post("/predict/batch", json=[unseen, row, unseen])
    assert {sample: value(sample) - before[sample] for sample in samples} == samples
    assert f'model_info{{backend="{service.backend}"' in service.client.get("/metrics").text
