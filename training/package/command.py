"""`make package`: a fitted pipeline or an ONNX graph becomes a published bundle."""

import argparse
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import polars as pl

from bundle.command_line import Parser, file_path, real_number
from bundle.errors import BundleError
from bundle.lock import OWNER, InUseError, owning
from training.data.csv_options import add_csv_options, read_csv_options
from training.data.table_files import explain_missing
from training.errors import ConversionError, TrainingError
from training.package.bundle_it import Packaged, make_bundle
from training.package.columns import large_numbers, plain, read_rows
from training.package.estimator import accept_unseen, load_estimator, text_columns
from training.package.from_graph import graph_source
from training.package.from_pipeline import pipeline_source, reference_target
from training.report.terminal import with_models

ONNX_ONLY = ("classes", "names", "task")
TASKS = ("binary_classification", "multiclass_classification", "regression")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 published, 1 nothing published because of an error, 2 wrong usage."""
    parser = _parser()
    options = parser.read(arguments)
    if options.pipeline is not None and options.onnx is not None:
        parser.error("--pipeline and --onnx are both given: package one model at a time")
    if options.pipeline is None and options.onnx is None:
        parser.error("--pipeline or --onnx is needed, one of them: the model to package")
    if options.pipeline is not None and (given := [name for name in ONNX_ONLY if getattr(options, name)]):
        parser.error(f"--{given[0]} is for --onnx only: a pipeline says it itself")
    if options.pipeline is not None and (options.rows is None or not options.target):
        parser.error("--pipeline needs --rows and --target: rows to check the model on, and the column it predicts")
    name = options.name or (options.pipeline or options.onnx).stem.replace("-", "_").replace(" ", "_")
    if not name.isidentifier():
        parser.error(f"--name: {name!r} can't name files: use letters, digits and underscores")
    try:
        with owning(options.models / OWNER, str(options.models), "wait for it, or name another folder with MODELS="):
            packaged = (_package_pipeline if options.pipeline else _package_graph)(name, options)
    except InUseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (TrainingError, BundleError, OSError) as error:
        print(f"error: {error}\nnothing was published", file=sys.stderr)
        return 1
    _summarize(packaged, options.models)
    return 0


def _parser() -> Parser:
    parser = Parser("training package", "Make a bundle from an existing model.")
    parser.add_argument("--pipeline", type=file_path, help="pickle of a fitted scikit-learn estimator; it is unpickled")
    parser.add_argument("--onnx", type=file_path, help="an ONNX graph from elsewhere")
    parser.add_argument("--rows", type=file_path, help="Parquet or CSV file with rows to check the model on")
    add_csv_options(parser)
    parser.add_argument("--text", default="", help="columns of a CSV file to keep as text, separated by commas")
    parser.add_argument("--target", default="", help="the column that the model predicts")
    parser.add_argument("--name", default="", help="name of the model (default: the file's)")
    parser.add_argument("--models", type=file_path, default=Path("models"), help="where the bundle is published")
    parser.add_argument("--positive", default="", help="of two classes, the positive one (default: the second)")
    share = real_number(0, 1, above=False)
    parser.add_argument("--threshold", type=share, help="decision threshold (default: the model's own)")
    parser.add_argument(
        "--tolerance", type=real_number(), help="largest difference between model and graph, if not 1e-6"
    )
    parser.add_argument(
        "--classes", default="", help="ONNX only: the labels in the order of the classes, separated by commas"
    )
    parser.add_argument("--names", default="", help="ONNX only: the names of the columns, separated by commas")
    parser.add_argument("--task", choices=TASKS, help="ONNX only: the task of a graph whose outputs don't show it")
    return parser


def _package_pipeline(name: str, options: argparse.Namespace) -> Packaged:
    if options.pipeline.exists():
        print(f"unpickling {options.pipeline}, which runs what it says: package only what you trust", flush=True)
    estimator, notes = accept_unseen(load_estimator(options.pipeline))
    rows = _read_rows(options, text_columns(estimator))
    if options.target not in rows.columns:
        raise ConversionError(f"ROWS={options.rows}: {explain_missing([options.target], rows.columns)}")
    print("".join(f"{note}\n" for note in notes), end="", flush=True)
    source, table = pipeline_source(
        name, estimator, rows.drop(options.target), target=options.target, positive=options.positive,
        threshold=options.threshold,
    )  # fmt: skip
    if wide := large_numbers(table, table.columns):
        print(f"warning: {', '.join(wide)}: numbers beyond 2^24 = 16,777,216, which float32 can't all tell apart")
    target = reference_target(source.interface, plain(rows[options.target]))
    return make_bundle(name, source, table, target, options.target, options.models, options.tolerance)


def _package_graph(name: str, options: argparse.Namespace) -> Packaged:
    rows = _read_rows(options) if options.rows else None
    target = rows[options.target] if rows is not None and options.target in rows.columns else None
    if rows is not None and options.target and target is None:
        raise ConversionError(f"ROWS={options.rows}: {explain_missing([options.target], rows.columns)}")
    names, classes = _listed(options.names), _listed(options.classes)
    if len(set(classes)) < len(classes):
        raise ConversionError(f"CLASSES={options.classes}: a label is there twice")
    source, table = graph_source(
        name, options.onnx, None if rows is None else rows.drop([options.target] if target is not None else []),
        names=names, classes=classes, task=options.task, positive=options.positive, threshold=options.threshold,
    )  # fmt: skip
    answers = None if target is None else reference_target(source.interface, plain(target))
    title = options.target or ("value" if source.interface.task == "regression" else "class")
    return make_bundle(name, source, table, answers, title, options.models, options.tolerance)


def _read_rows(options: argparse.Namespace, texts: Collection[str] = ()) -> pl.DataFrame:
    """The rows; a CSV file's target stays text, for the model's classes say what it is."""
    csv = read_csv_options(options.separator, options.empty)
    return read_rows(options.rows, csv, texts=_listed(options.text), also_texts={*texts, options.target})


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _summarize(packaged: Packaged, models: Path) -> None:
    manifest, parity = packaged.manifest, packaged.manifest.parity
    print(f"\n{manifest.name} {manifest.version}: {manifest.task.replace('_', ' ')}, {len(manifest.features)} features")
    for feature in manifest.features:
        words = [feature.kind, *(["integer"] if feature.integer else []), *(["nullable"] if feature.nullable else [])]
        print(f"  {feature.name}: {', '.join(words)}")
    if manifest.classes:
        threshold = (
            f"; {manifest.positive_class!r} from P {manifest.decision_threshold:.6g}"
            if manifest.positive_class is not None and manifest.decision_threshold is not None
            else ""
        )
        print(f"classes    {', '.join(map(repr, manifest.classes))}{threshold}")
    if parity is not None:
        print(
            f"parity     {parity.rows:,} rows, {parity.edge_case_rows:,} of them edge cases: largest difference "
            f"{parity.max_abs_difference:.2g}, tolerance {parity.tolerance:g}"
        )
        if packaged.apart:
            print(f"           {packaged.apart} rows differ within the given tolerance; they are not reference rows")
    rounding, score = packaged.rounding, packaged.score
    told = rounding.lines() if rounding else []
    told += score.lines(rounding_matters=bool(rounding and rounding.changed)) if score else []
    print("".join(f"{line}\n" for line in told), end="")
    print(f"published  {models / manifest.name}.json ({', '.join(sorted(manifest.artifacts))})")
    services = "make serve-onnx | make serve-axum" + (" | make serve-pickle" if "pickle" in manifest.artifacts else "")
    print(f"next       {services} | make bench | make skew", *with_models(models), sep="\n")
