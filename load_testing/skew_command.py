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

from bundle.command_line import REPORTS, Parser
from bundle.errors import BundleError
from bundle.lock import owning_reports
from bundle.result import write_result
from bundle.table import to_text
from load_testing.cpus import available_cpus
from load_testing.model_result import origin
from load_testing.payloads import Reference, read_reference
from load_testing.scenarios import parse_address
from load_testing.services import ServiceError, running, usable_services
from load_testing.skew_measurement import measure_skew, served_model
from load_testing.skew_report import SkewReport


def measure_all(urls: Sequence[str], models: Path, reference: Reference) -> SkewReport:
    """The skew of the services at `urls`, or if there are none, of each available service, started one by one.

    Raises:
        ServiceError: a service serves another model, or does not start.
    """
    manifest = reference.manifest
    for url in urls:
        if (served := served_model(url)) not in (None, (manifest.name, manifest.version)):
            raise ServiceError(
                f"{url} serves {' '.join(served or ())}, and {models} holds {manifest.name} {manifest.version}; "
                "name the folder of its bundle with MODELS="
            )
    rows = [row for url in urls for row in measure_skew(url, url, reference)]
    left_out: tuple[str, ...] = ()
    if not urls:
        specs, left_out = usable_services(manifest)
        for spec in specs.values():
            with running(spec, models, available_cpus(), workers=1) as service:
                rows += measure_skew(spec.name, service.url, reference)
    return SkewReport(**origin(manifest), skew=tuple(rows), left_out=left_out)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser("load_testing skew", __doc__.partition("\n")[0])
    parser.add_argument(
        "--hosts", nargs="+", default=[], metavar="URL", help="services that run already (default: start all)"
    )
    parser.add_folders(REPORTS)
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
        with owning_reports(given.reports):
            report = measure_all(given.hosts, given.models, read_reference(given.models))
            paths = write_result(report, given.reports)
    except (BundleError, ServiceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(*map(to_text, report.tables()), *report.notes(), *paths, sep="\n")
    return 0 if report.ok else 1
