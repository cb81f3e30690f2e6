"""An ONNX graph from elsewhere as a source of a bundle: its inputs and outputs are brought into the bundle's form."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import onnx
import polars as pl
from numpy.typing import NDArray
from onnx import TensorProto, helper

from bundle.graph_names import Task
from bundle.manifest import ClassLabel, Feature
from training.errors import ConversionError
from training.export.graphs import serialize_both
from training.export.interface import Interface, Tensors
from training.export.predictions import Predictions, decided
from training.export.rewrite.graph import Graph
from training.export.rewrite.outputs import finish
from training.export.rewrite.simplify import simplify
from training.package.bundle_it import Source
from training.package.columns import describe, feature_column
from training.package.foreign_graph import (
    INTEGERS,
    ForeignInput,
    Original,
    inputs_of,
    load_graph,
    result_of,
    stored_classes,
)
from training.package.from_pipeline import HALF, tokens_for

MADE_UP_ROWS = 200
ROWS_ALONE = 20


def graph_source(
    name: str, path: Path, rows: pl.DataFrame | None, *, names: Sequence[str], classes: Sequence[str],
    task: str | None, positive: str, threshold: float | None,
) -> tuple[Source, pl.DataFrame]:  # fmt: skip
    """The source, and the rows (made up where none were given) with the features' columns.

    Raises:
        ConversionError: the graph can't be brought into the bundle's form, or the rows don't fit it.
    """
    model = load_graph(path)
    inputs = _sized(inputs_of(model), names or (rows.columns if rows is not None else ()))
    columns = _column_names(inputs, names, rows)
    table = _made_up(inputs, columns) if rows is None else _table(rows, columns)
    features = _features(inputs, table)
    interface = Interface("regression", features, tokens_for(features))
    tensor, classifies = result_of(model)
    original = Original(model, tensor)
    sample = _run(original, inputs, interface, interface.tensors(table))
    _check_rows_alone(sample, lambda i: _run(original, inputs, interface, interface.tensors(table[i])))
    interface = _with_nulls(
        original, inputs, _with_answer(interface, sample, model, classifies, classes, task, positive, threshold), table
    )
    steps = _steps(interface, sample)

    def answer(tensors: Tensors) -> Predictions:
        numbers = _apply(steps, _run(original, inputs, interface, tensors))
        with np.errstate(over="ignore"):
            return decided(interface, numbers.astype(np.float32))

    named = _named(name, model, tensor, inputs, interface, steps)
    return Source(interface, serialize_both(named), answer, [], made_up=rows is None), table


def _check_rows_alone(sample: NDArray[np.float64], alone: Callable[[int], NDArray[np.float64]]) -> None:
    """Check that a batch gives the same answers as its rows one by one.

    Raises:
        ConversionError: a row's answer depends on the rows beside it.
    """
    for i in range(min(ROWS_ALONE, len(sample))):
        if len(sample) > 1 and not np.allclose(alone(i)[0], sample[i], rtol=1e-4, atol=1e-5, equal_nan=True):
            raise ConversionError(
                f"the graph's answer to row {i} depends on the rows beside it (as with dynamic quantisation, whose "
                "scale is that of the whole batch; static quantisation doesn't do that)"
            )


def _sized(inputs: list[ForeignInput], names: Sequence[str]) -> list[ForeignInput]:
    """The inputs with their numbers of columns; one of any width takes those that the others leave."""
    open_ones = [entry for entry in inputs if entry.width is None]
    if not open_ones:
        return inputs
    rest = len(names) - sum(entry.width or 0 for entry in inputs)
    if len(open_ones) > 1 or rest < 1:
        raise ConversionError(
            f"input {open_ones[0].name!r} takes any number of columns; name them with NAMES= or ROWS="
        )
    return [replace(entry, width=rest) if entry.width is None else entry for entry in inputs]


def _column_names(inputs: list[ForeignInput], names: Sequence[str], rows: pl.DataFrame | None) -> list[str]:
    count = sum(entry.width or 0 for entry in inputs)
    if names:
        if len(names) != count or len(set(names)) != count:
            raise ConversionError(f"NAMES has {len(set(names))} different names, and the graph takes {count} columns")
        return list(names)
    own = [
        entry.name if entry.width == 1 else f"{entry.name}_{i}" for entry in inputs for i in range(entry.width or 0)
    ]  # fmt: skip
    if rows is None or set(own) <= set(rows.columns):
        return own
    if len(rows.columns) != count:
        raise ConversionError(
            f"ROWS has {len(rows.columns)} columns beside the target, and the graph takes {count}; NAMES= names those "
            "that it takes, TARGET= the one that it predicts"
        )
    return rows.columns


def _table(rows: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    if missing := [column for column in columns if column not in rows.columns]:
        raise ConversionError(f"ROWS has no column {', '.join(map(repr, missing))}; it has {', '.join(rows.columns)}")
    return pl.DataFrame([feature_column(rows[column]) for column in columns])


def _kinds(inputs: list[ForeignInput]) -> list[int]:
    """The data type of each column."""
    return [entry.kind for entry in inputs for _ in range(entry.width or 0)]


def _made_up(inputs: list[ForeignInput], columns: list[str]) -> pl.DataFrame:
    generator = np.random.default_rng(0)
    made: list[pl.Series] = []
    for column, kind in zip(columns, _kinds(inputs), strict=True):
        if kind == TensorProto.STRING:
            made.append(pl.Series(column, ["a"] * MADE_UP_ROWS))
        elif kind == TensorProto.BOOL:
            made.append(pl.Series(column, generator.random(MADE_UP_ROWS) < 0.5))
        elif kind in INTEGERS:
            made.append(pl.Series(column, np.zeros(MADE_UP_ROWS)))
        else:
            made.append(pl.Series(column, generator.normal(size=MADE_UP_ROWS).astype(np.float32)).cast(pl.Float64))
    return pl.DataFrame(made)


def _features(inputs: list[ForeignInput], table: pl.DataFrame) -> tuple[Feature, ...]:
    features = []
    for column, kind in zip(table.get_columns(), _kinds(inputs), strict=True):
        if (kind == TensorProto.STRING) != (column.dtype == pl.String):
            wanted = "strings" if kind == TensorProto.STRING else "numbers"
            raise ConversionError(f"the graph takes {wanted} for {column.name!r}, and ROWS has {column.dtype}")
        column_of_kind = column.cast(pl.Boolean) if kind == TensorProto.BOOL else column
        feature = describe(column_of_kind, nullable=False)
        if kind == TensorProto.STRING:
            feature = msgspec.structs.replace(feature, open=True, categories=())
        elif kind in INTEGERS:
            feature = msgspec.structs.replace(
                feature, integer=True, example=float(round(cast("float", feature.example)))
            )
        features.append(feature)
    return tuple(features)


def _matrices(inputs: list[ForeignInput], interface: Interface, tensors: Tensors) -> list[NDArray[Any]]:
    columns = interface.columns(tensors)
    names = [feature.name for feature in interface.features]
    matrices, first = [], 0
    for entry in inputs:
        last = first + (entry.width or 0)
        matrices.append(np.column_stack([columns[name] for name in names[first:last]]))
        first = last
    return matrices


def _run(original: Original, inputs: list[ForeignInput], interface: Interface, tensors: Tensors) -> NDArray[np.float64]:
    return original(inputs, _matrices(inputs, interface, tensors))


def _with_answer(
    interface: Interface, sample: NDArray[np.float64], model: onnx.ModelProto, classifies: bool,  # noqa: FBT001
    classes: Sequence[str], task: str | None, positive: str, threshold: float | None,
) -> Interface:  # fmt: skip
    """The interface with its task and classes."""
    width = sample.shape[1]
    stored, given = stored_classes(model), _labels(classes)
    if stored != given and sorted(map(str, stored)) == sorted(map(str, given)):
        raise ConversionError(
            f"CLASSES={','.join(classes)}: the graph has the same labels in another order, "
            f"{','.join(map(str, stored))}; leave CLASSES out"
        )
    labels: list[ClassLabel] = [*(given or stored)]
    classifies = classifies or width > 1 or bool(labels)
    if task == "regression" or (task is None and not classifies):
        if width > 1:
            raise ConversionError(f"TASK=regression, but the graph gives {width} numbers for a row")
        return interface
    count = max(width, 2)
    labels = labels or list(range(count))
    if len(labels) != count:
        raise ConversionError(f"CLASSES has {len(labels)} labels, and the graph gives probabilities of {count} classes")
    found: Task = "binary_classification" if count == 2 else "multiclass_classification"
    if task is not None and task != found:
        raise ConversionError(f"TASK={task}, but the graph gives probabilities of {count} classes")
    if count > 2:
        return replace(interface, task=found, classes=tuple(labels))
    texts = [str(label) for label in labels]
    if positive and positive not in texts:
        raise ConversionError(f"POSITIVE={positive} is none of the classes {', '.join(texts)}")
    chosen = HALF if threshold is None else threshold
    place = texts.index(positive) if positive else 1
    return replace(interface, task=found, classes=tuple(labels), positive=place, threshold=chosen)


def _labels(texts: Sequence[str]) -> list[int] | list[str] | list[bool]:
    if texts and {text.lower() for text in texts} == {"false", "true"}:
        return [text.lower() == "true" for text in texts]
    try:
        return [int(text) for text in texts]
    except ValueError:
        return list(texts)


def _with_nulls(original: Original, inputs: list[ForeignInput], interface: Interface, table: pl.DataFrame) -> Interface:
    """Make those numbers nullable without which the graph still gives an answer."""
    kinds = dict(zip(table.columns, _kinds(inputs), strict=True))
    features = []
    for feature in interface.features:
        takes = False
        if kinds[feature.name] in (TensorProto.FLOAT, TensorProto.DOUBLE):
            probe = table.head(3).with_columns(pl.lit(None, dtype=pl.Float64).alias(feature.name))
            takes = bool(np.isfinite(_run(original, inputs, interface, interface.tensors(probe))).all())
        if table[feature.name].null_count() and not takes:
            raise ConversionError(
                f"column {feature.name!r} of ROWS has missing values, for which the graph has no answer"
            )
        features.append(msgspec.structs.replace(feature, nullable=takes))
    return replace(interface, features=tuple(features))


def _steps(interface: Interface, sample: NDArray[np.float64]) -> list[str]:
    """The steps that turn the graph's numbers into probabilities; none if they are probabilities already."""
    if interface.task == "regression":
        return []
    inside = bool(((sample >= 0) & (sample <= 1)).all())
    if sample.shape[1] == 1:
        return ["pair"] if inside else ["sigmoid", "pair"]
    return [] if inside and np.allclose(sample.sum(axis=1), 1, atol=1e-4) else ["softmax"]


def _apply(steps: list[str], numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    for step in steps:
        if step == "sigmoid":
            numbers = 1 / (1 + np.exp(-numbers))
        elif step == "pair":
            numbers = np.column_stack([1 - numbers, numbers])
        else:
            with np.errstate(invalid="ignore"):  # overflow gives NaN, and such rows are left out
                powers = np.exp(numbers - numbers.max(axis=1, keepdims=True))
                numbers = powers / powers.sum(axis=1, keepdims=True)
    return numbers


def _named(
    name: str, model: onnx.ModelProto, tensor: str, inputs: list[ForeignInput], interface: Interface, steps: list[str]
) -> onnx.ModelProto:
    """The graph with an input per feature and the bundle's outputs."""
    graph = Graph.read(model)
    graph.ml_opset = graph.domains.get("ai.onnx.ml", graph.ml_opset)
    graph.opset = max(graph.opset, graph.domains.get("", graph.opset))
    aside = {value.name: graph.set_aside(value.name) for value in graph.inputs}
    graph.inputs = []
    entries = interface.inputs
    for entry in entries:
        kind = TensorProto.STRING if entry.text else TensorProto.FLOAT
        graph.add_input(helper.make_tensor_value_info(entry.graph_input, kind, ["N", 1]))
    first = 0
    for source in inputs:
        last = first + (source.width or 0)
        kind = TensorProto.STRING if source.kind == TensorProto.STRING else TensorProto.FLOAT
        columns = [entry.graph_input for entry in entries[first:last]]
        joined = graph.add("Concat", columns, kind, shape=(None, last - first), axis=1)
        typed = graph.add("Cast", [joined], source.kind, shape=(None, last - first), to=source.kind)
        if source.vector:
            typed = graph.add("Reshape", [typed, graph.constant(np.array([-1], dtype=np.int64))], source.kind)
        graph.replace(aside[source.name], typed)
        first = last
    result = _numbers(graph, graph.outputs.get(tensor, tensor), steps)
    outputs = finish(graph, result, interface.decision)
    simplify(graph)
    return graph.model(name, outputs)


def _numbers(graph: Graph, tensor: str, steps: list[str]) -> str:
    """The steps of `_apply` as nodes, in double precision if there are any."""
    if not steps:
        return tensor
    double = TensorProto.DOUBLE
    result = graph.add("Cast", [tensor], double, to=double)
    for step in steps:
        if step == "sigmoid":
            result = graph.add("Sigmoid", [result], double)
        elif step == "softmax":
            result = graph.add("Softmax", [result], double, axis=1)
        else:
            flat = graph.add("Reshape", [result, graph.constant(np.array([-1, 1], dtype=np.int64))], double)
            other = graph.add("Sub", [graph.constant(np.array(1.0)), flat], double)
            result = graph.add("Concat", [other, flat], double, axis=1)
    return result
