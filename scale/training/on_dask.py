"""Rows that a Dask cluster's workers read, each its own files; together they grow one model with XGBoost.

Workers and client see the files under the same paths. Each step of a run connects to the cluster anew, so that none is
needed while the study runs.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from distributed import Client

from scale.cluster.collect import in_order
from scale.cluster.connection import connected
from scale.training.dask_trees import grow_on_workers
from scale.training.partitioned import fit_partitioned, predict_part
from scale.training.partitions import ForEach, Partition, Partitions, Result, Shared
from scale.training.sample import Plan, survey
from training.data.prepare import PreparedRows
from training.dataset import Parameters
from training.model.evaluation import Scored
from training.model.fitting import Model
from training.model.score import Score

PACKAGES = ("bundle", "scale", "training")


@contextmanager
def for_each_on(scheduler: str) -> Iterator[tuple[Client, ForEach]]:
    """A client of the cluster, and a function that applies another to all partitions there."""
    with connected(scheduler, PACKAGES) as client:
        yield client, partial(_for_each, client)


def _for_each(
    client: Client, function: Callable[[Shared, Partition], Result], shared: Shared, partitions: Sequence[Partition], /
) -> Iterator[Result]:
    everywhere = client.scatter(shared, broadcast=True, hash=False)
    yield from in_order(client, [client.submit(function, everywhere, part, pure=False) for part in partitions])


@dataclass(frozen=True)
class OnDask:
    """The prepared rows are a sample of the partitions'. `scheduler` "" stands for local workers."""

    partitions: Partitions
    plan: Plan
    scheduler: str

    def prepare(self) -> PreparedRows:
        """The sample, as `survey` takes it.

        Raises:
            DataError: a row isn't what the data set declares.
            ClusterError: the cluster can't be used.
        """
        with for_each_on(self.scheduler) as (_, for_each):
            return survey(self.partitions, self.plan, for_each)

    def fit(self, rows: PreparedRows, parameters: Parameters, score: Score, *, seed: int) -> Model:
        """A fit on all training rows, then the threshold on validation rows."""
        with for_each_on(self.scheduler) as (client, for_each):
            grow = partial(grow_on_workers, client, rows, self.partitions, self.plan.training)
            return fit_partitioned(rows, self.partitions, self.plan, parameters, score, grow, for_each, seed=seed)

    def score_held_out(self, model: Model) -> Scored:
        """Score all held-out rows on the workers."""
        with for_each_on(self.scheduler) as (_, for_each):
            return predict_part(model.pipeline, self.partitions, self.plan.held_out, "held out", for_each)
