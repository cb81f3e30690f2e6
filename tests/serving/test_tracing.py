"""Traces, received by a collector's test double over HTTP."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.contract.recording import lines
from tests.services import ROOT, connected, environment, running, wait_until
from tests.serving.collector import Collector, attributes, collecting

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch):
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield collector


@pytest.fixture
def row(manifest) -> dict:
    return {feature.name: feature.example for feature in manifest.features}


def server_spans(collector: Collector) -> list[Span]:
    return [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]


@pytest.mark.slow
def test_a_request_is_a_span_with_its_steps_below(collector: Collector, models: Path, manifest, row, tmp_path: Path):
    headers = {"traceparent": TRACEPARENT, "tracestate": "a=b", "x-request-id": "mine"}
    with running("onnx", models, tmp_path) as service:
        assert service.client.post("/predict/batch", json=[row] * 300, headers=headers).status_code == 200
        spans = collector.wait_for(1)
    (server,) = server_spans(collector)
    assert (server.trace_id.hex(), server.parent_span_id.hex()) == (TRACE, PARENT)
    assert (server.name, server.trace_state) == ("POST /predict/batch", "a=b")
    assert attributes(server) == {
        "http.request.method": "POST",
        "http.route": "/predict/batch",
        "http.response.status_code": 200,
        "model.name": manifest.name,
        "model.version": manifest.version,
        "request_id": "mine",
        "rows": 300,
    }
    steps = {span.name: span for span in spans if span.parent_span_id == server.span_id}
    assert sorted(steps) == ["decode", "encode", "predict"]
    for step in steps.values():
        assert server.start_time_unix_nano <= step.start_time_unix_nano <= step.end_time_unix_nano
        assert step.end_time_unix_nano <= server.end_time_unix_nano
        seconds = (step.end_time_unix_nano - step.start_time_unix_nano) / 1e9
        assert 0 < attributes(step)["seconds"] <= seconds * 1.001
    assert attributes(steps["predict"])["pieces"] == attributes(steps["encode"])["pieces"] > 1
    (path, kind, _), *_ = collector.requests
    assert (path, kind) == ("/v1/traces", "application/x-protobuf")
    assert collector.resources()[0]["service.name"] == "train-to-serve-onnx"


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnx", "pickle"])
def test_every_worker_sends_its_spans_and_the_last_ones_before_it_ends(
    backend: str, collector: Collector, models: Path, row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    names = [f"request-{index}" for index in range(30)]
    with running(backend, models, tmp_path, workers=2) as service:
        wait_until(lambda: len(connected(service, psutil.CONN_LISTEN)) == 2, service.log)
        for name in names:
            service.client.post("/predict", json=row, headers={"x-request-id": name, "connection": "close"})
        assert not collector.spans
    assert sorted(attributes(span)["request_id"] for span in server_spans(collector)) == sorted(names)
    assert len(collector.requests) == 2  # both workers had some: connections are shared out


@pytest.mark.slow
def test_refusals_and_requests_without_a_parent_are_traced_too(
    collector: Collector, models: Path, manifest, row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "of my own")
    bad = ["nonsense", f"{TRACEPARENT}-x", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01", "é" * 5000]
    with running("onnx", models, tmp_path) as service:
        answers = [service.client.post("/predict", json={})]
        for value in bad:
            given = [(b"traceparent", value.encode("latin-1")), (b"tracestate", b"\xff=,,=;" * 50)]
            answers.append(service.client.post("/predict", json=row, headers=given))
        given = [(b"traceparent", TRACEPARENT.encode())] * 2
        answers.append(service.client.post("/predict", json=row, headers=given))
        infer = service.client.post(f"/v2/models/{manifest.name}/infer", json={"inputs": []})
        collector.wait_for(len(answers) + 1)
        assert "tracestate" not in service.log.read_text().lower()
        assert "Invalid key" not in service.log.read_text()
    assert [answer.status_code for answer in answers] == [422] + [200] * (len(bad) + 1)
    assert infer.status_code == 400
    spans = server_spans(collector)
    statuses = sorted(attributes(span)["http.response.status_code"] for span in spans)
    assert statuses == [200] * (len(bad) + 1) + [400, 422]
    assert all(not span.parent_span_id and span.status.code == Status.STATUS_CODE_UNSET for span in spans)
    assert len({span.trace_id for span in spans}) == len(spans)
    assert collector.resources()[0]["service.name"] == "of my own"


@pytest.mark.slow
def test_a_caller_that_does_not_sample_gets_no_spans(collector: Collector, models: Path, row, tmp_path: Path):
    with running("onnx", models, tmp_path) as service:
        for flag in ("00", "01"):
            service.client.post("/predict", json=row, headers={"traceparent": f"00-{TRACE}-{PARENT}-{flag}"})
        collector.wait_for(1)
    assert len(server_spans(collector)) == 1


@pytest.mark.slow
def test_without_a_collector_requests_are_answered_and_the_service_ends(
    models: Path, row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with running("onnx", models, tmp_path) as service:
        assert service.client.post("/predict", json=row).status_code == 200


def started(before: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """What the settings say of these variables."""
    code = f"import sys; {before}\nfrom serving.settings import *\ntry: print(read_settings(default_port=1).tracing)\n"
    code += "except SettingsError as error: sys.exit(str(error))"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SERVE_"))}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**inherited, **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("variables", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "false"}, True),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_the_standard_variables_say_whether_there_are_traces(variables: dict[str, str], on: bool):
    assert started(**variables).stdout.strip() == str(on)


def test_another_protocol_is_refused():
    refused = started(**ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    assert refused.returncode == 1
    assert "OTEL_EXPORTER_OTLP_PROTOCOL='grpc'" in refused.stderr


def test_traces_without_the_packages_are_refused_with_the_command_that_installs_them():
    not_installed = "sys.modules['opentelemetry.sdk'] = None"
    refused = started(not_installed, **ENDPOINT)
    assert refused.returncode == 1
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in refused.stderr
    assert "pip install --require-hashes -r requirements/tracing.lock" in refused.stderr
    assert (ROOT / "requirements/tracing.lock").exists()
    assert started(not_installed).stdout.strip() == "False"


@pytest.mark.parametrize(
    ("variables", "modules"),
    [
        ({}, set()),
        (ENDPOINT, {"opentelemetry.sdk", "serving.tracing"}),
        ({"SERVE_RECORD_DIR": "record"}, {"serving.record"}),
    ],
)
def test_what_is_not_asked_for_is_not_imported(
    variables: dict[str, str], modules: set[str], models: Path, tmp_path: Path
):
    code = (
        "import sys, serving.onnx_service as service\n"
        "from serving.process.reloading import ReloadingApplication\n"
        "from serving.settings import read_settings\n"
        "ReloadingApplication(service.build, read_settings(default_port=1))\n"
        "print(*{'opentelemetry.sdk', 'serving.record', 'serving.tracing'} & set(sys.modules))"
    )
    given = {name: value for name, value in environment(models).items() if not name.startswith("OTEL_")}
    given |= {"PYTHONPATH": str(ROOT), **variables}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=given, capture_output=True, text=True, check=True
    )
    assert set(found.stdout.split()) == modules


@pytest.mark.slow
def test_a_request_is_recorded_and_traced_under_one_id(collector: Collector, models: Path, row, tmp_path: Path):
    with running("onnx", models, tmp_path, record_dir=tmp_path / "record", record_sample=1) as service:
        answer = service.client.post("/predict", json=row)
    (span,), (line,) = server_spans(collector), lines(tmp_path / "record")
    assert attributes(span)["request_id"] == line["request_id"] == answer.headers["x-request-id"]
    assert attributes(span)["rows"] == 1
