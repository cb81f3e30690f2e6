"""Where the rows are while a model is made of them: all in memory, or in files with a sample in memory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from scale.training.external import fit_external
from scale.training.partitioned import predict_part
from scale.training.partitions import Partitions, open_partitions
from scale.training.sample import Plan, plan_parts, survey
from training.data.rows import PreparedRows, prepare_rows
from training.data.sources import load_rows
from training.dataset import Dataset
from training.errors import TrainingError
from training.export.artifacts import BundleContents
from training.model.evaluation import Scored
from training.model.fitting import Model, fit_model
from training.model.folds import Fold
from training.model.pipeline import Parameters

EngineName = Literal["memory", "external", "dask"]
ENGINES: tuple[EngineName, ...] = ("memory", "external", "dask")


class Engine(Protocol):
    """What a run asks of the rows beyond those that the study sees."""

    def fit(self, rows: PreparedRows, folds: list[Fold], parameters: Parameters, *, seed: int, threads: int) -> Model:
        """The model of all training rows."""
        ...

    def score_held_out(self, rows: PreparedRows, model: Model, contents: BundleContents) -> Scored:
        """What the model gives for all held-out rows."""
        ...


class InMemory:
    """The prepared rows are all there are."""

    def fit(self, rows: PreparedRows, folds: list[Fold], parameters: Parameters, *, seed: int, threads: int) -> Model:
        """Threshold on out-of-fold predictions, then a fit on all training rows."""
        return fit_model(rows, folds, parameters, seed=seed, threads=threads)

    def score_held_out(self, rows: PreparedRows, model: Model, contents: BundleContents) -> Scored:  # noqa: ARG002
        """They stand in the bundle, and the parity gate has passed them through the model already."""
        return Scored(rows.held_out_target, contents.held_out_probability)


@dataclass(frozen=True)
class External:
    """The prepared rows are a sample of the partitions'."""

    partitions: Partitions
    plan: Plan

    def fit(self, rows: PreparedRows, folds: list[Fold], parameters: Parameters, *, seed: int, threads: int) -> Model:  # noqa: ARG002
        """A fit on all training rows, then the threshold on validation rows."""
        return fit_external(rows, self.partitions, self.plan, parameters, seed=seed, threads=threads)

    def score_held_out(self, rows: PreparedRows, model: Model, contents: BundleContents) -> Scored:  # noqa: ARG002
        """All of them, from the files."""
        return predict_part(model.pipeline, self.partitions, self.plan.held_out, "held out")


def load_in_memory(dataset: Dataset, source: str, folder: Path, *, seed: int) -> tuple[PreparedRows, Engine]:
    """All rows; `source` and `folder` as `load_rows` takes them.

    Raises:
        TrainingError: the rows can't be had, or are not what the data set declares.
    """
    return prepare_rows(dataset, load_rows(dataset, source, folder, seed=seed)), InMemory()


def load_partitioned(
    dataset: Dataset, folder: Path, sample_rows: int, *, scheduler: str | None
) -> tuple[PreparedRows, Engine]:
    """A sample of the rows of Parquet files. `scheduler` of a Dask cluster; "": a local one, None: no cluster.

    Raises:
        TrainingError: the files can't be read, or a row is not what the data set declares.
        ClusterError: the cluster can't be used.
    """
    partitions = open_partitions(dataset, folder if scheduler is None else folder.absolute())
    plan = plan_parts(dataset, partitions.rows, sample_rows)
    if scheduler is None:
        return survey(partitions, plan), External(partitions, plan)
    try:
        from scale.training.on_dask import OnDask  # noqa: PLC0415 - only this engine needs Dask
    except ImportError as error:
        raise TrainingError(f"ENGINE=dask needs Dask (the extra `cluster` in pyproject.toml): {error}") from error
    engine = OnDask(partitions, plan, scheduler)
    return engine.prepare(), engine
