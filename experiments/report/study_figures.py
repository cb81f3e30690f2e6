"""What the sentences of docs/study.md quote: family by family, ensemble by ensemble, setting by setting."""

import math
import re
import statistics
from collections.abc import Iterator

from experiments.report.markers import Figure, ratio
from experiments.report.numbers import percent, rounded, whole
from experiments.report.recorded_results import Results
from experiments.study.results import Cell, title
from experiments.study.tree_costs_results import ShapeCost

LEFT_OUT = Figure(math.nan, "(not measured)")


def study_figures(results: Results) -> Iterator[tuple[str, Figure]]:
    """Times on one thread; tree costs in ns per row and tree; session options in µs per call."""
    yield from _families(results)
    yield from _trees(results)
    yield from _settings(results)
    yield from _quantized(results)


def slug(text: str) -> str:
    """A name as figures are called: `XGBoost (trees=300, depth=5)` is `xgboost-300-5`."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\w+=", "", text).lower()).strip("-")


def _families(results: Results) -> Iterator[tuple[str, Figure]]:
    cells = [cell for cell in results.study.cells if cell.threads == 1]
    for cell in cells:
        name = f"study.{slug(title(cell))}.{cell.rows}"
        if cell.speedup is None:
            yield from ((f"{name}.{what}", LEFT_OUT) for what in ("speedup", "native-us-per-row"))
            continue
        yield f"{name}.speedup", ratio(cell.speedup)
        yield f"{name}.native-us-per-row", _rounded((cell.native_us or 0) / cell.rows)
    for rows in results.study.protocol.batch_rows:
        speedups = [cell.speedup for cell in cells if cell.rows == rows and cell.family == "XGBoost" and cell.speedup]
        if speedups:
            yield f"study.xgboost.{rows}.speedup", ratio(statistics.median(speedups))
        yield from _extremes([cell for cell in cells if cell.rows == rows and cell.speedup], f"study.all.{rows}")


def _extremes(cells: list[Cell], name: str) -> Iterator[tuple[str, Figure]]:
    for what, values in (
        ("native-ms", [(cell.native_us or 0) / 1000 for cell in cells]),
        ("onnx-us", [cell.onnx_us or 0 for cell in cells]),
        ("speedup", [cell.speedup or 0 for cell in cells]),
    ):
        if values:
            yield f"{name}.{what}.least", _rounded(min(values))
            yield f"{name}.{what}.most", _rounded(max(values))


def _trees(results: Results) -> Iterator[tuple[str, Figure]]:
    costs, share = results.tree_costs, results.tree_costs.share
    for shape in costs.shapes:
        name = f"trees.{shape.trees}x{shape.depth}"
        orders = {
            "as-they-come": shape.as_they_come,
            "sorted": shape.sorted_by_leaf,
            "repeated": shape.one_row_repeated,
        }
        for order, cost in orders.items():
            yield f"{name}.{order}.xgboost", Figure(cost.xgboost, f"{cost.xgboost:.1f}")
            yield f"{name}.{order}.onnx", Figure(cost.onnx, f"{cost.onnx:.1f}")
        yield f"{name}.nodes", whole(shape.nodes)
    yield from _deeper({shape.depth: shape for shape in costs.shapes if shape.trees == costs.trees})
    for batch in costs.batches:
        for kind, cost in (("changing", batch.changing), ("same", batch.same)):
            name = f"trees.{batch.rows}-rows.{kind}"
            yield f"{name}.xgboost", whole(cost.xgboost)
            yield f"{name}.onnx", whole(cost.onnx)
            yield f"{name}.onnx-us-a-call", whole(cost.onnx * batch.rows * costs.trees / 1000)
            yield f"{name}.xgboost-us-a-call", whole(cost.xgboost * batch.rows * costs.trees / 1000)
    yield "trees.preprocessing-us", Figure(share.onnx_preprocessing, f"{share.onnx_preprocessing:.1f}")
    both = share.onnx_preprocessing + share.onnx_trees
    yield "trees.whole-us", Figure(both, f"{both:.1f}")


def _deeper(by_depth: dict[int, ShapeCost]) -> Iterator[tuple[str, Figure]]:
    """What four levels below the sixth add."""
    if {6, 10} <= by_depth.keys():
        shallow, deep = by_depth[6].one_row_repeated, by_depth[10].one_row_repeated
        yield "trees.from-depth-6-to-10.repeated.xgboost", whole(deep.xgboost - shallow.xgboost)
        yield "trees.from-depth-6-to-10.repeated.onnx", whole(deep.onnx - shallow.onnx)


def _settings(results: Results) -> Iterator[tuple[str, Figure]]:
    for setting in results.session_options.settings:
        name = f"session.{slug(setting.name)}"
        yield f"{name}.load-ms", Figure(setting.load_ms, f"{setting.load_ms:.1f}")
        for rows, latency in setting.latency.items():
            yield f"{name}.{rows}.us", _rounded(latency.us)
            yield f"{name}.{rows}.ratio", ratio(latency.ratio)
    for rows, share in results.session_options.noise.items():
        yield f"session.noise.{rows}", percent(share)
    changes = [s for s in results.session_options.settings if any("less" in one.verdict for one in s.latency.values())]
    yield "session.faster", whole(len(changes))


def _quantized(results: Results) -> Iterator[tuple[str, Figure]]:
    for found in results.session_options.quantization:
        name = f"quantised.{slug(found.graph)}.{slug(found.way)}"
        yield f"{name}.f2", Figure(found.f2, f"{found.f2:.3f}")
        yield f"{name}.kb", whole(found.bytes / 1e3)
        yield f"{name}.labels", whole(found.skew.different_labels)
        share = found.skew.different_labels / found.skew.rows
        yield f"{name}.labels-share", percent(share)
        for rows, latency in found.latency.items():
            yield f"{name}.{rows}.ratio", ratio(latency.ratio)
        yield f"{name}.rows", whole(found.skew.rows)


def _rounded(value: float) -> Figure:
    return Figure(value, rounded(value) if value >= 10 else f"{value:.2g}")
