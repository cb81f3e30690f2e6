"""Compare the answers of the services with the reference predictions of the bundle.

    python -m load_testing skew                                 # starts the services itself
    python -m load_testing skew --hosts http://127.0.0.1:8001   # asks a running one

Exit status: 0 no skew, 1 skew or a failure.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bundle.command_line import Parser, file_path
from bundle.errors import BundleError
from load_testing.command_results import SkewReport, origin, write_result
from load_testing.cpus import available_cpus
from load_testing.payloads import Reference, read_reference
from load_testing.scenarios import parse_address
from load_testing.services import ServiceError, known_services, running
from load_testing.skew_measurement import SkewRow, measure_skew

_HEAD = ("service", "route", "rows", "prediction match", "probability match", "max diff", "MAE", "time")


def measure_all(urls: Sequence[str], models: Path, reference: Reference) -> SkewReport:
    """The skew of the services at `urls`, or if there are none, of each available service, started one by one."""
    rows = [row for url in urls for row in measure_skew(url, url, reference)]
    left_out: tuple[str, ...] = ()
    if not urls:
        specs = known_services()
        left_out = () if "axum" in specs else ("axum: its release binary isn't built",)
        for spec in specs.values():
            with running(spec, models, available_cpus(), workers=1) as service:
                rows += measure_skew(spec.name, service.url, reference)
    return SkewReport(**origin(reference.manifest), skew=tuple(rows), left_out=left_out)


def format_table(rows: Sequence[SkewRow]) -> str:
    """The skew table as text, then what failed and a sample of the differing rows."""
    table = [_HEAD, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    align = [str.ljust, str.ljust, *[str.rjust] * (len(_HEAD) - 2)]
    lines = ["  ".join(map(lambda pad, text, width: pad(text, width), align, row, widths)) for row in table]
    for row in rows:
        where = f"{row.service} {row.route}"
        lines += [f"{where}: {count} failed: {reason}" for reason, count in row.failures.items()]
        lines += [
            f"{where}: row {m.row} ({m.case}): expected {m.expected_label} with P {m.expected_probability:.7f}, "
            f"served {m.served_label} with P {m.served_probability}"
            for m in row.result.mismatches
        ]
    return "\n".join(lines)


def _cells(row: SkewRow) -> tuple[str, ...]:
    result = row.result
    return (
        row.service,
        row.route,
        f"{result.rows:,}",
        f"{result.prediction_match:.3f} %",
        f"{result.probability_match:.3f} %",
        f"{result.max_abs_difference:.1e}",
        f"{result.mean_abs_difference:.1e}",
        f"{row.seconds:.1f} s",
    )


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser("load_testing skew", __doc__.partition("\n")[0])
    parser.add_argument("--hosts", nargs="+", default=[], metavar="URL", help="running services (default: starts all)")
    parser.add_argument("--models", type=file_path, default=Path("models"), help="folder of the bundle")
    parser.add_argument("--reports", type=file_path, default=Path("reports"), help="folder for skew.json")
    given = parser.read(arguments)
    try:
        for url in given.hosts:
            parse_address(url)
    except ValueError as error:
        parser.error(f"--hosts: {error}")
    return given


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 no skew, 1 skew or a failure."""
    given = parse_arguments(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the services it started are stopped
    try:
        report = measure_all(given.hosts, given.models, read_reference(given.models))
        path = write_result(report, given.reports, "skew")
    except (BundleError, ServiceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(format_table(report.skew), *(f"left out: {reason}" for reason in report.left_out), path, sep="\n")
    return 0 if all(row.clean for row in report.skew) else 1
