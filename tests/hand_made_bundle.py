"""Write small bundles by hand, without training: one of each task, with features of every kind and odd names."""

import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper, numpy_helper

from bundle.artifacts import describe_artifact
from bundle.graph_names import CATEGORICAL, LABEL, NUMERIC, PROBABILITIES, VALUE
from bundle.manifest import (
    FORMAT_VERSION,
    ArtifactKind,
    ClassLabel,
    Expected,
    Feature,
    Manifest,
    Tokens,
    encode_manifest,
    utc_now,
)
from bundle.reference import CASE, HELD_OUT, ROW, TARGET
from serving.row_type import parse_day
from tests.hand_made_model import HandMadeModel

TOKENS = Tokens(missing="<missing>", unseen="<unseen>")
TYPES = {"numeric": pl.Float64, "boolean": pl.Boolean, "date": pl.String, "ordinal": pl.String, "nominal": pl.String}
Row = dict[str, Any]


@dataclass(frozen=True)
class HandMade:
    """What a bundle is made of. `rows` are JSON objects, the reference rows; the first ones are the examples."""

    name: str
    features: tuple[Feature, ...]
    target: str
    model: HandMadeModel
    rows: tuple[Row, ...]
    classes: tuple[ClassLabel, ...] = ()
    threshold: float | None = None

    @property
    def task(self) -> str:
        if not self.classes:
            return "regression"
        return "binary_classification" if len(self.classes) == 2 else "multiclass_classification"

    def answers(self, rows: Sequence[Row]) -> list[Row]:
        """What every service must answer to the rows, worked out by the model itself."""
        frame = pipeline_frame(self.features, rows)
        if not self.classes:
            return [{"prediction": value} for value in self.model.predict(frame).tolist()]
        probabilities = self.model.predict_proba(frame)
        labels = probabilities.argmax(axis=1)
        if self.threshold is not None:
            labels = (probabilities[:, 1] >= np.float32(self.threshold)).astype(int)
        return [
            {"prediction": label, "probabilities": row, f"predicted_{self.target}": self.classes[label]}
            for label, row in zip(labels.tolist(), probabilities.tolist(), strict=True)
        ]

    def write(self, folder: Path) -> Manifest:
        """Write the bundle into the folder."""
        answers = self.answers(self.rows)
        example = self.answers([{feature.name: feature.example for feature in self.features}])[0]
        contents: dict[ArtifactKind, tuple[str, bytes]] = {
            "onnx_packed": ("m.packed.onnx", packed_graph(self)),
            "pickle": ("m.pkl", pickle.dumps(self.model)),
            "reference": ("m.reference.parquet", reference_rows(self, answers)),
        }
        (folder / "v1").mkdir(parents=True)
        for file, content in contents.values():
            (folder / "v1" / file).write_bytes(content)
        manifest = Manifest(
            format_version=FORMAT_VERSION,
            name=self.name,
            version="1",
            created=utc_now(),
            task=self.task,
            features=self.features,
            target=self.target,
            classes=self.classes,
            positive_class=None if self.threshold is None else self.classes[1],
            decision_threshold=self.threshold,
            tokens=TOKENS,
            expected=Expected(prediction=example["prediction"], probabilities=tuple(example.get("probabilities", ()))),
            libraries={"numpy": np.__version__},
            artifacts={kind: describe_artifact(content, f"v1/{file}") for kind, (file, content) in contents.items()},
        )
        (folder / f"{self.name}.json").write_bytes(encode_manifest(manifest))
        return manifest


def pipeline_frame(features: Sequence[Feature], rows: Sequence[Row]) -> pl.DataFrame:
    """JSON rows as the pickle takes them: strings and Float64, unseen categories as they are."""
    columns = []
    for feature in features:
        values = [row[feature.name] for row in rows]
        if feature.kind == "date":
            values = [None if value is None else parse_day(value) for value in values]
        kind = pl.String if feature.kind in ("ordinal", "nominal") else pl.Float64
        numbers = values if kind == pl.String else [None if value is None else float(value) for value in values]
        columns.append(pl.Series(feature.name, numbers, kind))
    return pl.DataFrame(columns).with_columns(pl.col(pl.Float64).fill_null(float("nan")))


def reference_rows(bundle: HandMade, answers: Sequence[Row]) -> bytes:
    """The reference rows as Parquet."""
    schema = {feature.name: TYPES[feature.kind] for feature in bundle.features}
    values = {name: [row[name] for row in bundle.rows] for name in schema}
    rows = pl.DataFrame({name: pl.Series(values[name], dtype=kind, strict=False) for name, kind in schema.items()})
    rows = rows.with_columns(pl.col(f.name).str.to_date("%Y-%m-%d") for f in bundle.features if f.kind == "date")
    frame = pl.DataFrame({ROW: rows.to_struct()}).with_columns(pl.lit(HELD_OUT).alias(CASE))
    labels = [answer["prediction"] for answer in answers]
    if bundle.classes:
        probabilities = [answer["probabilities"] for answer in answers]
        frame = frame.with_columns(
            pl.Series(TARGET, labels, pl.Int32),
            pl.Series(LABEL, labels, pl.Int32),
            pl.Series(PROBABILITIES, probabilities, pl.List(pl.Float32)),
        )
    else:
        frame = frame.with_columns(pl.Series(TARGET, labels, pl.Float64), pl.Series(VALUE, labels, pl.Float32))
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def packed_graph(bundle: HandMade) -> bytes:
    """The model as a packed graph: a LabelEncoder for the strings, a matrix product for the numbers."""
    model, inputs, sums, nodes = bundle.model, [], [], []
    constants = {
        "weights": np.array(model.weights, dtype=np.float32),
        "text_weights": np.array([model.text_weights], dtype=np.float32),
        "gap": np.array(model.gap, dtype=np.float32),
        "one": np.array([1], dtype=np.int64),
        "threshold": np.array(bundle.threshold or 0, dtype=np.float32),
    }
    if model.categories:
        texts = {**model.texts, TOKENS.missing: model.missing}
        inputs.append(helper.make_tensor_value_info(CATEGORICAL, TensorProto.STRING, ["N", len(model.categories)]))
        nodes += [
            helper.make_node(
                "LabelEncoder", [CATEGORICAL], ["worths"], domain="ai.onnx.ml",
                keys_strings=list(texts), values_floats=list(texts.values()), default_float=model.unseen,
            ),
            helper.make_node("ReduceSum", ["worths", "one"], ["worth"], keepdims=1),
            helper.make_node("Mul", ["worth", "text_weights"], ["text_sums"]),
        ]  # fmt: skip
        sums.append("text_sums")
    if model.numbers:
        inputs.append(helper.make_tensor_value_info(NUMERIC, TensorProto.FLOAT, ["N", len(model.numbers)]))
        nodes += [
            helper.make_node("IsNaN", [NUMERIC], ["gaps"]),
            helper.make_node("Where", ["gaps", "gap", NUMERIC], ["filled"]),
            helper.make_node("MatMul", ["filled", "weights"], ["number_sums"]),
        ]
        sums.append("number_sums")
    nodes.append(helper.make_node("Sum", sums, ["sums"]))
    nodes += _decide(bundle)
    count = len(bundle.classes)
    outputs = [helper.make_tensor_value_info(VALUE, TensorProto.FLOAT, ["N"])]
    if bundle.classes:
        outputs = [
            helper.make_tensor_value_info(LABEL, TensorProto.INT64, ["N"]),
            helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["N", count]),
        ]
    used = {name for node in nodes for name in node.input}
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items() if name in used]
    graph = helper.make_graph(nodes, bundle.name, inputs, outputs, initializer=initializers)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


def _decide(bundle: HandMade) -> list[onnx.NodeProto]:
    """From the sums to the outputs of the task."""
    if not bundle.classes:
        return [helper.make_node("Squeeze", ["sums", "one"], [VALUE])]
    softmax = helper.make_node("Softmax", ["sums"], [PROBABILITIES], axis=1)
    if bundle.threshold is None:
        return [softmax, helper.make_node("ArgMax", [PROBABILITIES], [LABEL], axis=1, keepdims=0)]
    return [
        softmax,
        helper.make_node("Gather", [PROBABILITIES, "one"], ["positive_column"], axis=1),
        helper.make_node("Squeeze", ["positive_column", "one"], ["positive"]),
        helper.make_node("GreaterOrEqual", ["positive", "threshold"], ["is_positive"]),
        helper.make_node("Cast", ["is_positive"], [LABEL], to=TensorProto.INT64),
    ]
