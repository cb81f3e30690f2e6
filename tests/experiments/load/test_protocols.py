import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from experiments.__main__ import main
from experiments.load import protocols
from experiments.load.protocol_requests import make_requests
from load_testing.results import Spread
from tests.experiments.report.conftest import ORIGIN


def cell(protocol: str, rows: int, cpu_us: float) -> protocols.ProtocolCell:
    cpu, rate = Spread.of([cpu_us]), Spread.of([1e6 * rows / cpu_us])
    return protocols.ProtocolCell(
        service="axum", protocol=protocol, rows=rows, request_bytes=300 * rows, cpu_us=cpu, rows_per_second=rate
    )


def test_the_table_has_a_line_for_each_protocol_and_columns_for_each_size():
    cells = (cell("JSON /predict", 1, 50), cell("JSON /predict", 100, 500), cell("gRPC", 1, 60), cell("gRPC", 100, 400))
    report = protocols.ProtocolsReport(**ORIGIN, command="", seconds=1, rounds=1, cells=cells)
    (table,) = report.tables()
    assert table.rows == (
        ("axum", "JSON /predict", "50", "20,000", "300", "500", "200,000", "30,000"),
        ("axum", "gRPC", "60", "16,667", "300", "400", "250,000", "30,000"),
    )
    assert report.key_figures() == ("CPU time of 100 rows, JSON to /predict being 1: axum gRPC 0.80",)


def test_each_protocol_has_the_same_rows(manifest):
    row = {feature.name: feature.example for feature in manifest.features}
    nullable = next(feature.name for feature in manifest.features if feature.nullable and feature.kind == "nominal")
    own, as_json, binary, message = make_requests(manifest, [json.dumps(row | {nullable: None}).encode()])
    assert own.path == "/predict"
    data = {one["name"]: one["data"] for one in json.loads(as_json.body)["inputs"]}
    assert data[nullable] == [None]
    assert binary.body[int(binary.headers["inference-header-content-length"]) :].count(b"<missing>") == 1
    assert message.body.count(b"<missing>") == 2  # the value, and the parameter that says what it means


def test_another_answer_than_that_of_predict_ends_the_measurement(manifest, monkeypatch):
    @dataclass
    class Spec:
        name: str = "axum"

    @dataclass
    class Running:
        spec: Spec
        url: str = "http://127.0.0.1:1"

    @contextmanager
    def answered(_, request) -> Iterator:
        score = 0.5 if request.protocol == "JSON /predict" else 0.25
        content = {"outputs": [{"datatype": "FP32", "data": [score]}], "prediction": 0, "probabilities": [score]}
        yield lambda: (json.dumps(content).encode(), {})

    @dataclass
    class Rows:
        manifest: object
        bodies: list

    monkeypatch.setattr(protocols, "by_http", answered)
    bodies = [json.dumps({feature.name: feature.example for feature in manifest.features}).encode()]
    with pytest.raises(protocols.ServiceError, match="axum: V2 JSON has other answers than /predict"):
        list(protocols.prepare(Running(Spec()), None, Rows(manifest, bodies), [1]))


def test_a_folder_without_a_bundle_is_named(tmp_path, capsys):
    assert main(["protocols", "--models", str(tmp_path)]) == 1
    assert f"{tmp_path}: no model bundle here" in capsys.readouterr().err
