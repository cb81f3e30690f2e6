"""A fitted estimator as an ONNX graph with an input per feature: what skl2onnx makes of it, in the bundle's form."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import onnx
from onnx import TensorProto, helper
from skl2onnx import convert_sklearn
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.data_types import DoubleTensorType, StringTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from training.errors import ConversionError
from training.export.converters.emitter import Context
from training.export.converters.parsers import parsers
from training.export.converters.registry import converters
from training.export.estimators import gives_sparse, leaves_of, steps_of
from training.export.rewrite.graph import ML_OPSET, OPSET, Graph
from training.export.rewrite.outputs import Decision, finish
from training.export.rewrite.simplify import simplify


@dataclass(frozen=True)
class Input:
    """A feature as the graph sees it: the column's name, that of the graph's input, and whether it is a string."""

    name: str
    graph_input: str
    text: bool


def named_graph(
    name: str,
    estimator: Any,  # noqa: ANN401 - any estimator
    inputs: Sequence[Input],
    decision: Decision,
    *,
    missing: str,
) -> onnx.ModelProto:
    """The estimator as a checked ONNX model: inputs [N, 1], string or float32; outputs as `decision` wants them.

    `missing` is the string that stands for a missing value.

    Raises:
        ConversionError: the estimator, or a step inside it, can't be converted. The message names it.
    """
    joined = not _needs_columns(estimator) and len({entry.text for entry in inputs}) == 1
    model = _convert(estimator, _initial_types(inputs, joined=joined), Context(missing, gives_sparse(estimator)))
    graph = Graph.read(model)
    _feed(graph, inputs, joined=joined)
    result = list(graph.outputs.values())[-1]
    outputs = finish(graph, result, decision)
    simplify(graph)
    return graph.model(name, outputs)


def unknown_steps(estimator: Any) -> list[str]:  # noqa: ANN401 - any estimator
    """A sentence for every step of a kind that has no converter, neither here nor in skl2onnx."""
    known = {*converters(), *parsers(), *sklearn_operator_name_map}
    return [
        f"{type(step).__name__} (step {name!r}) has no ONNX converter here"
        for name, step in leaves_of(estimator)
        if type(step) not in known
    ]


def _initial_types(inputs: Sequence[Input], *, joined: bool) -> list[tuple[str, Any]]:
    """The inputs as skl2onnx declares them. Numbers are doubles inside the graph, as they are in scikit-learn."""
    kinds = [StringTensorType if entry.text else DoubleTensorType for entry in inputs]
    if joined:
        return [("features", kinds[0]([None, len(inputs)]))]
    return [(entry.name, kind([None, 1])) for entry, kind in zip(inputs, kinds, strict=True)]


def _needs_columns(estimator: Any) -> bool:  # noqa: ANN401 - any estimator
    """Whether the first step takes columns one by one; others get one matrix, which every converter can take."""
    first = steps_of(estimator)[0][1]
    if isinstance(first, FeatureUnion):
        return any(_needs_columns(part) for _, part in first.transformer_list)
    own = getattr(first, "_preprocessor", None)
    return isinstance(first, (ColumnTransformer, OneHotEncoder, OrdinalEncoder, TargetEncoder)) or own is not None


def _convert(estimator: Any, initial_types: list[tuple[str, Any]], context: Context) -> onnx.ModelProto:  # noqa: ANN401
    """skl2onnx's conversion, with the converters of this package.

    Raises:
        ConversionError: as above.
    """
    table = converters()
    own = {kind: partial(_call, converter.convert, context) for kind, converter in table.items()}
    shapes = {kind: converter.shape for kind, converter in table.items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about versions that it wasn't tested with; the gate tests the result
            return convert_sklearn(
                estimator, initial_types=initial_types, target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
                custom_conversion_functions=own, custom_shape_calculators=shapes, custom_parsers=parsers(),
            )  # fmt: skip
    except NotImplementedError as error:
        last = type(steps_of(estimator)[-1][1]).__name__
        named = "has no ONNX converter here" in str(error)
        raise ConversionError(str(error) if named else f"{last} has no ONNX converter here: {error}") from error
    except (MissingConverter, MissingShapeCalculator) as error:
        raise ConversionError(f"{type(estimator).__name__}: a step has no ONNX converter here: {error}") from error
    except Exception as error:
        detail = str(error).strip().splitlines()
        raise ConversionError(
            f"{type(estimator).__name__} can't be converted: {type(error).__name__}: {detail[0] if detail else ''}"
        ) from error


def _call(convert: Any, context: Context, scope: Any, operator: Any, container: Any) -> None:  # noqa: ANN401
    convert(scope, operator, container, context)


def _feed(graph: Graph, inputs: Sequence[Input], *, joined: bool) -> None:
    """Give the graph its inputs: float32 and string [N, 1] under the features' names, cast to what it computes with."""
    converted = [graph.set_aside(value.name) for value in graph.inputs]
    graph.inputs = []
    columns = []
    for entry in inputs:
        kind = TensorProto.STRING if entry.text else TensorProto.FLOAT
        graph.add_input(helper.make_tensor_value_info(entry.graph_input, kind, ["N", 1]))
        double = TensorProto.DOUBLE
        columns.append(
            entry.graph_input
            if entry.text
            else graph.add("Cast", [entry.graph_input], double, shape=(None, 1), to=double)
        )
    if joined:
        kind = TensorProto.STRING if inputs[0].text else TensorProto.DOUBLE
        columns = [graph.add("Concat", columns, kind, shape=(None, len(inputs)), axis=1)]
    for old, new in zip(converted, columns, strict=True):
        graph.replace(old, new)
