"""What a model takes and gives, in the manifest's terms, and rows in the form in which services pass them on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from bundle.graph_names import CATEGORICAL, LABEL, PROBABILITIES, VALUE, Task
from bundle.manifest import CATEGORICAL_KINDS, ClassLabel, Feature, Frame, Tokens
from training.export.named_graph import Input
from training.export.rewrite.outputs import Decision

OUTPUTS = {LABEL, PROBABILITIES, VALUE}


def _with_graph_inputs(features: tuple[Feature, ...]) -> tuple[Feature, ...]:
    """The features; those that are named like an output of a graph get a graph input of another name."""
    taken = {feature.name for feature in features} | OUTPUTS
    named = []
    for feature in features:
        graph_input = f"{feature.name}_" if feature.name in OUTPUTS else ""
        while graph_input and graph_input in taken:
            graph_input += "_"
        taken.add(graph_input)
        named.append(msgspec.structs.replace(feature, graph_input=graph_input))
    return tuple(named)


class Tensors(NamedTuple):
    """Rows as tensors, as the services make them: strings [N, C] without null, and float32 [N, M] with NaN; float64 to
    ask a model about unrounded numbers.
    """

    categorical: NDArray[np.object_]
    numeric: NDArray[np.floating[Any]]

    def at(self, rows: Sequence[int] | slice) -> "Tensors":
        """The tensors of some of the rows."""
        return Tensors(self.categorical[rows], self.numeric[rows])


@dataclass(frozen=True)
class Interface:
    """The parts of a manifest that say what goes in and what comes out; `positive` is the index of a binary
    classifier's positive class, and `threshold` what P(positive) must reach (None: the most probable class).
    """

    task: Task
    features: tuple[Feature, ...]
    tokens: Tokens
    classes: tuple[ClassLabel, ...] = ()
    positive: int = 1
    threshold: float | None = None
    frame: Frame = "polars"
    categorical: tuple[Feature, ...] = field(init=False)
    numeric: tuple[Feature, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Name the inputs of the named graph, and sort the features by the tensor that they are in."""
        object.__setattr__(self, "features", _with_graph_inputs(self.features))
        texts = tuple(feature for feature in self.features if feature.kind in CATEGORICAL_KINDS)
        object.__setattr__(self, "categorical", texts)
        object.__setattr__(self, "numeric", tuple(feature for feature in self.features if feature not in texts))

    @property
    def inputs(self) -> list[Input]:
        """The inputs of the named graph."""
        return [Input(f.name, f.graph_input or f.name, f.kind in CATEGORICAL_KINDS) for f in self.features]

    @property
    def decision(self) -> Decision:
        """What the graphs' outputs are."""
        return Decision(len(self.classes), self.positive, self.threshold)

    def tensors(self, rows: pl.DataFrame, precision: type[np.floating[Any]] = np.float32) -> Tensors:
        """The features' columns: Float64 or Boolean or Date, and String; null is missing."""
        texts = [self._texts(feature, rows[feature.name]) for feature in self.categorical]
        numbers = [as_numbers(rows[feature.name], precision) for feature in self.numeric]
        return Tensors(_matrix(texts, rows.height, object), _matrix(numbers, rows.height, precision))

    def _texts(self, feature: Feature, column: pl.Series) -> NDArray[np.object_]:
        known = {*feature.categories, *feature.rare}
        values = column.to_list()
        if not feature.open:
            values = [value if value is None or value in known else self.tokens.unseen for value in values]
        return np.array([self.tokens.missing if value is None else value for value in values], dtype=object)

    def feeds(self, tensors: Tensors, inputs: Sequence[str]) -> dict[str, NDArray[np.object_] | NDArray[np.float32]]:
        """The tensors by the names of a packed or a named graph's inputs."""
        if list(inputs) != [entry.graph_input for entry in self.inputs]:
            return {name: tensors.categorical if name == CATEGORICAL else tensors.numeric for name in inputs}
        columns = self.columns(tensors)
        return {entry.graph_input: columns[entry.name].reshape(-1, 1) for entry in self.inputs}

    def columns(self, tensors: Tensors) -> dict[str, NDArray[np.object_] | NDArray[np.float32]]:
        """Feature name to its column [N] of the tensors."""
        groups = ((self.categorical, tensors.categorical), (self.numeric, tensors.numeric))
        return {feature.name: matrix[:, place] for group, matrix in groups for place, feature in enumerate(group)}


def as_numbers(column: pl.Series, precision: type[np.floating[Any]] = np.float32) -> NDArray[Any]:
    """A column of numbers, booleans (0 and 1) or dates (days since 1970-01-01) as floats; NaN is missing."""
    if column.dtype == pl.Date:
        column = column.to_physical()
    numbers: NDArray[Any] = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    with np.errstate(over="ignore"):  # a value beyond float32 becomes infinite, as in a service
        return numbers.astype(precision)


def _matrix(columns: Sequence[NDArray[Any]], rows: int, kind: type) -> NDArray[Any]:
    if not columns:
        return np.empty((rows, 0), dtype=kind)
    return np.ascontiguousarray(np.column_stack(columns).astype(kind))
