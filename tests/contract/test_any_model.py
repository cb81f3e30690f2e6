"""Every backend serves every task, every kind of feature and any name, with the values that a pencil gives."""

import json
from typing import Any

import pytest

from load_testing.payloads import read_reference
from load_testing.skew_measurement import measure_skew
from tests.contract.any_models import BINARY, QUOTED, REGRESSION
from tests.contract.served import Served, only


def approximately(answer: dict[str, Any]) -> dict[str, Any]:
    numbers = {"probabilities": pytest.approx(answer["probabilities"], abs=1e-6)} if "probabilities" in answer else {}
    if not numbers:
        numbers = {"prediction": pytest.approx(answer["prediction"], rel=1e-5, abs=1e-5)}
    return answer | numbers


def test_every_row_gets_the_model_s_answer_alone_and_in_a_batch(served: Served):
    expected = [approximately(answer) for answer in served.bundle.answers(served.bundle.rows)]
    assert [served.predict(row) for row in served.bundle.rows] == expected
    batch = served.service.client.post("/predict/batch", json=list(served.bundle.rows)).json()
    assert batch["predictions"] == expected
    assert batch["batch_size"] == len(expected)


def test_labels_are_answered_as_what_they_are(served: Served):
    answers = [served.predict(row) for row in served.bundle.rows]
    if served.bundle.classes:
        labels = {answer[f"predicted_{served.bundle.target}"] for answer in answers}
        assert labels == set(served.bundle.classes)
        assert {type(label) for label in labels} == {type(label) for label in served.bundle.classes}
    else:
        assert all(set(answer) == {"prediction"} for answer in answers)


def test_skew_is_measured_on_the_reference_rows(served: Served):
    for row in measure_skew("service", str(served.service.client.base_url), read_reference(served.models)):
        assert row.clean, row
        assert row.result.rows == len(served.bundle.rows)


def test_rows_are_described_in_the_document(served: Served):
    document = served.service.client.get("/openapi.json").json()
    properties = document["components"]["schemas"]["Row"]["properties"]
    assert list(properties) == [feature.name for feature in served.bundle.features]
    example = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert served.predict(example) == approximately(served.bundle.answers([example])[0])


@only(BINARY)
def test_a_rare_category_is_known_and_published_nowhere(served: Served):
    row = served.bundle.rows[1]
    assert row["年齢"] == "百歳"
    assert served.predict(row) != served.predict({**row, "年齢": "never seen"})
    for path in ("/metadata", "/openapi.json", "/docs", "/metrics", "/"):
        assert "百歳" not in json.dumps(served.service.client.get(path).text, ensure_ascii=False)
        assert r"\u767e\u6b73" not in served.service.client.get(path).text
    counted = served.service.client.get("/metrics").text
    assert 'predict_unseen_categories_total{feature="年齢"}' in counted


@only(BINARY)
def test_odd_names_are_named_in_problems(served: Served):
    row = served.bundle.rows[0]
    assert served.problems({**row, QUOTED: "x"}) == [(QUOTED, "float_type")]
    assert served.problems({**row, "mean radius": "x", "label": None}) == [
        ("mean radius", "float_type"),
        ("label", "not_nullable"),
    ]
    assert served.problems({name: value for name, value in row.items() if name != QUOTED}) == [(QUOTED, "missing")]
    assert served.problems({**row, "f0": 1}) == [("f0", "extra_forbidden")]


@only(REGRESSION)
@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("is ripe", 1, "bool_type"),
        ("is ripe", "true", "bool_type"),
        ("is ripe", None, "not_nullable"),
        ("is bio", 0.0, "bool_type"),
        ("picked", 19782, "date_type"),
        ("picked", None, "not_nullable"),
        ("picked", "2023-02-29", "date_invalid"),
        ("picked", "2024-2-29", "date_invalid"),
        ("picked", "20240229", "date_invalid"),
        ("picked", "2024-02-29T00:00:00", "date_invalid"),
        ("picked", " 2024-02-29", "date_invalid"),
        ("picked", "0000-01-01", "date_invalid"),
        ("picked", "\uff12\uff10\uff12\uff14-02-29", "date_invalid"),
        ("sold", "tomorrow", "date_invalid"),
        ("sold", True, "date_type"),
        ("count", 24.5, "int_type"),
        ("count", "24", "float_type"),
        ("count", 1e39, "float_range"),
        ("worms", 0.25, "int_type"),
        ("worms", False, "float_type"),
        ("remark", 7, "string_type"),
        ("remark", None, "not_nullable"),
    ],
)
def test_values_of_another_kind_are_refused(served: Served, field: str, value: Any, kind: str):
    assert served.problems({**served.bundle.rows[0], field: value}) == [(field, kind)]


@only(REGRESSION)
def test_nothing_is_unseen_of_an_open_feature(served: Served):
    row = served.bundle.rows[2]
    good, other = served.predict({**row, "remark": "good"}), served.predict({**row, "remark": "never heard of"})
    assert good["prediction"] - other["prediction"] == pytest.approx(9.0, rel=1e-3)
    counters = served.service.client.get("/metrics").text.splitlines()
    assert not [line for line in counters if line.startswith('predict_unseen_categories_total{feature="remark"} 1')]
