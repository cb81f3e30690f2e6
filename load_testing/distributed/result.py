"""The result of a run against a running service, by one process or by many: what `load.json` holds."""

from datetime import datetime
from typing import Literal

import msgspec

from bundle.machine import Machine
from load_testing.distributed.messages import BundleIdentity, WorkerReport
from load_testing.plan import LoadResult, merge_results

_BUSY = 0.9

State = Literal["complete", "left", "lost"]


class WorkerResult(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's last report; None if it was never heard of after the start.

    `complete`: it said at the end that this is all. `left`: it was told to end before the run did. `lost`: it went
    silent, and what it did after this report is not in any figure.
    """

    name: str
    state: State
    report: WorkerReport | None

    @property
    def busy(self) -> float:
        """Share of the time in which it used a CPU or waited for one, 0 to 1: near 1 it was at its limit."""
        if self.report is None:
            return 0.0
        load = self.report.load
        return (load.cpu_seconds + load.waiting_seconds) / (load.seconds * load.processes)

    @property
    def at_limit(self) -> bool:
        """It could not have sent much more."""
        return self.busy > _BUSY


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `users` and `seconds` are what was asked for (`seconds` None: until it was stopped).

    `errors` are exceptions inside Locust's users, which make the figures meaningless.
    """

    model: str
    bundle: BundleIdentity
    data_source: str
    created: datetime
    command: str
    machine: Machine
    service: str
    scenarios: tuple[str, ...]
    users: int
    seconds: float | None
    workers: tuple[WorkerResult, ...]
    errors: tuple[str, ...] = ()

    @property
    def load(self) -> LoadResult | None:
        """All workers' reports merged; None if nothing was answered."""
        loads = [worker.report.load for worker in self.workers if worker.report and worker.report.load.requests]
        return merge_results(loads) if loads else None

    @property
    def faults(self) -> list[str]:
        """Why the run failed; empty if every answer was right, and nobody was missing."""
        load = self.load
        if load is None:
            return ["No request was answered.", *self._missing()]
        found = []
        if load.failed:
            found.append(f"{load.failed:,} of {load.requests:,} requests failed, {load.wrong:,} of them wrong answers.")
        return [*found, *self._missing(), *(f"A user broke off: {error}" for error in self.errors)]

    @property
    def clean(self) -> bool:
        """Every request was answered rightly, by all users on all workers."""
        return not self.faults

    def _missing(self) -> list[str]:
        found = []
        for worker in self.workers:
            if worker.state != "complete":
                verb = "was lost" if worker.state == "lost" else "ended before the run did"
                found.append(f"Worker {worker.name} {verb}: {_kept(worker.report)}")
        users = sum(worker.report.users for worker in self.workers if worker.report)
        if users < self.users and all(worker.report for worker in self.workers):
            found.append(f"Only {users} of the {self.users} users had been started when the run ended.")
        return found


def _kept(report: WorkerReport | None) -> str:
    """What of a worker that is gone is in the figures."""
    if report is None:
        return "nothing that it did is in the figures."
    return (
        f"the {report.load.requests:,} requests of its first {report.load.seconds:.1f} s are in the figures, what its "
        f"{report.users} users did later is not."
    )
