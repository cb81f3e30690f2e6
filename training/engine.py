"""Where the rows are while a model is made of them: all in memory, or in files with a sample in memory."""

from dataclasses import dataclass
from typing import Literal, Protocol

from training.contents import BundleContents
from training.evaluation import Scored
from training.external import fit_external, predict_part
from training.folds import Fold
from training.model import Model, fit_model
from training.partitions import Partitions
from training.pipeline import Parameters
from training.rows import PreparedRows
from training.survey import Plan

EngineName = Literal["memory", "external"]
ENGINES: tuple[EngineName, ...] = ("memory", "external")


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


def _conforms(memory: InMemory, external: External) -> tuple[Engine, Engine]:
    return memory, external
