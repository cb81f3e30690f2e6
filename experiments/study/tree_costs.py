"""`make tree-costs`: why ONNX Runtime is no faster than XGBoost on large batches.

The trees alone, on one thread, on a matrix that is preprocessed already: ns per row and tree in XGBoost and in ONNX
Runtime: by number of trees and depth; on rows in three orders, which make branches more or less predictable for the
processor; by batch size, with a batch that changes from call to call and with the same one every time. It also measures
the preprocessing's share of a call.
"""

import argparse

import numpy as np

from experiments.command import add_folders, publish
from experiments.study.arguments import add_data_arguments, load
from experiments.study.comparison import fit
from experiments.study.families import PREPROCESSING, xgboost
from experiments.study.machine import OthersClock
from experiments.study.timing import Budget
from experiments.study.tree_cost_measurement import ROWS, measure_batches, measure_shape, measure_share
from experiments.study.tree_costs_results import TreeCosts
from training.data.prepare import PreparedRows, pipeline_frame
from training.progress import progress_bar

SHAPES = ((100, 5), (300, 3), (300, 5), (300, 6), (300, 8), (300, 10), (1000, 5))
USUAL = (300, 5)


def measure_all(rows: PreparedRows, *, seed: int, budget: Budget) -> TreeCosts:
    """Fit every shape and measure, with a progress bar on standard error."""
    clock = OthersClock()
    held_out = pipeline_frame(rows.dataset, rows.held_out)
    shapes = []
    with progress_bar("tree costs", "ensemble", total=len(SHAPES)) as bar:
        for shape in SHAPES:
            pipeline = fit(rows, rows.features, xgboost(*shape), seed=seed)
            matrix = np.ascontiguousarray(pipeline.named_steps[PREPROCESSING].transform(held_out), dtype=np.float32)
            shapes.append(measure_shape(pipeline, matrix[:ROWS], shape[1], budget))
            if shape == USUAL:
                batches = tuple(measure_batches(pipeline, matrix, budget))
                share = measure_share(rows, pipeline, budget)
            bar.update()
    return TreeCosts(
        dataset=rows.dataset.name,
        data_source=rows.description.source,
        **clock.origin(),
        trees=USUAL[0],
        depth=USUAL[1],
        shapes=tuple(shapes),
        batches=batches,
        share=share,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_folders(parser, models=False)
    add_data_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Measure every ensemble."""
    budget = Budget(seconds=0.5 if options.fast else 4, least_rounds=5, most_rounds=51)
    rows = load(options.dataset, options.data, options.data_dir, seed=options.seed)
    result = measure_all(rows, seed=options.seed, budget=budget)
    return publish(result, options.reports)
