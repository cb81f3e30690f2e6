"""Bundles that no training of ours made: every kind of feature and task, answered alike by both ONNX services."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from bundle.artifacts import describe_artifact
from bundle.graph_names import CATEGORICAL, LABEL, NUMERIC, PROBABILITIES, VALUE
from bundle.manifest import FORMAT_VERSION, Expected, Feature, Manifest, Tokens, encode_manifest, utc_now
from tests.services import TestedService, running

pytestmark = pytest.mark.slow
BACKENDS = ["onnx", pytest.param("axum", marks=pytest.mark.cargo)]
TOKENS = Tokens(missing="<missing>", unseen="<unseen>")
FEATURES = (
    Feature(name="mean radius", kind="numeric", nullable=True, example=0.5),
    Feature(name="note", kind="nominal", nullable=False, example="any", open=True),
    Feature(name="rooms", kind="numeric", nullable=False, example=2, integer=True),
    Feature(name="organic?", kind="boolean", nullable=True, example=True),
    Feature(name="place", kind="nominal", nullable=True, example=None, categories=("a", "b"), rare=("secret",)),
    Feature(name="年齢", kind="date", nullable=True, example="1970-01-03", minimum=0, maximum=11016),
    Feature(name="grade", kind="ordinal", nullable=True, example="lo", categories=("lo", "hi")),
)
ROW = {feature.name: feature.example for feature in FEATURES}
CODES = {TOKENS.missing: 1, TOKENS.unseen: 2, "a": 3, "b": 4, "secret": 5, "lo": 6, "hi": 7, "any": 8}
"""What the graphs see in a string; 9 in any other."""
NAN = -1.0
"""What the graphs see in a missing number."""


def columns() -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes that make one float tensor `columns` [N, 7] of both inputs: the strings' codes, then the numbers."""
    codes = {"keys_strings": list(CODES), "values_floats": [float(code) for code in CODES.values()]}
    return [
        helper.make_node("LabelEncoder", [CATEGORICAL], ["codes"], domain="ai.onnx.ml", default_float=9.0, **codes),
        helper.make_node("IsNaN", [NUMERIC], ["missing"]),
        helper.make_node("Where", ["missing", "nan", NUMERIC], ["numbers"]),
        helper.make_node("Concat", ["codes", "numbers"], ["columns"], axis=1),
    ], [numpy_helper.from_array(np.float32(NAN), "nan")]


def graph(nodes: Sequence[onnx.NodeProto], outputs: Sequence[onnx.ValueInfoProto], **constants: np.ndarray) -> bytes:
    shared, initializers = columns()
    initializers += [numpy_helper.from_array(value, name) for name, value in constants.items()]
    inputs = [
        helper.make_tensor_value_info(CATEGORICAL, TensorProto.STRING, [None, 3]),
        helper.make_tensor_value_info(NUMERIC, TensorProto.FLOAT, [None, 4]),
    ]
    made = helper.make_graph([*shared, *nodes], "hand-written", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString()


def regressor() -> bytes:
    """Its value is the columns as the digits of a number, each worth 16 times the next."""
    nodes = [helper.make_node("MatMul", ["columns", "weights"], [VALUE])]
    return graph(
        nodes,
        [helper.make_tensor_value_info(VALUE, TensorProto.FLOAT, [None])],
        weights=np.float32([16**2, 16, 1, 0.5, 2**12, 2**16, 2**-6]),
    )


def classifier() -> bytes:
    """Three classes, one for each of `mean radius`, `rooms` and `organic?`: the largest of them is the likeliest."""
    nodes = [
        helper.make_node("Gather", ["columns", "three"], ["scores"], axis=1),
        helper.make_node("Softmax", ["scores"], [PROBABILITIES], axis=1),
        helper.make_node("ArgMax", [PROBABILITIES], [LABEL], axis=1, keepdims=0),
    ]
    outputs = [
        helper.make_tensor_value_info(LABEL, TensorProto.INT64, [None]),
        helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, [None, 3]),
    ]
    return graph(nodes, outputs, three=np.array([3, 4, 5]))


def publish(folder: Path, model: bytes, **facts: Any) -> None:
    """A bundle of the graph; its answer to the example row is the one that is expected."""
    session = onnxruntime.InferenceSession(model)
    feeds = {
        CATEGORICAL: np.array([["any", TOKENS.missing, "lo"]], dtype=object),
        NUMERIC: np.array([[0.5, 2, 1, 2]], dtype=np.float32),
    }
    outputs = dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds), strict=True))
    if VALUE in outputs:
        expected = Expected(prediction=float(outputs[VALUE][0]))
    else:
        probabilities = tuple(map(float, outputs[PROBABILITIES][0]))
        expected = Expected(prediction=int(outputs[LABEL][0]), probabilities=probabilities)
    (folder / "hand.onnx").write_bytes(model)
    manifest = Manifest(
        format_version=FORMAT_VERSION, name="hand", version="1", created=utc_now(), features=FEATURES, target="y",
        tokens=TOKENS, expected=expected, libraries={"onnx": onnx.__version__},
        artifacts={"onnx_packed": describe_artifact(model, "hand.onnx")}, **facts,
    )  # fmt: skip
    (folder / "hand.json").write_bytes(encode_manifest(manifest))


def answers(service: TestedService, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One by one, and in a batch: the same."""
    alone = [service.client.post("/predict", json=row).json() for row in rows]
    assert service.client.post("/predict/batch", json=rows).json()["predictions"] == alone
    return alone


def changed(**changes: object) -> dict[str, Any]:
    return ROW | changes


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_kind_of_value_becomes_the_number_or_string_that_the_contract_says(backend: str, tmp_path: Path):
    publish(tmp_path, regressor(), task="regression")
    weights = {
        "note": 16**2,
        "place": 16,
        "grade": 1,
        "mean radius": 0.5,
        "rooms": 2**12,
        "organic?": 2**16,
        "年齢": 2**-6,
    }
    base = {"note": 8, "place": 1, "grade": 6, "mean radius": 0.5, "rooms": 2, "organic?": 1, "年齢": 2}
    cases: list[tuple[dict[str, Any], dict[str, float]]] = [
        ({}, {}),
        ({"mean radius": None}, {"mean radius": NAN}),
        ({"mean radius": 1e-46}, {"mean radius": 0}),
        ({"rooms": 24.0}, {"rooms": 24}),
        ({"organic?": False}, {"organic?": 0}),
        ({"organic?": None}, {"organic?": NAN}),
        ({"年齢": "1969-12-31"}, {"年齢": -1}),
        ({"年齢": "2000-02-29"}, {"年齢": 11016}),
        ({"年齢": "0001-01-01"}, {"年齢": -719162}),
        ({"年齢": None}, {"年齢": NAN}),
        ({"note": "never seen"}, {"note": 9}),
        ({"note": TOKENS.unseen}, {"note": 2}),  # passed on as it is
        ({"place": "secret"}, {"place": 5}),
        ({"place": "never seen"}, {"place": 2}),
        ({"place": TOKENS.missing}, {"place": 2}),  # a client can't say "missing" by the token
        ({"grade": None}, {"grade": 1}),
        ({"grade": "HI"}, {"grade": 2}),
    ]
    with running(backend, tmp_path, tmp_path) as service:
        found = [answer["prediction"] for answer in answers(service, [ROW | change for change, _ in cases])]
        metrics = service.client.get("/metrics").text
        published = service.client.get("/openapi.json").text + service.client.get("/metadata").text
    wanted = [sum(weights[name] * value for name, value in (base | seen).items()) for _, seen in cases]
    assert found == pytest.approx(wanted, rel=1e-6)
    for name, unseen in {"note": 0, "place": 4, "grade": 2}.items():  # each row was sent twice
        assert any(
            line in metrics for line in [f'{{feature="{name}"}} {unseen}\n', f'{{feature="{name}"}} {unseen}.0\n']
        )
    assert "secret" not in published


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_wrong_value_is_refused_by_name(backend: str, tmp_path: Path):
    publish(tmp_path, regressor(), task="regression")
    cases = [
        ("mean radius", True, "float_type"),
        ("mean radius", 1e39, "float_range"),
        ("rooms", 24.5, "int_type"),
        ("rooms", "24", "float_type"),
        ("rooms", None, "not_nullable"),
        ("rooms", 1e39, "float_range"),
        ("organic?", 1, "bool_type"),
        ("organic?", "true", "bool_type"),
        ("年齢", "2023-02-29", "date_invalid"),
        ("年齢", "2026-11-27T00:00:00", "date_invalid"),
        ("年齢", "0000-01-01", "date_invalid"),
        ("年齢", 20784, "date_type"),
        ("note", None, "not_nullable"),
        ("place", 1, "string_type"),
    ]
    with running(backend, tmp_path, tmp_path) as service:
        for name, wrong, kind in cases:
            for padding in ("", " " * (1 << 20)):  # diagnosed, and as the decoder finds it
                body = msgspec.json.encode([ROW, ROW | {name: wrong}]) + padding.encode()
                answer = service.client.post("/predict/batch", content=body)
                (problem,) = answer.json()["detail"]
                assert (answer.status_code, problem["loc"], problem["type"]) == (422, ["body", 1, name], kind), wrong


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("classes", [("low", 'the "middle"', "高い"), (-1, 0, 7)], ids=["strings", "integers"])
def test_classes_are_answered_as_what_they_are(backend: str, classes: tuple[Any, ...], tmp_path: Path):
    publish(tmp_path, classifier(), task="multiclass_classification", classes=classes)
    rows = [changed(**{"mean radius": 3.5}), changed(rooms=3), changed(**{"mean radius": 0.5, "rooms": 0})]
    with running(backend, tmp_path, tmp_path) as service:
        found = answers(service, rows)
        schema = service.client.get("/openapi.json").json()["components"]["schemas"]["Prediction"]["properties"]
    assert [(answer["prediction"], answer["predicted_y"]) for answer in found] == list(enumerate(classes))
    for answer, scores in zip(found, [(3.5, 2, 1), (0.5, 3, 1), (0.5, 0, 1)], strict=True):
        powers = np.exp(np.float64(scores))
        assert answer["probabilities"] == pytest.approx(powers / powers.sum(), abs=1e-6)
    assert schema["predicted_y"]["enum"] == list(classes)
