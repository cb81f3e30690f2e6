"""Writes nodes into the graph that skl2onnx is building, and defines the form of our converters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope, Variable
from skl2onnx.common.data_types import (
    DoubleTensorType,
    Int64TensorType,
    StringTensorType,
    TensorType,
)

ML = "ai.onnx.ml"


@dataclass(frozen=True)
class Context:
    """What converters know about the whole conversion.

    `missing` is the string that stands for a missing value. `sparse`: the model gets sparse matrices in Python.
    """

    missing: str
    sparse: bool = False


class Emitter:
    """Adds nodes and constants under names of their own."""

    def __init__(self, scope: Scope, container: ModelComponentContainer, context: Context) -> None:
        self._scope = scope
        self._container = container
        self.context = context
        self._second: dict[str, str] = {}

    def op(self, kind: str, *inputs: str, domain: str = "", outputs: int = 1, **attributes: Any) -> str:  # noqa: ANN401
        """Add a node, and return the name of its first output."""
        names = [self._scope.get_unique_variable_name(kind.lower()) for _ in range(outputs)]
        name = self._scope.get_unique_operator_name(kind)
        self._container.add_node(kind, list(inputs), names, op_domain=domain, name=name, **attributes)
        if outputs > 1:
            self._second[names[0]] = names[1]
        return str(names[0])

    def second(self, first: str) -> str:
        """The second output of the node whose first output is `first`."""
        return self._second[first]

    def ml(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:  # noqa: ANN401
        """Add a node of the domain `ai.onnx.ml`, and return the name of its first output."""
        return self.op(kind, *inputs, domain=ML, outputs=outputs, **attributes)

    def constant(self, value: np.ndarray) -> str:
        """Add a constant, and return its name."""
        name: str = self._scope.get_unique_variable_name("constant")
        if value.dtype == object:
            texts = [text.encode() for text in value.ravel()]
            self._container.add_initializer(name, TensorProto.STRING, list(value.shape), texts)
        else:
            self._container.add_initializer(name, None, None, numpy_helper.from_array(value, name))
        return name

    def cast(self, name: str, kind: int) -> str:
        """Cast to a TensorProto data type."""
        return self.op("Cast", name, to=kind)

    def columns(self, name: str, indices: Sequence[int]) -> str:
        """Columns of a matrix, in the order of `indices`."""
        return self.op("Gather", name, self.constant(np.array(indices, dtype=np.int64)), axis=1)

    def join(self, names: Sequence[str]) -> str:
        """Matrices of one type, joined side by side."""
        return names[0] if len(names) == 1 else self.op("Concat", *names, axis=1)

    def numbers(self, inputs: Sequence[Variable], kind: int = TensorProto.DOUBLE) -> str:
        """The inputs as one matrix of numbers."""
        return self.cast(self.join([self.cast(variable.full_name, kind) for variable in inputs]), kind)


Emit = Callable[[Emitter, Any, Sequence[Variable]], str]
"""Adds the nodes for a fitted estimator that has these inputs; returns the name of the result [N, columns]."""


@dataclass(frozen=True)
class Converter:
    """How an estimator is converted: `emit` makes a result of `width(estimator, inputs)` columns of type `result`.

    The result of a classifier is its probabilities. `result` is None for what turns strings into strings.
    """

    emit: Emit
    width: Callable[[Any, Sequence[Variable]], int | None]
    result: type[TensorType] | None = DoubleTensorType
    classifier: bool = False

    def shape(self, operator: Operator) -> None:
        """Set the types of the operator's outputs, as skl2onnx asks for them before it converts."""
        columns = self.width(operator.raw_operator, operator.inputs)
        same = StringTensorType if is_text(operator.inputs[0]) else DoubleTensorType
        operator.outputs[-1].type = (self.result or same)([None, columns])
        if self.classifier:
            operator.outputs[0].type = Int64TensorType([None])

    def convert(self, scope: Scope, operator: Operator, container: ModelComponentContainer, context: Context) -> None:
        """Add the nodes. A classifier's final label is made from the probabilities at the end of the graph."""
        emitter = Emitter(scope, container, context)
        result = self.emit(emitter, operator.raw_operator, operator.inputs)
        container.add_node("Identity", [result], [operator.outputs[-1].full_name])
        if self.classifier:
            container.add_node("ArgMax", [result], [operator.outputs[0].full_name], axis=1, keepdims=0)


def width_of(inputs: Sequence[Variable]) -> int:
    """Columns of all inputs together."""
    return sum(int(variable.type.shape[1]) for variable in inputs)


def is_text(variable: Variable) -> bool:
    """Whether it is a string tensor."""
    return isinstance(variable.type, StringTensorType)
