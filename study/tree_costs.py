"""`make tree-costs`: why ONNX Runtime is no faster than XGBoost on large batches.

The trees alone, on one thread, on a matrix that is preprocessed already: ns per row and tree in XGBoost and in ONNX
Runtime. Over trees and depth; on rows in three orders, which leave the processor's branch prediction more or less to
guess; over the batch size, with a batch that changes from call to call and with the same one again and again. And how
much of a call the preprocessing is. Exit status: 0 measured, 1 no result because of an error, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import cycle

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto
from sklearn.pipeline import Pipeline
from tqdm import tqdm
from xgboost import Booster, DMatrix, XGBClassifier

from bundle.manifest import utc_now
from study.comparison import fit
from study.contestants import Batch, product_options
from study.conversion import export_pipeline
from study.families import ESTIMATOR, PREPROCESSING, xgboost
from study.machine import OthersClock, describe_machine
from study.options import add_data_arguments, command_line, find_dataset, load, write_files
from study.placement import profile_nodes
from study.settings import CPU
from study.timing import Budget, measure
from study.tree_costs_results import BatchCost, Cost, ShapeCost, Share, TreeCosts, render
from training.errors import TrainingError
from training.export import add_trees, decide, serialize
from training.features import fill_missing
from training.graph import FEATURES, Graph, declare
from training.rows import PreparedRows

Matrix = NDArray[np.float32]

SHAPES = ((100, 5), (300, 3), (300, 5), (300, 6), (300, 8), (300, 10), (1000, 5))
USUAL = (300, 5)
ROWS = 10_000
BATCH_ROWS = (1, 10, 100, 1_000, 10_000, 100_000)
TREES = "TreeEnsembleClassifier"


class Trees:
    """The same fitted trees in XGBoost and in ONNX Runtime, on float32 [rows, columns]."""

    def __init__(self, classifier: XGBClassifier) -> None:
        graph = Graph()
        add_trees(graph, classifier)
        columns = declare(FEATURES, TensorProto.FLOAT, ["N", classifier.n_features_in_])
        content = serialize("trees", graph, [columns], decide(graph, 0.5))
        self.booster: Booster = classifier.get_booster()
        self.count = self.booster.num_boosted_rounds()
        self._session = onnxruntime.InferenceSession(content, product_options(), providers=[CPU])

    def cost(self, batches: Sequence[Matrix], budget: Budget) -> Cost:
        """Both sides on the batches, one after the other, again and again."""
        ours, theirs = cycle(batches), cycle(batches)
        measured = measure(
            (
                lambda: self.booster.inplace_predict(next(theirs)),
                lambda: self._session.run(None, {FEATURES: next(ours)}),
            ),
            budget,
        )
        xgboost_ns, onnx_ns = (1e9 * seconds / (len(batches[0]) * self.count) for seconds in measured.lowest)
        return Cost(xgboost=xgboost_ns, onnx=onnx_ns)

    def nodes(self) -> int:
        """Inner nodes and leaves of all trees."""
        return sum(tree.count("\n") for tree in self.booster.get_dump())

    def sort_by_leaf(self, matrix: Matrix) -> Matrix:
        """The rows in the order of their leaves in the first trees, so that neighbours take the same branches."""
        leaves = self.booster.predict(DMatrix(matrix), pred_leaf=True).reshape(len(matrix), -1)
        ordered: Matrix = matrix[np.lexsort(leaves[:, 8::-1].T)]
        return ordered


def measure_shape(pipeline: Pipeline, matrix: Matrix, depth: int, budget: Budget) -> ShapeCost:
    """The trees' cost on the matrix, in three orders of its rows."""
    trees = Trees(pipeline.named_steps[ESTIMATOR])
    return ShapeCost(
        trees=trees.count,
        depth=depth,
        nodes=trees.nodes(),
        rows=len(matrix),
        as_they_come=trees.cost([matrix], budget),
        sorted_by_leaf=trees.cost([trees.sort_by_leaf(matrix)], budget),
        one_row_repeated=trees.cost([np.repeat(matrix[:1], len(matrix), axis=0)], budget),
    )


def measure_batches(pipeline: Pipeline, matrix: Matrix, budget: Budget) -> Iterator[BatchCost]:
    """The trees' cost by batch size."""
    trees = Trees(pipeline.named_steps[ESTIMATOR])
    for rows in BATCH_ROWS:
        starts = range(0, max(len(matrix) - rows, 0) + 1, rows)
        batches = [matrix[np.arange(start, start + rows) % len(matrix)] for start in starts]
        yield BatchCost(rows=rows, changing=trees.cost(batches, budget), same=trees.cost(batches[:1], budget))


def measure_share(rows: PreparedRows, pipeline: Pipeline, budget: Budget) -> Share:
    """What the preprocessing costs beside the trees, on a large batch: native steps, and the nodes of the graph."""
    frame = fill_missing(rows.dataset, rows.held_out).head(ROWS)
    batch = Batch.of(rows.dataset, frame)
    preprocessing, estimator = (pipeline.named_steps[name] for name in (PREPROCESSING, ESTIMATOR))
    matrix = preprocessing.transform(frame)
    steps = (lambda: preprocessing.transform(frame), lambda: estimator.predict_proba(matrix))
    native = [1e6 * seconds / frame.height for seconds in measure(steps, budget).lowest]
    graph = export_pipeline(rows.dataset, pipeline, 0.5)
    seconds = profile_nodes(graph, product_options, (CPU,), batch, budget.most_rounds).seconds
    of_trees = 1e6 * seconds[TREES] / frame.height
    return Share(
        rows=frame.height,
        native_preprocessing=native[0],
        native_trees=native[1],
        onnx_preprocessing=1e6 * sum(seconds.values()) / frame.height - of_trees,
        onnx_trees=of_trees,
    )


def measure_all(rows: PreparedRows, *, seed: int, budget: Budget) -> TreeCosts:
    """Fit every shape and measure, with a progress bar on standard error."""
    clock = OthersClock()
    held_out = fill_missing(rows.dataset, rows.held_out)
    shapes = []
    with tqdm(SHAPES, unit="ensemble", dynamic_ncols=True) as bar:
        for shape in bar:
            pipeline = fit(rows, rows.features, xgboost(*shape), seed=seed)
            matrix = np.ascontiguousarray(pipeline.named_steps[PREPROCESSING].transform(held_out), dtype=np.float32)
            shapes.append(measure_shape(pipeline, matrix[:ROWS], shape[1], budget))
            if shape == USUAL:
                batches = tuple(measure_batches(pipeline, matrix, budget))
                share = measure_share(rows, pipeline, budget)
    return TreeCosts(
        dataset=rows.dataset.name,
        data_source=rows.description.source,
        created=utc_now(),
        command=command_line(),
        machine=describe_machine(),
        others_cpus=clock.cpus(),
        trees=USUAL[0],
        depth=USUAL[1],
        shapes=tuple(shapes),
        batches=batches,
        share=share,
    )


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 measured, 1 no result because of an error, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m study.tree_costs", description=__doc__.partition("\n")[0])
    add_data_arguments(parser)
    given = parser.parse_args(arguments)
    dataset = find_dataset(parser, given.dataset)
    budget = Budget(seconds=0.5 if given.fast else 4, least_rounds=5, most_rounds=51)
    try:
        rows = load(dataset, given.data, given.data_dir, seed=given.seed)
        result = measure_all(rows, seed=given.seed, budget=budget)
        contents = {
            "tree_costs.json": msgspec.json.format(msgspec.json.encode(result)) + b"\n",
            "tree_costs.md": render(result).encode(),
        }
        paths = write_files(given.reports, contents)
    except (TrainingError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: no report", file=sys.stderr)
        return 130
    print(*paths, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
