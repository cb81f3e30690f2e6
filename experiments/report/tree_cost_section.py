"""Where large batches of tree ensembles spend their time."""

from pathlib import Path

from experiments.report.files import decode
from experiments.report.report_charts import lines
from experiments.report.section import Picture, Section, Table, machine_facts
from experiments.study.tree_costs_results import Cost, TreeCosts


def tree_cost_section(folder: Path) -> Section:
    """The section of `study/tree_costs.json`. Raises ReportError if it's broken."""
    result = decode(folder / "study/tree_costs.json", TreeCosts)
    return Section(
        created=result.created,
        facts={
            "command": result.command,
            "data": f"{result.dataset}, source {result.data_source}",
            "protocol": "one thread, the lowest of the rounds; the trees alone unless said otherwise",
            **machine_facts(result.machine),
            "meanwhile": f"other processes kept {result.others_cpus:.1f} CPUs busy",
        },
        key_figures=_key_figures(result),
        pictures=(_picture(result),) if result.batches else (),
        tables=(_shapes(result), _batches(result), _share(result)),
    )


def _ensemble(result: TreeCosts) -> str:
    return f"{result.trees} trees of depth {result.depth}"


def _key_figures(result: TreeCosts) -> tuple[str, ...]:
    if not result.batches:
        return (f"{len(result.shapes)} ensembles",)
    largest = max(result.batches, key=lambda batch: batch.rows)
    cost = largest.changing
    return (
        f"{_ensemble(result)}, {largest.rows:,} rows a call, ns per row and tree: XGBoost {cost.xgboost:.1f}, "
        f"ONNX {cost.onnx:.1f}",
    )


def _picture(result: TreeCosts) -> Picture:
    title = f"Cost by batch size, {_ensemble(result)}"
    rows = [batch.rows for batch in result.batches]
    series = {
        "XGBoost": [batch.changing.xgboost for batch in result.batches],
        "XGBoost, the same batch": [batch.same.xgboost for batch in result.batches],
        "ONNX Runtime": [batch.changing.onnx for batch in result.batches],
        "ONNX Runtime, the same batch": [batch.same.onnx for batch in result.batches],
    }
    return Picture(title, lines(title, rows, series, ("rows a call", "ns per row and tree")))


def _shapes(result: TreeCosts) -> Table:
    heads = ("trees", "depth", "nodes", "rows a call", "rows as they come: XGBoost", "ONNX",
             "sorted by leaf: XGBoost", "ONNX", "one row repeated: XGBoost", "ONNX")  # fmt: skip
    rows = tuple(
        (str(shape.trees), str(shape.depth), f"{shape.nodes:,}", f"{shape.rows:,}", *_cost(shape.as_they_come),
         *_cost(shape.sorted_by_leaf), *_cost(shape.one_row_repeated))
        for shape in result.shapes
    )  # fmt: skip
    return Table("ns per row and tree, by ensemble", heads, rows)


def _batches(result: TreeCosts) -> Table:
    heads = ("rows a call", "another batch at every call: XGBoost", "ONNX", "the same batch: XGBoost", "ONNX")
    rows = tuple((f"{batch.rows:,}", *_cost(batch.changing), *_cost(batch.same)) for batch in result.batches)
    return Table(f"ns per row and tree by batch size, {_ensemble(result)}", heads, rows)


def _share(result: TreeCosts) -> Table:
    share = result.share
    rows = (
        ("native", f"{share.native_preprocessing:.2f}", f"{share.native_trees:.2f}"),
        ("ONNX Runtime", f"{share.onnx_preprocessing:.2f}", f"{share.onnx_trees:.2f}"),
    )
    heads = ("", "preprocessing", "trees")
    return Table(f"The whole pipeline, µs per row at {share.rows:,} rows a call", heads, rows)


def _cost(cost: Cost) -> tuple[str, str]:
    return f"{cost.xgboost:,.1f}", f"{cost.onnx:,.1f}"
