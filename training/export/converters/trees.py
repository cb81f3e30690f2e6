"""Trees of any library as the attributes of ONNX's tree ensemble operators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from training.export.converters.emitter import Emitter

LEAF, AT_MOST, LESS, EQUAL = "LEAF", "BRANCH_LEQ", "BRANCH_LT", "BRANCH_EQ"


@dataclass
class Trees:
    """Nodes and leaf weights of an ensemble in the making; every list has an entry per node, or per leaf weight."""

    treeids: list[int] = field(default_factory=list)
    nodeids: list[int] = field(default_factory=list)
    featureids: list[int] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    truenodeids: list[int] = field(default_factory=list)
    falsenodeids: list[int] = field(default_factory=list)
    missing_value_tracks_true: list[int] = field(default_factory=list)
    leaf_treeids: list[int] = field(default_factory=list)
    leaf_nodeids: list[int] = field(default_factory=list)
    leaf_targets: list[int] = field(default_factory=list)
    leaf_weights: list[float] = field(default_factory=list)

    def split(
        self, tree: int, node: int, *, feature: int, mode: str, value: float, true: int, false: int, missing: bool
    ) -> None:
        """A node that goes to `true` if the comparison of the feature with the value holds, else to `false`.

        `missing` says whether NaN goes to `true`.
        """
        self._node(tree, node, feature, mode, value, true, false, missing=missing)

    def member(
        self, tree: int, nodes: Sequence[int], *, feature: int, values: Sequence[float], true: int, false: int
    ) -> None:
        """A chain of nodes that goes to `true` where the feature is one of the values; NaN goes to `false`.

        `nodes` are as many node numbers as there are values; the first one is where the chain begins.
        """
        for i, value in enumerate(values):
            following = nodes[i + 1] if i + 1 < len(values) else false
            self._node(tree, nodes[i], feature, EQUAL, value, true, following, missing=False)

    def leaf(self, tree: int, node: int, weights: Mapping[int, float]) -> None:
        """A leaf; `weights` maps each target to what the leaf adds to it."""
        self._node(tree, node, 0, LEAF, 0.0, 0, 0, missing=False)
        self.leaf_treeids += [tree] * len(weights)
        self.leaf_nodeids += [node] * len(weights)
        self.leaf_targets += list(weights)
        self.leaf_weights += list(weights.values())

    def _node(
        self, tree: int, node: int, feature: int, mode: str, value: float, true: int, false: int, *, missing: bool
    ) -> None:
        self.treeids.append(tree)
        self.nodeids.append(node)
        self.featureids.append(feature)
        self.modes.append(mode)
        self.values.append(value)
        self.truenodeids.append(true)
        self.falsenodeids.append(false)
        self.missing_value_tracks_true.append(int(missing))

    def attributes(self) -> dict[str, Any]:
        """What both operators have in common, except the comparison values."""
        return {
            "nodes_treeids": self.treeids,
            "nodes_nodeids": self.nodeids,
            "nodes_featureids": self.featureids,
            "nodes_modes": self.modes,
            "nodes_truenodeids": self.truenodeids,
            "nodes_falsenodeids": self.falsenodeids,
            "nodes_missing_value_tracks_true": self.missing_value_tracks_true,
        }


def emit_sums(emitter: Emitter, trees: Trees, matrix: str, targets: int, start: NDArray[np.float64]) -> str:
    """Sums of the leaves that the rows of a double `matrix` reach, plus `start` [targets], as double [N, targets].

    Compared and added in double precision; only the sums pass through float32, which is what the operator gives.
    """
    return emitter.ml(
        "TreeEnsembleRegressor", matrix, n_targets=targets, post_transform="NONE", aggregate_function="SUM",
        nodes_values_as_tensor=numpy_helper.from_array(np.array(trees.values, dtype=np.float64)),
        base_values_as_tensor=numpy_helper.from_array(np.asarray(start, dtype=np.float64).reshape(targets)),
        target_weights_as_tensor=numpy_helper.from_array(np.array(trees.leaf_weights, dtype=np.float64)),
        target_treeids=trees.leaf_treeids, target_nodeids=trees.leaf_nodeids, target_ids=trees.leaf_targets,
        **trees.attributes(),
    )  # fmt: skip
