"""A data set made of one file: `make train CSV=customers.csv TARGET=churn`.

The schema is inferred and printed, and can be written as a module for a person to edit.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

from training.data.infer import Column, infer_columns
from training.data.infer_target import InferredTarget, infer_target
from training.data.table_files import AS_NAMED, CsvOptions, explain_missing, read_table
from training.data.typed import labels_given, table_parser
from training.dataset import Dataset, FeatureSpec, RemoteFile
from training.errors import DataError


class InferredDataset(NamedTuple):
    """The data set, and how it was inferred. `columns` are all but the target, in the file's order."""

    dataset: Dataset
    path: Path
    rows: int
    columns: list[Column]
    target: InferredTarget
    options: CsvOptions


def infer_dataset(
    path: Path,
    target: str,
    *,
    positive: str = "",
    ignored: Sequence[str] = (),
    task: str = "",
    options: CsvOptions = AS_NAMED,
) -> InferredDataset:
    """The data set of a file; `target` is the column to predict.

    Raises:
        DataError: the file can't be read, has no such column, or nothing can be learnt from it.
    """
    table = read_table(path, options)
    if target not in table.columns:
        raise DataError(f"{path}: {explain_missing([target], table.columns)}")
    if table.is_empty():
        raise DataError(f"{path}: has no rows below its header")
    labels = infer_target(table[target], task=task, positive=positive)
    given = labels_given(table[target], labels.classes)
    columns = infer_columns(table.filter(given.is_not_null()), target, ignored)
    features = tuple(column.feature for column in columns if column.feature is not None)
    dataset = Dataset(
        name=dataset_name(path),
        source=path.name,
        features=features,
        target=target,
        classes=labels.classes,
        files=(RemoteFile(name=path.name),),
        parse=table_parser(features, target, labels.classes, options),
    )
    return InferredDataset(dataset, path, table.height, columns, labels, options)


def dataset_name(path: Path) -> str:
    """A name for the model and its files: the file's own, in letters, digits and underscores."""
    name = re.sub(r"\W+", "_", path.name.partition(".")[0]).strip("_")
    return name if name.isidentifier() else f"data_{name}".rstrip("_")


def schema_lines(inferred: InferredDataset) -> list[str]:
    """The schema for a person to read: the target, then a line for each column."""
    kept = [column for column in inferred.columns if column.feature is not None]
    left_out = [column for column in inferred.columns if column.feature is None]
    width = max(len(_shown(column)) for column in inferred.columns)
    lines = [
        f"{inferred.path}: {inferred.rows:,} rows, {len(kept)} features",
        f"  target   {inferred.dataset.target}: {inferred.target.reason}",
    ]
    lines += [
        f"  {_kind(column.feature):8} {_shown(column):{width}}  {column.reason}" for column in kept if column.feature
    ]
    return lines + [f"  left out {_shown(column):{width}}  {column.reason}" for column in left_out]


def _shown(column: Column) -> str:
    return column.name if column.name.isprintable() else repr(column.name)


def _kind(feature: FeatureSpec) -> str:
    return type(feature).__name__.lower()


def doubts(inferred: InferredDataset) -> list[str]:
    """A sentence for each column in which numbers were probably meant."""
    return [
        f"column {column.name!r} is {'left out' if column.feature is None else 'one of categories'}: {column.reason}; "
        "correct the file, or name the column in IGNORE="
        for column in inferred.columns
        if column.doubtful
    ]


def module_text(inferred: InferredDataset) -> str:
    """The data set as a Python module, to be edited and named in `DATASET=`."""
    return "\n".join(_module_lines(inferred)) + "\n"


def _module_lines(inferred: InferredDataset) -> Iterator[str]:
    dataset, options = inferred.dataset, inferred.options
    types = sorted({type(feature).__name__ for feature in dataset.features})
    yield f'"""The data set of {inferred.path.name}, as `make train CSV=` inferred it.'
    yield ""
    yield "Edit it (descriptions, ranks, nullable columns), then train with DATASET=this file, DATA_DIR=the folder of"
    yield f"{inferred.path.name}."
    yield '"""'
    yield ""
    if options != AS_NAMED:
        yield "from training.data.table_files import CsvOptions"
    yield "from training.data.typed import table_parser"
    yield f"from training.dataset import {', '.join(['Dataset', *types, 'RemoteFile'])}"
    yield ""
    yield f"TARGET = {dataset.target!r}"
    yield f"CLASSES = {dataset.classes!r}  # {inferred.target.reason}"
    yield "FEATURES = ("
    for column in inferred.columns:
        if column.feature is None:
            yield f"    # left out: {column.name!r}, {column.reason}"
        else:
            yield f"    # {column.reason}"
            yield f"    {_call(column.feature)},"
    yield ")"
    yield ""
    yield "DATASET = Dataset("
    yield f"    name={dataset.name!r},"
    yield f"    source={dataset.source!r},"
    yield "    features=FEATURES,"
    yield "    target=TARGET,"
    yield "    classes=CLASSES,"
    yield f"    files=(RemoteFile(name={inferred.path.name!r}),),"
    yield f"    parse=table_parser(FEATURES, TARGET, CLASSES{'' if options == AS_NAMED else f', {options!r}'}),"
    yield ")"


def _call(feature: FeatureSpec) -> str:
    """The feature as a call in Python, without arguments that have their default values."""
    given = [(field.name, getattr(feature, field.name)) for field in fields(feature)]
    changed = [(name, value) for name, value in given if name == "name" or value]
    return f"{type(feature).__name__}({', '.join(f'{name}={value!r}' for name, value in changed)})"
