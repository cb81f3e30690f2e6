"""`make train`: tune, fit, evaluate once, export, prove parity, publish, report."""

import argparse
import importlib
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from optuna.storages import RDBStorage
from optuna.trial import TrialState

from bundle.artifacts import read_artifact
from bundle.errors import BundleError
from bundle.manifest import Manifest, read_manifest
from scale.cluster.errors import ClusterError
from training.data.rows import PreparedRows
from training.data.sources import AUTO
from training.dataset import Dataset
from training.engine import ENGINES, Engine, EngineName, load_in_memory, load_partitioned
from training.errors import TrainingError
from training.export.artifacts import make_contents
from training.export.publish import check_vacant, publish
from training.manifest import describe_bundle, describe_study
from training.model.fitting import feature_importance
from training.model.folds import prepare_folds
from training.report.terminal import print_summary
from training.report.write_report import Evidence, write_report
from training.tuning.choose_trial import choose
from training.tuning.shared_study import connect, is_shared, run_shared_study
from training.tuning.study import (
    OBJECTIVES,
    STORAGE_FAILURES,
    ObjectiveName,
    first_line,
    open_study,
    run_study,
    shown,
    study_name,
)
from training.tuning.tradeoff import Tradeoff

SAMPLE_ROWS = 200_000


@dataclass(frozen=True)
class Options:
    """The command line, typed."""

    dataset: Dataset
    data: str
    data_dir: Path
    trials: int
    seed: int
    storage: str
    fresh: bool
    if_missing: bool
    tune_only: bool
    models: Path
    reports: Path
    engine: EngineName = "memory"
    sample_rows: int = SAMPLE_ROWS
    scheduler: str = ""
    objective: ObjectiveName = OBJECTIVES[0]
    trial: int | None = None
    max_us: float | None = None


def parse_options(arguments: list[str] | None = None) -> Options:
    """Read the command line; wrong usage exits with status 2."""
    parser = argparse.ArgumentParser(prog="training.train", description=__doc__)
    parser.add_argument("--dataset", default="training.adult", help="module with a DATASET (default: %(default)s)")
    parser.add_argument("--data", default=AUTO, help="auto, the data set's own source, or synthetic")
    parser.add_argument("--data-dir", type=Path, default=Path("data/adult"), help="folder of the raw files")
    parser.add_argument("--trials", type=_positive, default=100, help="finished trials the study shall have")
    parser.add_argument("--seed", type=_seed, default=42, help="seed of the folds, the sampler and the model")
    parser.add_argument("--storage", default="", help="Optuna storage URL (default: a file in the reports folder)")
    parser.add_argument("--fresh", action="store_true", help="forget the study's earlier trials")
    parser.add_argument("--if-missing", action="store_true", help="do nothing if a whole bundle is there already")
    parser.add_argument("--tune-only", action="store_true", help="help with a shared study, and publish nothing")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the bundle is published")
    parser.add_argument("--reports", type=Path, default=Path("reports/training"), help="where the report goes")
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="external, dask: rows stay in files")
    parser.add_argument("--sample-rows", type=_positive, default=SAMPLE_ROWS, help="rows that the study sees then")
    parser.add_argument("--scheduler", default="", help="of the Dask cluster, such as tcp://host:8786 (default: local)")
    parser.add_argument("--objective", choices=OBJECTIVES, default=OBJECTIVES[0], help="f2,latency: their Pareto front")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--trial", type=int, help="publish this trial of the study")
    choice.add_argument("--max-us", type=_microseconds, help="publish the best F2 in at most so many µs a row")
    given = vars(parser.parse_args(arguments))
    if given["max_us"] is not None and given["objective"] != "f2,latency":
        parser.error("--max-us: a study of F2 alone measures no latency; it takes --objective f2,latency")
    if given["engine"] != ENGINES[0] and given["data"] != AUTO:
        parser.error(f"--engine {given['engine']} reads the Parquet files in --data-dir, and takes no --data")
    if given["scheduler"] and given["engine"] != "dask":
        parser.error("--scheduler is for --engine dask")
    try:
        given["dataset"] = importlib.import_module(given["dataset"]).DATASET
    except (ImportError, AttributeError, ValueError) as error:
        parser.error(f"--dataset: {error}")
    given["storage"] = given["storage"] or f"sqlite:///{given['reports'] / 'study.db'}"
    return Options(**given)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def _microseconds(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of microseconds")
    return number


def _seed(text: str) -> int:
    number = int(text)
    if not 0 <= number < 1 << 31:  # what all the libraries take
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {(1 << 31) - 1}")
    return number


def train(options: Options) -> Manifest | None:
    """One whole run. Returns the published manifest, or None if there is none to publish: it was interrupted before a
    trial was complete, or only helps with the study.

    Raises:
        TrainingError: the data, the study storage or the exported model is not as it must be; nothing is published.
        ClusterError: the Dask cluster can't be used, or was lost; nothing is published.
        BundleError, OSError: the bundle could not be written; the previous one is whole.
        KeyboardInterrupt: Ctrl-C ended the help with a study.
    """
    check_vacant(options.dataset.name, options.models)
    connection = _connect(options)  # before the rows are read, which may take minutes
    rows, engine = load(options)
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    folds = prepare_folds(rows.dataset, rows.features, rows.target, seed=options.seed)
    content = rows.training.write_csv().encode()
    name = study_name(rows.dataset.name, content, seed=options.seed, objective=options.objective)
    study = open_study(name, options.storage, fresh=options.fresh, connection=connection, objective=options.objective)
    run = run_study if connection is None else run_shared_study
    evaluation = Tradeoff(rows, seed=options.seed) if options.objective == "f2,latency" else None
    uninterrupted = run(
        study, folds, rows.target, trials=options.trials, seed=options.seed, threads=threads, evaluation=evaluation
    )
    if options.tune_only:
        if not uninterrupted:
            raise KeyboardInterrupt
        return None
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return None
    if not uninterrupted:
        print("interrupted: publishing the best so far (Ctrl-C again to publish nothing)", file=sys.stderr)
    choice = choose(study, number=options.trial, max_us=options.max_us)
    model = engine.fit(rows, folds, choice.trial.params, seed=options.seed, threads=threads)
    contents = make_contents(rows, model)
    held_out = engine.score_held_out(rows, model, contents)
    describe = describe_bundle(rows, model, contents, describe_study(study, rows, choice, seed=options.seed), held_out)
    manifest = publish(rows.dataset.name, contents.artifacts, describe, options.models)
    evidence = Evidence(
        study=study,
        held_out=held_out,
        out_of_sample=model.out_of_sample,
        importance=feature_importance(rows, model),
    )
    _report(manifest, evidence, options.reports)
    return manifest


def _connect(options: Options) -> RDBStorage | None:
    """The storage that the study shares with other processes; None if it is this process's own.

    Raises:
        TrainingError: the storage can't be used, or is nobody else's where there is only help to give.
    """
    try:
        connection = connect(options.storage) if is_shared(options.storage) else None
    except (*STORAGE_FAILURES, ImportError) as error:
        raise TrainingError(
            f"STORAGE={shown(options.storage)}: the study storage can't be used: {first_line(error)}"
        ) from error
    if options.tune_only and connection is None:
        raise TrainingError(
            f"STORAGE={shown(options.storage)}: helping with a study needs a database server that is shared"
        )
    return connection


def load(options: Options) -> tuple[PreparedRows, Engine]:
    """The rows that the study sees, and the engine that knows the rest.

    Raises:
        TrainingError: the rows can't be had, or are not what the data set declares.
        ClusterError: the cluster can't be used.
    """
    if options.engine == "memory":
        return load_in_memory(options.dataset, options.data, options.data_dir, seed=options.seed)
    scheduler = options.scheduler if options.engine == "dask" else None
    return load_partitioned(options.dataset, options.data_dir, options.sample_rows, scheduler=scheduler)


def _report(manifest: Manifest, evidence: Evidence, folder: Path) -> None:
    """Write the report. The bundle is published by now: a report that fails is told, and the run is a success."""
    try:
        write_report(manifest, evidence, folder)
    except (OSError, KeyboardInterrupt) as error:
        print(f"the bundle is published, but not its report: {str(error) or 'interrupted'}", file=sys.stderr)


def is_published(dataset: Dataset, models: Path) -> bool:
    """Whether the folder holds a whole bundle of the data set's model."""
    try:
        manifest = read_manifest(models)
        for kind in manifest.artifacts:
            read_artifact(manifest, kind, models)
    except BundleError:
        return False
    return manifest.name == dataset.name


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 published, 1 nothing published because of an error, 130 interrupted before there was anything."""
    options = parse_options(arguments)
    if options.if_missing and is_published(options.dataset, options.models):
        print(f"{options.models} holds a whole bundle of {options.dataset.name}; nothing to do")
        return 0
    try:
        manifest = train(options)
    except (TrainingError, BundleError, ClusterError, OSError) as error:
        print(f"error: {error}\nnothing was published", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        manifest = None
    else:
        if options.tune_only:
            print("no more trials to run; a `make train` with the same STORAGE publishes the best", file=sys.stderr)
            return 0
    if manifest is None:
        print("interrupted: nothing was published; the same command goes on with the study", file=sys.stderr)
        return 130
    print_summary(manifest, options.models, options.reports)
    return 0


if __name__ == "__main__":
    sys.exit(main())
