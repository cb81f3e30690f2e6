"""Write a benchmark's result as JSON, as Markdown, and as one self-contained HTML page."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bundle.files import encode_result, write_files
from load_testing.results import Benchmark, Cell, Spread

TEMPLATES = Path(__file__).parent / "templates"
BASIS = "pickle"


@dataclass(frozen=True)
class Line:
    """A table line: a cell, and how it compares with the basis in requests/s and in CPU ("" for the basis itself)."""

    cell: Cell
    rate_ratio: str
    cpu_ratio: str


@dataclass(frozen=True)
class Scenario:
    """The lines of one scenario, and the largest values, which are the full width of its charts."""

    name: str
    lines: tuple[Line, ...]
    highest_rate: float
    highest_cpu: float
    highest_p99: float


def write_reports(result: Benchmark, folder: Path) -> list[Path]:
    """Write `benchmark.json`, `.md` and `.html` into the folder, replacing earlier ones. Returns their paths."""
    contents = {
        "benchmark.json": encode_result(result),
        "benchmark.md": render(result, "report.md.j2").encode(),
        "benchmark.html": render(result, "report.html.j2").encode(),
    }
    return write_files(folder, contents)


def render(result: Benchmark, template: str) -> str:
    """The result as a template of this package shows it."""
    services = [facts.service for facts in result.services]
    return render_template(
        template,
        result=result,
        scenarios=scenarios(result),
        basis=basis(services),
        services=services,
        notes=notes(result),
    )


def render_template(template: str, **context: object) -> str:
    """A template of this package, with what it is given."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[..., str]] = {"figure": figure, "spread": spread, "size": size, "share": share}
    environment.filters.update(filters)
    return environment.get_template(template).render(context)


def basis(services: Sequence[str]) -> str:
    """The service that the others are compared with: the pickle service, or the first one where it wasn't measured."""
    return BASIS if BASIS in services else services[0]


def scenarios(result: Benchmark) -> list[Scenario]:
    """The cells by scenario, in the order in which they were measured."""
    against = basis([facts.service for facts in result.services])
    found = []
    for name in dict.fromkeys(cell.scenario for cell in result.cells):
        cells = [cell for cell in result.cells if cell.scenario == name]
        compared = next(cell for cell in cells if cell.service == against)
        found.append(
            Scenario(
                name=name,
                lines=tuple(_compare(cell, compared) for cell in cells),
                highest_rate=max(cell.requests_per_second.median for cell in cells),
                highest_cpu=max(cell.cpu_ms_per_request.median for cell in cells),
                highest_p99=max(cell.p99_ms.median for cell in cells),
            )
        )
    return found


def _compare(cell: Cell, against: Cell) -> Line:
    if cell is against:
        return Line(cell, "", "")
    rate = cell.requests_per_second.median / against.requests_per_second.median
    own, other = cell.cpu_ms_per_request.median, against.cpu_ms_per_request.median
    if not own or not other:  # a run so short that the kernel's clock saw no CPU time
        return Line(cell, f"{figure(rate)}x", "")
    cpu = f"{figure(other / own)}x less" if own <= other else f"{figure(own / other)}x more"
    return Line(cell, f"{figure(rate)}x", cpu)


def notes(result: Benchmark) -> list[str]:
    """What a reader must know in order not to read too much into the figures."""
    users = result.protocol.users
    found = [
        "Services and load generators ran on one machine, over the loopback interface: there is no network in these "
        "figures, and their absolute size is that of this machine. Ratios travel better; CPU per request hardly "
        "depends on the load generator.",
        f"Closed loop: {users} clients on kept-open connections; each sends its next request when it has the answer to "
        "its last. The latencies are those of a saturated service (about clients ÷ requests/s), not those of a lightly "
        "loaded one.",
        "Every answer under load was checked against the reference predictions of the bundle; a wrong one is a failed "
        "request.",
    ]
    if result.data_source == "synthetic":
        found.append("The model was trained on synthetic rows.")
    if result.protocol.shared_cpu:
        found.append(
            "Services and load generators shared a single CPU: requests/s and latencies hold for both together."
        )
    bound = [cell for cell in result.cells if cell.generator_bound]
    if bound:
        found.append(f"The load generator was the bottleneck, and the service could do more: {_names(bound)}.")
    idle = [cell for cell in result.cells if cell.idle]
    if idle:
        found.append(
            "Neither side was at its limit (too few clients, or something else took CPU time), so that requests/s and "
            f"latencies say little: {_names(idle)}."
        )
    return [*found, *(f"Not measured: {reason}." for reason in result.left_out)]


def _names(cells: Sequence[Cell]) -> str:
    return ", ".join(f"{cell.service} in {cell.scenario}" for cell in cells)


def figure(value: float) -> str:
    """Three significant digits, and all digits before the point."""
    if value == 0:
        return "0"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def spread(value: Spread) -> str:
    """Median, with lowest and highest if they differ from it as written."""
    median, lowest, highest = figure(value.median), figure(value.lowest), figure(value.highest)
    return median if lowest == highest else f"{median} ({lowest} to {highest})"


def size(count: float) -> str:
    """Bytes in KB, MB or GB (powers of ten)."""
    unit, divisor = ("GB", 1e9) if count >= 1e9 else ("MB", 1e6) if count >= 1e6 else ("KB", 1e3)
    return f"{count / divisor:,.1f} {unit}"


def share(value: float, whole: float) -> str:
    """Percent of the whole, as CSS takes it."""
    return f"{100 * value / whole if whole else 0:.2f}%"
