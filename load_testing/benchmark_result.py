"""The result of a benchmark: what `benchmark.json` holds, and its tables."""

from typing import ClassVar

from bundle.result import Answer
from bundle.table import Table, three_digits
from load_testing.answer import answer
from load_testing.benchmark_tables import cost_table, overview_table, scenario_table
from load_testing.model_result import ModelResult
from load_testing.results import LoadCell, LoadProtocol, ServiceFacts
from load_testing.skew_measurement import SkewRow
from load_testing.skew_report import skew_table

BASIS = "pickle"


class Benchmark(ModelResult, frozen=True, kw_only=True):
    """A whole benchmark. `left_out` says which services were not measured, and why."""

    title: ClassVar = "Benchmark"
    file: ClassVar = "benchmark.json"
    made_by: ClassVar = "make bench"

    protocol: LoadProtocol
    services: tuple[ServiceFacts, ...]
    cells: tuple[LoadCell, ...]
    skew: tuple[SkewRow, ...]
    left_out: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raise ValueError if a service has no figures in a scenario."""
        measured = {(cell.scenario, cell.service) for cell in self.cells}
        services = [facts.service for facts in self.services]
        if not measured or measured != {(scenario, name) for scenario in self.scenarios() for name in services}:
            raise ValueError("not every service has figures in every scenario")

    @property
    def failed_requests(self) -> int:
        """Requests under load that got no right answer."""
        return sum(cell.failed for cell in self.cells)

    @property
    def ok(self) -> bool:
        """No failed request and no skew."""
        return not self.failed_requests and all(row.clean for row in self.skew)

    @property
    def basis(self) -> str:
        """The service that the others are compared with: the pickle service, or the first one if it wasn't measured."""
        names = [facts.service for facts in self.services]
        return BASIS if BASIS in names else names[0]

    def answer(self) -> Answer:
        """Is ONNX worth it for this model?"""
        return answer(self.model, self.services, self.cells, self.skew, self.left_out, rounds=self.protocol.rounds)

    def facts(self) -> dict[str, str]:
        """Model and protocol."""
        plan = self.protocol
        return super().facts() | {
            "protocol": f"{plan.users} clients; {plan.seconds:g} s of load per scenario, service and round after "
            f"{plan.warm_up:g} s of warm-up; rounds: {plan.rounds}, services alternating; {plan.workers} worker(s) per "
            f"service on CPU {', '.join(map(str, plan.server_cpus))}, load generators on CPU "
            f"{', '.join(map(str, plan.client_cpus))}; medians of the rounds (lowest to highest)"
        }

    def key_figures(self) -> tuple[str, ...]:
        """The answer, requests/s in the first two scenarios, and what failed."""
        lines = [" ".join(self.answer()[:2])]
        for scenario in self.scenarios()[:2]:
            rates = (f"{c.service} {three_digits(c.requests_per_second.median)}" for c in self.cells_of(scenario))
            lines.append(f"{scenario}, requests/s: {', '.join(rates)}")
        if self.failed_requests:
            lines.append(f"FAILED: {self.failed_requests:,} requests got no right answer")
        if not all(row.clean for row in self.skew):
            lines.append("FAILED: skew")
        return tuple(lines)

    def scenarios(self) -> list[str]:
        """In the order in which they were measured."""
        return list(dict.fromkeys(cell.scenario for cell in self.cells))

    def cells_of(self, scenario: str) -> list[LoadCell]:
        """A cell per service."""
        return [cell for cell in self.cells if cell.scenario == scenario]

    def tables(self) -> tuple[Table, ...]:
        """The services side by side, each scenario, their costs other than CPU, and skew."""
        names = [facts.service for facts in self.services]
        scenarios = (scenario_table(name, self.cells_of(name), self.basis) for name in self.scenarios())
        return (overview_table(names, self.cells), *scenarios, cost_table(self.services), skew_table(self.skew))

    def notes(self) -> tuple[str, ...]:
        """What a reader must know to interpret the figures correctly."""
        found = [
            "Services and load generators ran on one machine, over the loopback interface: there is no network in "
            "these figures, and their absolute size is that of this machine. Ratios travel better; CPU per request "
            "hardly depends on the load generator.",
            f"Closed loop: {self.protocol.users} clients on kept-open connections; each sends its next request when it "
            "has the answer to its last. The latencies are those of a saturated service (about clients ÷ requests/s), "
            "not those of a lightly loaded one.",
            "Every answer under load was checked against the reference predictions of the bundle; a wrong one is a "
            "failed request.",
        ]
        if self.data_source == "synthetic":
            found.append("The model was trained on synthetic rows.")
        if self.protocol.shared_cpu:
            found.append("Services and load generators shared a single CPU: requests/s and latencies are of both.")
        return (*found, *(f"Not measured: {reason}." for reason in self.left_out))
