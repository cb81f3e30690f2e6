"""What was measured over HTTP: the benchmark and the soak."""

from pathlib import Path

from markupsafe import Markup

from experiments.load.soak import SoakReport, table_rows
from experiments.report.files import decode
from experiments.report.page_errors import ReportError
from experiments.report.section import Section, Table, machine_facts
from load_testing.report import figure, render, render_template
from load_testing.results import Benchmark


def benchmark_section(folder: Path) -> Section:
    """The section of `benchmark.json`. Raises ReportError if it's broken."""
    result = _benchmark(folder)
    return Section(
        created=result.created,
        facts=_facts(result),
        key_figures=_key_figures(result),
        ok=result.clean,
        body=Markup(  # noqa: S704  its values are escaped
            render(result, "report_load.html.j2")
            + render_template("report_skew.html.j2", result=result)
            + render(result, "report_notes.html.j2")
        ),
    )


def _benchmark(folder: Path) -> Benchmark:
    path = folder / "benchmark.json"
    result = decode(path, Benchmark)
    scenarios = {cell.scenario for cell in result.cells}
    measured = {(cell.scenario, cell.service) for cell in result.cells}
    services = [facts.service for facts in result.services]
    if not measured or measured != {(scenario, service) for scenario in scenarios for service in services}:
        raise ReportError(f"{path}: not every service has figures in every scenario; measure again, or remove it")
    return result


def _facts(result: Benchmark) -> dict[str, str]:
    plan = result.protocol
    command = {"command": result.command} if result.command else {}
    return command | {
        "model": f"{result.model} {result.version}, trained on data from: {result.data_source}",
        "protocol": f"{plan.users} clients, {plan.seconds:g} s of load per scenario, service and round after "
        f"{plan.warm_up:g} s of warm-up, rounds: {plan.rounds}, {plan.workers} worker(s) per service; figures are "
        "medians of the rounds (lowest to highest)",
        **machine_facts(result.machine),
    }


def _key_figures(result: Benchmark) -> tuple[str, ...]:
    lines = []
    for scenario in list(dict.fromkeys(cell.scenario for cell in result.cells))[:2]:
        rates = (
            f"{cell.service} {figure(cell.requests_per_second.median)}"
            for cell in result.cells
            if cell.scenario == scenario
        )
        lines.append(f"{scenario}, requests/s: {', '.join(rates)}")
    if result.failed_requests:
        lines.append(f"FAILED: {result.failed_requests:,} requests got no right answer")
    if not all(row.clean for row in result.skew):
        lines.append("FAILED: skew")
    return tuple(lines)


def soak_section(folder: Path) -> Section:
    """The section of `soak.json`. Raises ReportError if it's broken."""
    report = decode(folder / "soak.json", SoakReport)
    rows = tuple((name.strip("*"), *texts) for name, texts in table_rows(report.results).items())
    requests = sum(result.load.requests for result in report.results)
    lost = sum(result.load.lost for result in report.results)
    wrong = sum(result.load.wrong.total() for result in report.results)
    hostile = sum(result.hostile.unexpected.total() for result in report.results)
    names = ", ".join(result.service for result in report.results)
    return Section(
        created=report.created,
        facts={"command": report.command, **machine_facts(report.machine)},
        key_figures=(
            f"{names}: {requests:,} requests answered rightly; {lost:,} lost, {wrong:,} wrong, "
            f"{hostile:,} hostile ones answered otherwise than documented",
        ),
        ok=all(result.ok for result in report.results),
        tables=(Table("What became of it", ("", *(result.service for result in report.results)), rows),),
    )
