"""`make train`: tune, fit, evaluate once, export, prove parity, publish, report.

The steps take rows in memory. `scale.training` puts the same steps together for rows that stay in files.
"""

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from bundle.artifacts import read_artifact
from bundle.cpus import usable_cpus
from bundle.errors import BundleError
from bundle.files import write_files
from bundle.lock import InUseError
from bundle.manifest import Manifest, read_manifest
from bundle.training_record import Metrics, TrainingRecord
from training.data.file_dataset import InferredDataset, module_text
from training.data.infer import coarse_numbers
from training.data.prepare import PreparedRows, prepare_rows
from training.data.sources import load_rows
from training.errors import TrainingError
from training.export.artifacts import BundleContents, make_contents
from training.export.publish import check_vacant, publish, stage
from training.manifest import describe_bundle, describe_study
from training.model.evaluation import Scored, measure
from training.model.fitting import Model, feature_importance, fit_model
from training.model.folds import Fold, prepare_folds
from training.model.score import Score, parse_score
from training.model.worth import judge
from training.options import Options, parse_options
from training.ownership import owning_outputs
from training.rehearsal import rehearse
from training.report.pictures import Evidence
from training.report.terminal import print_summary, where
from training.report.write_report import write_report
from training.tuning.choose_trial import Choice, Wish, choose
from training.tuning.objective import Objective, ScoreObjective, search_space, study_name
from training.tuning.patience import is_exhausted
from training.tuning.shared_study import connect, is_shared, run_shared_study
from training.tuning.study import (
    STORAGE_FAILURES,
    finished,
    first_line,
    open_study,
    run_study,
    without_password,
)
from training.tuning.tradeoff import TRADEOFF_VERSION, Tradeoff


@dataclass(frozen=True)
class Tuned:
    """The study, the folds of the rows that it saw, the trial that was chosen, and why trials are missing."""

    study: optuna.Study
    folds: list[Fold]
    choice: Choice
    score: Score
    ended: str


def train(options: Options) -> Manifest | None:
    """One whole run. Returns the published manifest, or None if there is none to publish: it was interrupted before a
    trial was complete, or only helps with the study.

    Raises:
        TrainingError: the data, the study storage or the exported model is not as it must be; nothing is published.
        BundleError, OSError: the bundle could not be written; the previous one is whole.
        KeyboardInterrupt: Ctrl-C ended a run that only helps with a study.
    """
    check_vacant(options.dataset.name, options.models)
    connection = connect_storage(options)  # before the rows are read, which may take minutes
    score = parse_score(options.score or options.dataset.score, options.dataset.task)
    raw = load_rows(options.dataset, options.data, options.data_dir, seed=options.seed)
    if raw.files:
        names = ", ".join(f"{file.name} ({file.bytes:,} bytes)" for file in raw.files)
        print(f"input    {names} in {options.data_dir}: {raw.frame.height:,} rows", flush=True)
    rows = prepare_rows(options.dataset, raw)
    warn_of_coarse_numbers(rows)
    rehearse(rows, seed=options.seed)
    tuned = tune(rows, score, options, connection)
    if tuned is None:
        return None
    parameters = tuned.choice.trial.params
    model = fit_model(rows, tuned.folds, parameters, score, seed=options.seed, threads=usable_cpus())
    contents = make_contents(rows, model)
    held_out = Scored(rows.held_out_target, contents.held_out_output)
    return publish_model(rows, tuned, model, contents, held_out, options)


def warn_of_coarse_numbers(rows: PreparedRows) -> None:
    """Warn of columns whose numbers the graph can't tell apart."""
    for told in coarse_numbers(rows.training, rows.dataset.features):
        print(f"warning: {told}", file=sys.stderr)


def connect_storage(options: Options) -> RDBStorage | None:
    """The storage that the study shares with other processes; None if it is this process's own.

    Raises:
        TrainingError: the storage can't be used, or is not shared, although this run is only to help.
    """
    storage = without_password(options.storage)
    try:
        connection = connect(options.storage) if is_shared(options.storage) else None
    except (*STORAGE_FAILURES, ImportError) as error:
        raise TrainingError(f"STORAGE={storage}: the study storage can't be used: {first_line(error)}") from error
    if options.tune_only and connection is None:
        raise TrainingError(f"STORAGE={storage}: helping with a study needs a database server that is shared")
    return connection


def tune(rows: PreparedRows, score: Score, options: Options, connection: RDBStorage | None) -> Tuned | None:
    """Run the study to its end, and choose a trial. None: no trial is complete, or the run only helps with the study.

    Raises:
        TrainingError: the study storage can't be used, or the study has no such trial as the options ask for.
        KeyboardInterrupt: Ctrl-C ended a run that only helps with a study.
    """
    threads = usable_cpus()
    folds = prepare_folds(rows.dataset, rows.features, rows.target, rows.wide, seed=options.seed)
    content = rows.training.write_csv().encode()
    objective: Objective = ScoreObjective(score, search_space(rows.dataset), folds, rows.target, threads)
    version: int | None = None
    metrics: tuple[str, ...] = ()
    if options.latency:
        objective = Tradeoff(rows, folds, score, seed=options.seed, threads=threads)
        version, metrics = TRADEOFF_VERSION, (score.label, "µs/row")
    name = study_name(rows.dataset, content, score, seed=options.seed, latency=version)
    study = open_study(name, options.storage, fresh=options.fresh, connection=connection, metrics=metrics)
    run_on = partial(run_study, seed=options.seed) if connection is None else run_shared_study
    uninterrupted = run_on(study, objective, trials=options.trials, patience=options.patience, label=score.label)
    ended = _why_ended(study, options, uninterrupted=uninterrupted)
    if options.tune_only and not uninterrupted:
        raise KeyboardInterrupt
    if options.tune_only or not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return None
    if not uninterrupted:
        print("interrupted: publishing the best so far (Ctrl-C again to publish nothing)", file=sys.stderr)
    wish = Wish(options.trial, options.max_us, options.choice)
    return Tuned(study, folds, choose(study, wish, score.label), score, ended)


def _why_ended(study: optuna.Study, options: Options, *, uninterrupted: bool) -> str:
    """Why the study has fewer trials than were asked for; empty if it has them. Prints it if the patience ran out."""
    trials = finished(study)
    if not uninterrupted:
        return "interrupted"
    if len(trials) >= options.trials or not is_exhausted(trials, options.patience):
        return ""
    why = f"{options.patience} trials in a row brought no better score and no cheaper model"
    print(f"the study ended after {len(trials)} of {options.trials} trials: {why} (PATIENCE=0: all)", file=sys.stderr)
    return why


def publish_model(
    rows: PreparedRows, tuned: Tuned, model: Model, contents: BundleContents, held_out: Scored, options: Options
) -> Manifest:
    """Publish the bundle, then write the report. `held_out` is what the model gives for all held-out rows.

    Raises:
        TrainingError: the model is worth nothing, and the options are strict.
        BundleError, OSError: the bundle could not be written; the previous one is whole.
    """
    worth = judge(tuned.score, rows.target, held_out, model.threshold)
    doubts = worth.warnings()
    if options.strict and doubts:
        raise TrainingError("; ".join(doubts))
    record = TrainingRecord(
        metrics=Metrics(
            out_of_fold=measure(tuned.score, model.out_of_sample, model.threshold),
            held_out=measure(tuned.score, held_out, model.threshold),
            standard_error=worth.standard_error,
            trivial=worth.trivial,
        ),
        study=describe_study(
            tuned.study, rows, tuned.choice, tuned.score, seed=options.seed, asked=options.trials, ended=tuned.ended
        ),
        data=rows.description,
        parity=contents.parity,
    )
    staged = stage(rows.dataset.name, contents.artifacts)
    manifest = describe_bundle(rows, model, contents, record, staged, held_out)
    publish(manifest, staged, options.models)
    for doubt in doubts:
        print(f"warning: {doubt}", file=sys.stderr)
    evidence = Evidence(
        score=tuned.score,
        study=tuned.study,
        held_out=held_out,
        out_of_sample=model.out_of_sample,
        importance=feature_importance(rows, model),
    )
    _report(manifest, evidence, options.reports)
    if options.own_file is not None:
        _write_module(options.own_file, options.models)
    return manifest


def _write_module(inferred: InferredDataset, models: Path) -> None:
    """Write what was inferred as a module to be edited. An existing one is somebody's work, and is kept."""
    path = models / f"{inferred.dataset.name}.py"
    if path.exists():
        print(f"{path} is there already, and is left as it is")
        return
    write_files(models, {path.name: module_text(inferred).encode()})
    again = shlex.join([f"DATASET={path}", f"DATA_DIR={inferred.path.parent}", *where(models)])
    print(f"the schema is in {path}: edit it, and train with {again}")


def _report(manifest: Manifest, evidence: Evidence, folder: Path) -> None:
    """Write the report. The bundle is published by now: if the report fails, a line says so, and the run succeeds."""
    try:
        write_report(manifest, evidence, folder)
    except (OSError, KeyboardInterrupt) as error:
        print(f"the bundle is published, but not its report: {str(error) or 'interrupted'}", file=sys.stderr)


def published_name(models: Path) -> str | None:
    """The name of the model whose whole bundle the folder holds, whatever it was made of; None if there is none."""
    try:
        manifest = read_manifest(models)
        for kind in manifest.artifacts:
            read_artifact(manifest, kind, models)
    except BundleError:
        return None
    return manifest.name


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: as `run_and_tell` has it."""
    options = parse_options(arguments)
    return run_and_tell(options, lambda: train(options))


def run_and_tell(options: Options, run: Callable[[], Manifest | None]) -> int:
    """Do the run, which owns what it writes to, and report how it ended.

    Exit status: 0 published, 1 nothing published because of an error, 130 interrupted before there was anything.
    """
    if options.if_missing and (name := published_name(options.models)) is not None:
        print(f"{options.models} holds a whole bundle of {name}; nothing to do")
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
