"""The trees of XGBoost in XGBoost and in ONNX Runtime, without the preprocessing: what a row costs them."""

from collections.abc import Iterator, Sequence
from itertools import cycle

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from xgboost import Booster, DMatrix, XGBClassifier

from bundle.graph_names import NUMERIC
from experiments.study.contestants import StudyBatch, open_session, product_options
from experiments.study.conversion import export_pipeline
from experiments.study.families import ESTIMATOR, PREPROCESSING
from experiments.study.node_profile import profile_nodes
from experiments.study.timing import Budget, measure
from experiments.study.tree_costs_results import BatchCost, Cost, ShapeCost, Share
from training.data.prepare import PreparedRows, pipeline_frame
from training.export.named_graph import Input, named_graph
from training.export.rewrite.outputs import Decision
from training.export.rewrite.packing import pack

Matrix = NDArray[np.float32]

ROWS = 10_000
BATCH_ROWS = (1, 10, 100, 1_000, 10_000, 100_000)
TREES = "TreeEnsembleClassifier"


class TreeGraph:
    """The same fitted trees in XGBoost and in ONNX Runtime, on float32 [rows, columns]."""

    def __init__(self, classifier: XGBClassifier) -> None:
        columns = [Input(f"f{i}", f"f{i}", text=False) for i in range(classifier.n_features_in_)]
        graph = pack(named_graph("trees", classifier, columns, Decision(2, 1, 0.5), missing=""))
        self.booster: Booster = classifier.get_booster()
        self.count = self.booster.num_boosted_rounds()
        self._session = open_session(graph.SerializeToString())

    def cost(self, batches: Sequence[Matrix], budget: Budget) -> Cost:
        """Both sides on the batches in turn, repeatedly."""
        ours, theirs = cycle(batches), cycle(batches)
        measured = measure(
            (
                lambda: self.booster.inplace_predict(next(theirs)),
                lambda: self._session.run(None, {NUMERIC: next(ours)}),
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
    trees = TreeGraph(pipeline.named_steps[ESTIMATOR])
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
    trees = TreeGraph(pipeline.named_steps[ESTIMATOR])
    for rows in BATCH_ROWS:
        starts = range(0, max(len(matrix) - rows, 0) + 1, rows)
        batches = [matrix[np.arange(start, start + rows) % len(matrix)] for start in starts]
        yield BatchCost(rows=rows, changing=trees.cost(batches, budget), same=trees.cost(batches[:1], budget))


def measure_share(rows: PreparedRows, pipeline: Pipeline, budget: Budget) -> Share:
    """The cost of the preprocessing and of the trees on a large batch: native steps, and the nodes of the graph."""
    frame = pipeline_frame(rows.dataset, rows.held_out).head(ROWS)
    batch = StudyBatch.of(rows.dataset, frame)
    preprocessing, estimator = (pipeline.named_steps[name] for name in (PREPROCESSING, ESTIMATOR))
    matrix = preprocessing.transform(frame)
    steps = (lambda: preprocessing.transform(frame), lambda: estimator.predict_proba(matrix))
    native = [1e6 * seconds / frame.height for seconds in measure(steps, budget).lowest]
    graph = export_pipeline(rows.dataset, pipeline, 0.5)
    seconds = profile_nodes(graph, product_options, batch, budget.most_rounds).seconds
    of_trees = 1e6 * seconds[TREES] / frame.height
    return Share(
        rows=frame.height,
        native_preprocessing=native[0],
        native_trees=native[1],
        onnx_preprocessing=1e6 * sum(seconds.values()) / frame.height - of_trees,
        onnx_trees=of_trees,
    )
