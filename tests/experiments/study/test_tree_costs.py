"""The trees' cost: all of it is measured, on rows in the orders that it says."""

import numpy as np
import pytest
from xgboost import DMatrix

from bundle.result import result_as_markdown
from experiments.study import tree_cost_measurement, tree_costs
from experiments.study.comparison import fit
from experiments.study.families import ESTIMATOR, PREPROCESSING, xgboost
from experiments.study.timing import Budget
from experiments.study.tree_cost_measurement import TreeGraph
from experiments.study.tree_costs import measure_all
from training.data.prepare import pipeline_frame

QUICK = Budget(seconds=0, round_seconds=0, least_rounds=1, most_rounds=1)


@pytest.fixture(scope="module")
def pipeline(rows):
    return fit(rows, rows.features, xgboost(6, 3), seed=1)


def test_sorting_by_leaf_keeps_the_rows_and_brings_equal_leaves_together(rows, pipeline):
    trees = TreeGraph(pipeline.named_steps[ESTIMATOR])
    features = pipeline.named_steps[PREPROCESSING].transform(pipeline_frame(rows.dataset, rows.held_out))
    matrix = np.nan_to_num(features).astype(np.float32)
    ordered = trees.sort_by_leaf(matrix)
    assert sorted(map(tuple, ordered)) == sorted(map(tuple, matrix))
    leaves = DMatrix(ordered)
    first = trees.booster.predict(leaves, pred_leaf=True)[:, 0]
    assert (np.diff(first) != 0).sum() == len(set(first)) - 1


def test_everything_is_measured_and_shown(rows, monkeypatch):
    monkeypatch.setattr(tree_costs, "SHAPES", ((4, 2), (6, 3)))
    monkeypatch.setattr(tree_costs, "USUAL", (6, 3))
    monkeypatch.setattr(tree_cost_measurement, "BATCH_ROWS", (1, 500))
    result = measure_all(rows, seed=1, budget=QUICK)
    assert [(shape.trees, shape.depth) for shape in result.shapes] == [(4, 2), (6, 3)]
    assert [batch.rows for batch in result.batches] == [1, 500]
    share = result.share
    assert min(share.native_preprocessing, share.native_trees, share.onnx_preprocessing, share.onnx_trees) > 0
    text = result_as_markdown(result)
    assert "| 6 | 3 |" in text
    assert "| 500 |" in text
