"""`make session-options`: what each session option of ONNX Runtime does to the bundle's own graph.

The graph and the predictions that it must give are the bundle's; the rows to train and calibrate the quantised neural
network come from the data set.
"""

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from bundle.artifacts import read_artifact
from bundle.manifest import Manifest, read_manifest
from bundle.reference import LABEL, PROBABILITIES, ROW
from experiments.command import add_folders, publish
from experiments.errors import ExperimentError
from experiments.study.arguments import add_data_arguments, load
from experiments.study.comparison import distinct_batches
from experiments.study.contestants import StudyBatch
from experiments.study.machine import OthersClock
from experiments.study.quantization import measure_quantization, train_mlp
from experiments.study.session_measurement import ExpectedAnswers, measure_settings
from experiments.study.session_results import SessionResult
from experiments.study.session_settings import all_settings
from experiments.study.timing import Budget
from training.data.prepare import PreparedRows, pipeline_frame
from training.dataset import Dataset
from training.progress import progress_bar

BATCH_ROWS = (1, 1_000)


def read_expected(dataset: Dataset, manifest: Manifest, models: Path) -> ExpectedAnswers:
    """The bundle's reference rows and predictions.

    Raises:
        BundleError: the reference is missing or altered.
        ExperimentError: the bundle is of another data set.
    """
    if manifest.name != dataset.name:
        raise ExperimentError(
            f"{models}: the bundle is {manifest.name}, not {dataset.name}; name its module with --dataset"
        )
    reference = pl.read_parquet(read_artifact(manifest, "reference", models))
    batch = StudyBatch.of(dataset, pipeline_frame(dataset, reference[ROW].struct.unnest()), manifest.tokens)
    labels = reference[LABEL].to_numpy().astype(np.int64)
    return ExpectedAnswers(batch, labels, reference[PROBABILITIES].to_numpy()[:, 1])


def measure_all(rows: PreparedRows, manifest: Manifest, models: Path, *, seed: int, budget: Budget) -> SessionResult:
    """Measure everything, with a progress bar on standard error."""
    threshold = manifest.decision_threshold
    if threshold is None:
        raise ExperimentError(f"{models}: {manifest.name} is no binary classifier, which this study needs")
    expected = read_expected(rows.dataset, manifest, models)
    content = read_artifact(manifest, "onnx_packed", models)
    held_out = pipeline_frame(rows.dataset, rows.held_out)
    batches = {count: distinct_batches(rows.dataset, held_out, count, manifest.tokens) for count in BATCH_ROWS}
    clock = OthersClock()
    with progress_bar("session options", "step", total=3) as bar:
        settings, noise, rounds = measure_settings(content, all_settings(), expected, batches, budget)
        bar.update()
        quantized = measure_quantization("trees", content, threshold, rows, batches, budget)
        bar.update()
        quantized += measure_quantization("MLP", *train_mlp(rows, seed=seed), rows, batches, budget)
        bar.update()
    return SessionResult(
        model=manifest.name,
        version=manifest.version,
        **clock.origin(),
        rounds=rounds,
        noise=noise,
        settings=tuple(settings),
        quantization=tuple(quantized),
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_folders(parser)
    add_data_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Measure the bundle's graph and a small neural network."""
    budget = Budget(seconds=5 if options.fast else 30, round_seconds=0.005, least_rounds=9, most_rounds=1001)
    manifest = read_manifest(options.models)
    rows = load(options.dataset, options.data, options.data_dir, seed=options.seed)
    result = measure_all(rows, manifest, options.models, seed=options.seed, budget=budget)
    return publish(result, options.reports)
