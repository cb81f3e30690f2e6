"""The smaller measurements: skew, workers, fairness, and the sizes of the images."""

from pathlib import Path

from markupsafe import Markup

from experiments.load.image_sizes import ImagesReport
from experiments.report.files import decode
from experiments.report.section import Section, Table, machine_facts
from load_testing.command_results import FairnessReport, Result, SkewReport, WorkersReport
from load_testing.report import render_template


def skew_section(folder: Path) -> Section:
    """The section of `skew.json`. Raises ReportError if it's broken."""
    result = decode(folder / "skew.json", SkewReport)
    differing = [row for row in result.skew if not row.clean]
    verdict = f"skew in {len(differing)} of" if differing else "no skew in"
    compared = sum(row.result.rows for row in result.skew)
    return Section(
        created=result.created,
        facts=_facts(result),
        key_figures=(f"{verdict} {len(result.skew)} comparisons, {compared:,} rows in them",),
        ok=not differing,
        body=Markup(render_template("report_skew.html.j2", result=result)),  # noqa: S704  its values are escaped
        notes=tuple(f"Not measured: {reason}." for reason in result.left_out),
    )


def workers_section(folder: Path) -> Section:
    """The section of `workers.json`. Raises ReportError if it's broken."""
    result = decode(folder / "workers.json", WorkersReport)
    heads = ("requests", "service", "one worker: CPU µs", "two workers: CPU µs", "two serve", "failed")
    rows = tuple(
        (
            cell.scenario,
            cell.service,
            f"{cell.one_cpu_us.median:,.1f}",
            f"{cell.two_cpu_us.median:,.1f}",
            f"{cell.gain:.2f}x",
            f"{cell.failed:,}",
        )
        for cell in result.cells
    )
    gains = ", ".join(f"{cell.service} {cell.scenario} {cell.gain:.2f}x" for cell in result.cells)
    return Section(
        created=result.created,
        facts=_facts(result),
        key_figures=(f"two workers serve: {gains}",),
        ok=not any(cell.failed for cell in result.cells),
        tables=(Table("CPU time of a request", heads, rows, frozenset({0, 1})),),
    )


def fairness_section(folder: Path) -> Section:
    """The section of `fairness.json`. Raises ReportError if it's broken."""
    result = decode(folder / "fairness.json", FairnessReport)
    heads = ("service", "route", "alone: p50 ms", "p99 ms", "beside: p50 ms", "p99 ms", "p99 ratio", "batch rows/s")
    rows = []
    for cell in result.cells:
        times = (cell.alone_p50_ms, cell.alone_p99_ms, cell.beside_p50_ms, cell.beside_p99_ms)
        shown = (f"{milliseconds:.2f}" for milliseconds in times)
        rows.append((cell.service, cell.route, *shown, f"{cell.p99_ratio:.1f}", f"{cell.batch_rows_per_second:,.0f}"))
    ratios = ", ".join(f"{cell.service} {cell.route} {cell.p99_ratio:.1f}x" for cell in result.cells)
    return Section(
        created=result.created,
        facts=_facts(result),
        key_figures=(f"p99 beside batches of {result.batch_rows:,} rows: {ratios}",),
        tables=(Table("Small requests alone and beside large batches", heads, tuple(rows), frozenset({0, 1})),),
    )


def images_section(folder: Path) -> Section:
    """The section of `images.json`. Raises ReportError if it's broken."""
    result = decode(folder / "images.json", ImagesReport)
    rows = tuple(
        (
            image.image,
            f"{image.bytes / 1e6:,.0f}",
            image.base,
            "-" if image.base_bytes is None else f"{(image.bytes - image.base_bytes) / 1e6:,.0f}",
        )
        for image in result.images
    )
    return Section(
        created=result.created,
        facts={"command": result.command, "docker": result.docker, **machine_facts(result.machine)},
        key_figures=(", ".join(f"{name} {size} MB" for name, size, *_ in rows),),
        tables=(Table("Sizes", ("image", "MB", "built on", "on top of it: MB"), rows, frozenset({0, 2})),),
    )


def _facts(result: Result) -> dict[str, str]:
    model = f"{result.model} {result.version}, trained on data from: {result.data_source}"
    return {"command": result.command, "model": model, **machine_facts(result.machine)}
