"""The result of `make tree-costs`, and its tables."""

from typing import ClassVar

import msgspec

from bundle.table import Table
from experiments.study.machine import ResultBesideOthers


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """ns per row and tree, the lowest of the rounds."""

    xgboost: float
    onnx: float


class ShapeCost(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of an ensemble on `rows` rows: as they come, sorted by their leaves, and one of them repeated."""

    trees: int
    depth: int
    nodes: int
    rows: int
    as_they_come: Cost
    sorted_by_leaf: Cost
    one_row_repeated: Cost


class BatchCost(msgspec.Struct, frozen=True, kw_only=True):
    """The cost with `rows` rows per call: another batch at every call, and the same batch again and again."""

    rows: int
    changing: Cost
    same: Cost


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """µs per row of the whole pipeline on a large batch: the preprocessing and the trees, native and in the graph."""

    rows: int
    native_preprocessing: float
    native_trees: float
    onnx_preprocessing: float
    onnx_trees: float


class TreeCosts(ResultBesideOthers, frozen=True, kw_only=True):
    """The whole result. `batches` and `share` were measured on the ensemble of `trees` trees of depth `depth`."""

    title: ClassVar = "Tree costs"
    file: ClassVar = "study/tree_costs.json"
    made_by: ClassVar = "make tree-costs"

    dataset: str
    data_source: str
    trees: int
    depth: int
    shapes: tuple[ShapeCost, ...]
    batches: tuple[BatchCost, ...]
    share: Share

    @property
    def ensemble(self) -> str:
        """The ensemble of `batches` and `share`."""
        return f"{self.trees} trees of depth {self.depth}"

    def facts(self) -> dict[str, str]:
        """Data, protocol, and what else the machine did."""
        return {
            "data": f"{self.dataset}, source {self.data_source}",
            "protocol": "one thread, the lowest of the rounds, which is the least disturbed one; the trees alone "
            "unless said otherwise",
        } | super().facts()

    def key_figures(self) -> tuple[str, ...]:
        """The largest batch."""
        if not self.batches:
            return (f"{len(self.shapes)} ensembles",)
        largest = max(self.batches, key=lambda batch: batch.rows)
        return (
            f"{self.ensemble}, {largest.rows:,} rows a call, ns per row and tree: XGBoost "
            f"{largest.changing.xgboost:.1f}, ONNX {largest.changing.onnx:.1f}",
        )

    def tables(self) -> tuple[Table, ...]:
        """The cost by ensemble and by batch size, and the share of the preprocessing."""
        return (self._shapes(), self._batches(), self._share())

    def _shapes(self) -> Table:
        heads = ("trees", "depth", "nodes", "rows a call", "rows as they come: XGBoost", "ONNX",
                 "sorted by leaf: XGBoost", "ONNX", "one row repeated: XGBoost", "ONNX")  # fmt: skip
        rows = tuple(
            (str(shape.trees), str(shape.depth), f"{shape.nodes:,}", f"{shape.rows:,}", *_cost(shape.as_they_come),
             *_cost(shape.sorted_by_leaf), *_cost(shape.one_row_repeated))
            for shape in self.shapes
        )  # fmt: skip
        return Table("ns per row and tree, by ensemble", heads, rows, frozenset())

    def _batches(self) -> Table:
        heads = ("rows a call", "another batch at every call: XGBoost", "ONNX", "the same batch: XGBoost", "ONNX")
        rows = tuple((f"{batch.rows:,}", *_cost(batch.changing), *_cost(batch.same)) for batch in self.batches)
        return Table(f"ns per row and tree by batch size, {self.ensemble}", heads, rows, frozenset())

    def _share(self) -> Table:
        share = self.share
        rows = (
            ("native", f"{share.native_preprocessing:.2f}", f"{share.native_trees:.2f}"),
            ("ONNX Runtime", f"{share.onnx_preprocessing:.2f}", f"{share.onnx_trees:.2f}"),
        )
        heads = ("", "preprocessing", "trees")
        return Table(f"The whole pipeline, µs per row at {share.rows:,} rows a call", heads, rows)


def _cost(cost: Cost) -> tuple[str, str]:
    return f"{cost.xgboost:,.1f}", f"{cost.onnx:,.1f}"
