"""The options of a training run, from its command line."""

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from bundle.command_line import Parser, file_path, real_number, whole_number
from training.data.csv_options import add_csv_options, read_csv_options
from training.data.file_dataset import InferredDataset, doubts, infer_dataset, schema_lines
from training.data.sources import AUTO
from training.dataset import Dataset
from training.errors import TrainingError
from training.tuning.choose_trial import RULES, Rule

MOST_SEED = (1 << 31) - 1
"""The largest seed that all the libraries take."""


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
    score: str = ""
    latency: bool = False
    choice: Rule = RULES[0]
    strict: bool = False
    patience: int = 0
    trial: int | None = None
    max_us: float | None = None
    own_file: InferredDataset | None = None


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; wrong usage exits with status 2."""
    parser = Parser("training train", "Tune, fit, prove parity, publish a bundle.")
    parser.add_argument("--data", default=AUTO, help="auto, the data set's own source, or synthetic")
    add_options(parser)
    add_file_options(parser)
    given = vars(parser.read(arguments))
    given |= _own_file(parser, given)
    return make_options(parser, given)


def add_options(parser: Parser) -> None:
    """What every training command takes, wherever its rows are."""
    parser.add_argument("--dataset", type=load_dataset, default="training.adult", help="module with a DATASET")
    parser.add_argument("--data-dir", type=file_path, default=Path("data/adult"), help="folder of the raw files")
    parser.add_argument(
        "--trials", type=whole_number(1), default=100, help="how many finished trials the study should have"
    )
    parser.add_argument(
        "--patience",
        type=whole_number(0),
        default=0,
        help="end the study after so many trials in a row without a better score or a cheaper model (default: off)",
    )
    parser.add_argument(
        "--seed", type=whole_number(0, MOST_SEED), default=42, help="seed of the folds, the sampler and the model"
    )
    parser.add_argument("--storage", default="", help="Optuna storage URL (default: a file in the reports folder)")
    parser.add_argument("--fresh", action="store_true", help="forget the study's earlier trials")
    parser.add_argument("--if-missing", action="store_true", help="do nothing if a whole bundle is there already")
    parser.add_argument("--tune-only", action="store_true", help="help with a shared study, and publish nothing")
    parser.add_folders(Path("reports/training"))
    parser.add_argument("--score", default="", help="f<beta> or a scorer of scikit-learn (default: the data set's own)")
    parser.add_argument("--objective", default="", help="SCORE,latency: optimise latency as well (a Pareto front)")
    parser.add_argument("--strict", action="store_true", help="publish nothing if the model has learnt nothing")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--trial", type=whole_number(0), help="publish this trial of the study")
    choice.add_argument("--max-us", type=real_number(), help="publish the best trial of at most so many µs a row")
    choice.add_argument(
        "--choice",
        choices=RULES,
        default=RULES[0],
        help="small: the smallest of the trials that are as good as the best",
    )


def add_file_options(parser: argparse.ArgumentParser) -> None:
    """The options that make a single file the data set."""
    group = parser.add_argument_group("a file of your own, in place of --dataset, --data and --data-dir")
    group.add_argument(
        "--csv",
        type=file_path,
        help="CSV, TSV or Parquet file, here or in the data folder; its schema is inferred and printed",
    )
    group.add_argument("--target", default="", help="the column to predict")
    group.add_argument("--positive", default="", help="of two classes, the one whose probability is scored")
    group.add_argument("--ignore", default="", help="columns that are not features, separated by commas")
    group.add_argument(
        "--task", choices=("classification", "regression"), default="", help="default: inferred from the target"
    )
    add_csv_options(group)


def _own_file(parser: argparse.ArgumentParser, given: dict[str, Any]) -> dict[str, Any]:
    """The data set of the file that the options name; its schema is printed. File options are removed from `given`."""
    path, target = given.pop("csv"), given.pop("target")
    csv = read_csv_options(given.pop("separator"), given.pop("empty"))
    named = {name: given.pop(name) for name in ("positive", "ignore", "task")}
    if path is None:
        others = [name for name, value in {"target": target, **named, "separator": csv.separator}.items() if value]
        if others:
            parser.error(f"--{others[0]} is for --csv, the file to train on")
        return {}
    if not target:
        parser.error("--csv needs --target, the column to predict")
    if not path.is_absolute() and not path.exists() and (given["data_dir"] / path).exists():
        path = given["data_dir"] / path
    ignored = [name.strip() for name in named["ignore"].split(",") if name.strip()]
    try:
        inferred = infer_dataset(
            path, target, positive=named["positive"], ignored=ignored, task=named["task"], options=csv
        )
    except TrainingError as error:
        parser.exit(1, f"error: {error}\n")
    print("\n".join(schema_lines(inferred)), flush=True)
    for doubt in doubts(inferred):
        print(f"warning: {doubt}", file=sys.stderr)
    return {"dataset": inferred.dataset, "data": AUTO, "data_dir": path.parent, "own_file": inferred}


def make_options(parser: argparse.ArgumentParser, given: dict[str, Any]) -> Options:
    """The options that `add_options` has added, as they were given; wrong ones exit with status 2."""
    score, _, latency = given.pop("objective").partition(",")
    if latency not in ("", "latency") or (score and given["score"] not in ("", score)):
        parser.error("--objective is a score, or a score and latency, such as f2,latency; --score can't be another one")
    given |= {"score": given["score"] or score, "latency": bool(latency)}
    if given["max_us"] is not None and not latency:
        parser.error("--max-us: a study of a score alone measures no latency; give --objective f2,latency")
    storage = given["storage"] or f"sqlite:///{given['reports'] / 'study.db'}"
    return Options(**{**given, "storage": storage})


def load_dataset(module: str) -> Dataset:
    """The DATASET of a module, which is named as in an import or by its file (`models/customers.py`), as the type of an
    option.

    Raises:
        ArgumentTypeError: the module can't be imported, or has no DATASET.
    """
    try:
        loaded = _load_file(Path(module).expanduser()) if module.endswith(".py") else importlib.import_module(module)
        dataset = loaded.DATASET
    except Exception as error:  # a user's own module may raise anything
        raise argparse.ArgumentTypeError(f"{module}: {error or type(error).__name__}") from error
    if not isinstance(dataset, Dataset):
        raise argparse.ArgumentTypeError(f"{module}: DATASET must be a Dataset, not {type(dataset).__name__}")
    return dataset


def _load_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError("no such file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # so that what it defines can be pickled
    spec.loader.exec_module(module)
    return module
