"""The options of a training run, from its command line."""

import argparse
import importlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data.sources import AUTO
from training.dataset import Dataset
from training.tuning.study import OBJECTIVES, ObjectiveName


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
    objective: ObjectiveName = OBJECTIVES[0]
    trial: int | None = None
    max_us: float | None = None


def parse_options(arguments: list[str] | None = None) -> Options:
    """Read the command line; wrong usage exits with status 2."""
    parser = argparse.ArgumentParser(
        prog="training.train", description="tune, fit, prove parity, publish", allow_abbrev=False
    )
    parser.add_argument("--data", default=AUTO, help="auto, the data set's own source, or synthetic")
    add_options(parser)
    return make_options(parser, vars(parser.parse_args(arguments)))


def add_options(parser: argparse.ArgumentParser) -> None:
    """What every training command takes, wherever its rows are."""
    parser.add_argument("--dataset", default="training.adult", help="module with a DATASET (default: %(default)s)")
    parser.add_argument("--data-dir", type=Path, default=Path("data/adult"), help="folder of the raw files")
    parser.add_argument("--trials", type=positive, default=100, help="finished trials the study shall have")
    parser.add_argument("--seed", type=_seed, default=42, help="seed of the folds, the sampler and the model")
    parser.add_argument("--storage", default="", help="Optuna storage URL (default: a file in the reports folder)")
    parser.add_argument("--fresh", action="store_true", help="forget the study's earlier trials")
    parser.add_argument("--if-missing", action="store_true", help="do nothing if a whole bundle is there already")
    parser.add_argument("--tune-only", action="store_true", help="help with a shared study, and publish nothing")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the bundle is published")
    parser.add_argument("--reports", type=Path, default=Path("reports/training"), help="where the report goes")
    parser.add_argument("--objective", choices=OBJECTIVES, default=OBJECTIVES[0], help="f2,latency: their Pareto front")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--trial", type=int, help="publish this trial of the study")
    choice.add_argument("--max-us", type=_microseconds, help="publish the best F2 in at most so many µs a row")


def make_options(parser: argparse.ArgumentParser, given: dict[str, Any]) -> Options:
    """The options that `add_options` has added, as they were given; wrong ones exit with status 2."""
    if given["max_us"] is not None and given["objective"] != "f2,latency":
        parser.error("--max-us: a study of F2 alone measures no latency; it takes --objective f2,latency")
    try:
        dataset = importlib.import_module(given["dataset"]).DATASET
    except (ImportError, AttributeError, ValueError) as error:
        parser.error(f"--dataset: {error}")
    storage = given["storage"] or f"sqlite:///{given['reports'] / 'study.db'}"
    return Options(**{**given, "dataset": dataset, "storage": storage})


def positive(text: str) -> int:
    """A whole number above 0."""
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
