"""The result of `make tree-costs`, and its report."""

from datetime import datetime

import msgspec

from bundle.machine import Machine


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """ns per row and tree, the lowest of the rounds."""

    xgboost: float
    onnx: float


class ShapeCost(msgspec.Struct, frozen=True, kw_only=True):
    """An ensemble of so many trees on `rows` rows: as they come, sorted by their leaves, and one of them repeated."""

    trees: int
    depth: int
    nodes: int
    rows: int
    as_they_come: Cost
    sorted_by_leaf: Cost
    one_row_repeated: Cost


class BatchCost(msgspec.Struct, frozen=True, kw_only=True):
    """So many rows per call: another batch at every call, and the same batch again and again."""

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


class TreeCosts(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `batches` and `share` are of the ensemble `trees` x `depth`."""

    dataset: str
    data_source: str
    created: datetime
    command: str
    machine: Machine
    others_cpus: float
    trees: int
    depth: int
    shapes: tuple[ShapeCost, ...]
    batches: tuple[BatchCost, ...]
    share: Share


def render(result: TreeCosts) -> str:
    """The result as Markdown."""
    lines = [
        "# Where large batches of tree ensembles spend their time",
        "",
        f"Measured {result.created:%Y-%m-%d %H:%M} UTC by `{result.command}` on {result.dataset}, source "
        f"**{result.data_source}**. One thread, the trees alone unless said otherwise; the lowest of the rounds, "
        "which is the least disturbed one.",
        f"Machine: {result.machine}. Other processes kept {result.others_cpus:.1f} CPUs busy meanwhile.",
        "",
        f"## ns per row and tree, {result.shapes[0].rows:,} rows a call",
        "",
        *shapes_table(result),
        "",
        f"## ns per row and tree by batch size, {result.trees} trees of depth {result.depth}",
        "",
        "| rows a call | another batch at every call: XGBoost | ONNX | the same batch: XGBoost | ONNX |",
        "|---:|---:|---:|---:|---:|",
        *(f"| {batch.rows:,} | {_cost(batch.changing)} | {_cost(batch.same)} |" for batch in result.batches),
        "",
        f"## The whole pipeline, µs per row at {result.share.rows:,} rows a call",
        "",
        "| | preprocessing | trees |",
        "|---|---:|---:|",
        f"| native | {result.share.native_preprocessing:.2f} | {result.share.native_trees:.2f} |",
        f"| ONNX Runtime | {result.share.onnx_preprocessing:.2f} | {result.share.onnx_trees:.2f} |",
    ]
    return "\n".join([*lines, ""])


def shapes_table(result: TreeCosts) -> list[str]:
    """A line per ensemble: its rows in three orders."""
    return [
        "| trees | depth | nodes | rows as they come: XGBoost | ONNX | sorted by leaf: XGBoost | ONNX "
        "| one row repeated: XGBoost | ONNX |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *map(_shape, result.shapes),
    ]


def _shape(shape: ShapeCost) -> str:
    costs = (_cost(cost) for cost in (shape.as_they_come, shape.sorted_by_leaf, shape.one_row_repeated))
    return f"| {shape.trees} | {shape.depth} | {shape.nodes:,} | {' | '.join(costs)} |"


def _cost(cost: Cost) -> str:
    return f"{cost.xgboost:,.1f} | {cost.onnx:,.1f}"
