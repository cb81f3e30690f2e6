"""`make train ENGINE=external` or `ENGINE=dask`: train on partitioned Parquet files, with a sample of them in memory.

The study sees the sample; the model is fitted on all training rows and scored on all held-out rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bundle.command_line import Parser, whole_number
from bundle.manifest import Manifest
from scale.cluster.errors import ClusterError
from scale.training.external import External
from scale.training.partitions import Partitions, open_partitions
from scale.training.sample import plan_parts
from training.data.found_files import listing
from training.data.prepare import PreparedRows
from training.dataset import Dataset, Parameters
from training.errors import TrainingError
from training.export.artifacts import make_contents
from training.export.publish import check_vacant
from training.model.evaluation import Scored
from training.model.fitting import Model
from training.model.score import Score, parse_score
from training.options import Options, add_options, make_options
from training.train import connect_storage, publish_model, run_and_tell, tune, warn_of_coarse_numbers

EngineName = Literal["external", "dask"]
ENGINES: tuple[EngineName, ...] = ("external", "dask")
SAMPLE_ROWS = 200_000


class Engine(Protocol):
    """What reads the files: this process, or a cluster's workers."""

    def prepare(self) -> PreparedRows:
        """The sample."""
        ...

    def fit(self, rows: PreparedRows, parameters: Parameters, score: Score, *, seed: int) -> Model:
        """The model of all training rows."""
        ...

    def score_held_out(self, model: Model) -> Scored:
        """What the model gives for all held-out rows."""
        ...


@dataclass(frozen=True)
class PartitionedOptions:
    """The command line, typed. `run` is what every training run takes; `scheduler` "" starts local workers.
    `skip`: files that can't be read are left out.
    """

    run: Options
    engine: EngineName = ENGINES[0]
    sample_rows: int = SAMPLE_ROWS
    scheduler: str = ""
    skip: bool = False


def parse_partitioned_options(arguments: Sequence[str] | None = None) -> PartitionedOptions:
    """Read the command line; wrong usage exits with status 2."""
    parser = Parser("scale train", __doc__)
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="what trains on the Parquet files")
    parser.add_argument("--sample-rows", type=whole_number(1), default=SAMPLE_ROWS, help="rows that the study sees")
    parser.add_argument(
        "--scheduler", default="", help="address of the Dask cluster, such as tcp://host:8786 (default: local)"
    )
    parser.add_argument("--skip", action="store_true", help="leave out the files that can't be read, and name them")
    add_options(parser)
    given = vars(parser.read(arguments))
    own = {name: given.pop(name) for name in ("engine", "sample_rows", "scheduler", "skip")}
    if own["scheduler"] and own["engine"] != "dask":
        parser.error("--scheduler is for --engine dask")
    return PartitionedOptions(make_options(parser, {**given, "data": "parquet"}), **own)


def train_partitioned(options: PartitionedOptions) -> Manifest | None:
    """One whole run, as `training.train.train` does it with all rows in memory.

    Raises:
        TrainingError: the data, the study storage, the cluster or the exported model is not as it must be; nothing is
            published.
        BundleError, OSError: the bundle could not be written; the previous one is whole.
        KeyboardInterrupt: Ctrl-C ended a run that only helps with a study.
    """
    run = options.run
    check_vacant(run.dataset.name, run.models)
    if run.dataset.pipeline is not None:
        raise TrainingError(
            f"ENGINE={options.engine} fits XGBoost; a data set with a pipeline of its own is for ENGINE=memory"
        )
    score = parse_score(run.score or run.dataset.score, run.dataset.task)
    connection = connect_storage(run)
    try:
        engine = open_engine(run.dataset, run.data_dir, options)
        rows = engine.prepare()
        warn_of_coarse_numbers(rows)
        tuned = tune(rows, score, run, connection)
        if tuned is None:
            return None
        model = engine.fit(rows, tuned.choice.trial.params, score, seed=run.seed)
        contents = make_contents(rows, model)
        held_out = engine.score_held_out(model)
    except ClusterError as error:
        raise TrainingError(str(error)) from error
    return publish_model(rows, tuned, model, contents, held_out, run)


def open_engine(dataset: Dataset, folder: Path, options: PartitionedOptions) -> Engine:
    """The engine that the options name, on the Parquet files below `folder`.

    Raises:
        TrainingError: a file can't be read, or Dask is not installed.
    """
    if options.engine == "external":
        partitions = _open(dataset, folder, options)
        return External(partitions, plan_parts(dataset, partitions.rows, options.sample_rows))
    try:
        from scale.training.on_dask import OnDask  # noqa: PLC0415 - only this engine needs Dask
    except ImportError as error:
        raise TrainingError(f"ENGINE=dask needs Dask (the extra `cluster` in pyproject.toml): {error}") from error
    partitions = _open(dataset, folder.absolute(), options)
    return OnDask(partitions, plan_parts(dataset, partitions.rows, options.sample_rows), options.scheduler)


def _open(dataset: Dataset, folder: Path, options: PartitionedOptions) -> Partitions:
    partitions = open_partitions(dataset, folder, skip=options.skip)
    read = [(partition.path, partition.rows) for partition in partitions.partitions]
    print("\n".join(listing(read, partitions.left_out)), flush=True)
    return partitions


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: as `training.train.run_and_tell` has it."""
    options = parse_partitioned_options(arguments)
    return run_and_tell(options.run, lambda: train_partitioned(options))
