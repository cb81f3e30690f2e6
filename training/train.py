"""`make train`: tune, fit, evaluate once, export, prove parity, publish, report.

The steps take rows in memory. `scale.training` puts the same steps together for rows that stay in files.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from bundle.artifacts import read_artifact
from bundle.cpus import usable_cpus
from bundle.errors import BundleError
from bundle.lock import InUseError
from bundle.manifest import Manifest, read_manifest
from training.data.prepare import PreparedRows, prepare_rows
from training.data.sources import load_rows
from training.dataset import Dataset
from training.errors import TrainingError
from training.export.artifacts import BundleContents, make_contents
from training.export.publish import check_vacant, publish, stage
from training.manifest import describe_bundle, describe_study
from training.model.evaluation import Scored
from training.model.fitting import Model, feature_importance, fit_model
from training.model.folds import Fold, prepare_folds
from training.options import Options, parse_options
from training.ownership import owning_outputs
from training.report.terminal import print_summary
from training.report.write_report import Evidence, write_report
from training.tuning.choose_trial import Choice, choose
from training.tuning.shared_study import connect, is_shared, run_shared_study
from training.tuning.study import (
    STORAGE_FAILURES,
    first_line,
    open_study,
    run_study,
    study_name,
    without_password,
)
from training.tuning.tradeoff import Tradeoff


@dataclass(frozen=True)
class Tuned:
    """The study, the folds of the rows that it saw, and the trial whose parameters are taken."""

    study: optuna.Study
    folds: list[Fold]
    choice: Choice


def train(options: Options) -> Manifest | None:
    """One whole run. Returns the published manifest, or None if there is none to publish: it was interrupted before a
    trial was complete, or only helps with the study.

    Raises:
        TrainingError: the data, the study storage or the exported model is not as it must be; nothing is published.
        BundleError, OSError: the bundle could not be written; the previous one is whole.
        KeyboardInterrupt: Ctrl-C ended the help with a study.
    """
    check_vacant(options.dataset.name, options.models)
    connection = connect_storage(options)  # before the rows are read, which may take minutes
    raw = load_rows(options.dataset, options.data, options.data_dir, seed=options.seed)
    rows = prepare_rows(options.dataset, raw)
    tuned = tune(rows, options, connection)
    if tuned is None:
        return None
    parameters = tuned.choice.trial.params
    model = fit_model(rows, tuned.folds, parameters, seed=options.seed, threads=usable_cpus())
    contents = make_contents(rows, model)
    held_out = Scored(rows.held_out_target, contents.held_out_probability)
    return publish_model(rows, tuned, model, contents, held_out, options)


def connect_storage(options: Options) -> RDBStorage | None:
    """The storage that the study shares with other processes; None if it is this process's own.

    Raises:
        TrainingError: the storage can't be used, or is nobody else's where there is only help to give.
    """
    storage = without_password(options.storage)
    try:
        connection = connect(options.storage) if is_shared(options.storage) else None
    except (*STORAGE_FAILURES, ImportError) as error:
        raise TrainingError(f"STORAGE={storage}: the study storage can't be used: {first_line(error)}") from error
    if options.tune_only and connection is None:
        raise TrainingError(f"STORAGE={storage}: helping with a study needs a database server that is shared")
    return connection


def tune(rows: PreparedRows, options: Options, connection: RDBStorage | None) -> Tuned | None:
    """Run the study to its end, and choose a trial. None: no trial is complete, or the run only helps with the study.

    Raises:
        TrainingError: the study storage can't be used, or the study has no such trial as the options ask for.
        KeyboardInterrupt: Ctrl-C ended the help with a study.
    """
    folds = prepare_folds(rows.dataset, rows.features, rows.target, seed=options.seed)
    content = rows.training.write_csv().encode()
    name = study_name(rows.dataset.name, content, seed=options.seed, objective=options.objective)
    study = open_study(name, options.storage, fresh=options.fresh, connection=connection, objective=options.objective)
    run = run_study if connection is None else run_shared_study
    evaluation = Tradeoff(rows, seed=options.seed) if options.objective == "f2,latency" else None
    trials, seed, threads = options.trials, options.seed, usable_cpus()
    uninterrupted = run(study, folds, rows.target, trials=trials, seed=seed, threads=threads, evaluation=evaluation)
    if options.tune_only and not uninterrupted:
        raise KeyboardInterrupt
    if options.tune_only or not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return None
    if not uninterrupted:
        print("interrupted: publishing the best so far (Ctrl-C again to publish nothing)", file=sys.stderr)
    return Tuned(study, folds, choose(study, number=options.trial, max_us=options.max_us))


def publish_model(
    rows: PreparedRows, tuned: Tuned, model: Model, contents: BundleContents, held_out: Scored, options: Options
) -> Manifest:
    """Publish the bundle, then write the report. `held_out` is what the model gives for all held-out rows.

    Raises:
        BundleError, OSError: the bundle could not be written; the previous one is whole.
    """
    study = describe_study(tuned.study, rows, tuned.choice, seed=options.seed)
    staged = stage(rows.dataset.name, contents.artifacts)
    manifest = describe_bundle(rows, model, contents, study, held_out, staged)
    publish(manifest, staged, options.models)
    evidence = Evidence(
        study=tuned.study,
        held_out=held_out,
        out_of_sample=model.out_of_sample,
        importance=feature_importance(rows, model),
    )
    _report(manifest, evidence, options.reports)
    return manifest


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: as `run_and_tell` has it."""
    options = parse_options(arguments)
    return run_and_tell(options, lambda: train(options))


def run_and_tell(options: Options, run: Callable[[], Manifest | None]) -> int:
    """Do the run, which owns what it writes to, and tell how it ended.

    Exit status: 0 published, 1 nothing published because of an error, 130 interrupted before there was anything.
    """
    if options.if_missing and is_published(options.dataset, options.models):
        print(f"{options.models} holds a whole bundle of {options.dataset.name}; nothing to do")
        return 0
    try:
        with owning_outputs(options):
            manifest = run()
    except InUseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (TrainingError, BundleError, OSError) as error:
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
