"""Compare recorded rows with those that the model was made from: which features and answers have drifted.

    python -m monitoring drift --record folder --since 7d

Exit status: 0 no drift, 1 drift, 2 it could not be done, 3 no drift was found, but the record is damaged or too small.
"""

import argparse
import sys
from datetime import timedelta

from bundle.command_line import REPORTS, Parser, real_number, whole_number
from bundle.errors import BundleError
from bundle.lock import owning_reports
from bundle.manifest import Manifest, read_manifest
from bundle.result import write_result
from bundle.table import printable, to_text
from load_testing.model_result import origin
from monitoring.drift.counting import Counter, whole_requests
from monitoring.drift.findings import Thresholds, find
from monitoring.drift.pictures import cards
from monitoring.drift.report import DriftReport, shares_of, window_rows
from monitoring.drift.variables import variables_of
from monitoring.errors import RecordError
from monitoring.options import DAMAGED, FAILED, FINE, FOUND, INTERRUPTED, add_record_options
from monitoring.page import render
from monitoring.record.reader import RecordReader
from monitoring.record.rows import Misfit, Shape
from monitoring.record.summary import first_damage, not_read, summarize, versions_seen

MOST_WINDOWS = 100
LONGEST_WINDOW = 24 * 36525
"""Hours: a century."""


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    usual = Thresholds()
    parser = Parser("monitoring drift", __doc__.partition("\n")[0])
    add_record_options(parser)
    parser.add_folders(REPORTS)
    parser.add_argument(
        "--window", type=whole_number(1, LONGEST_WINDOW), default=24, help="length of the windows of time, in hours"
    )
    share = real_number(0, 1)
    parser.add_argument("--alpha", type=share, default=usual.alpha, help="corrected p below which drift counts")
    parser.add_argument("--psi", type=real_number(), default=usual.index, help="least population stability index")
    parser.add_argument("--rate", type=share, default=usual.rate, help="least difference of a rate")
    parser.add_argument(
        "--min-rows", type=whole_number(1), default=usual.least_rows, help="effective rows that a test needs"
    )
    parser.add_argument(
        "--min-requests", type=whole_number(2), default=usual.least_requests, help="requests that a test needs"
    )
    parser.add_argument("--ignore", default="", help="features that are expected to change, separated by commas")
    given = parser.read(arguments)
    given.ignore = [name.strip() for name in given.ignore.split(",") if name.strip()]
    return given


def measure(given: argparse.Namespace) -> DriftReport:
    """The whole comparison.

    Raises:
        RecordError, BundleError: it can't be done.
    """
    manifest = read_manifest(given.models)
    names = sorted(feature.name for feature in manifest.features)
    if unknown := [name for name in given.ignore if name not in names]:
        raise BundleError(f"IGNORE={','.join(unknown)}: the model has no such feature; it has {', '.join(names)}")
    counter = Counter([v for v in variables_of(manifest) if v.name not in given.ignore or v.place != "feature"],
                      manifest, timedelta(hours=given.window))  # fmt: skip
    reader = RecordReader(given.record, given.since)
    count_rows(counter, manifest, reader)
    record = summarize(given.record, reader.reading)
    if not counter.windows:
        raise RecordError(
            f"RECORD={given.record}: no row of {manifest.name} {manifest.version}, the bundle in {given.models}; "
            f"there are {versions_seen(record)}{not_read(record)}{first_damage(record)}"
        )
    if len(counter.windows) > MOST_WINDOWS:
        raise RecordError(
            f"WINDOW={given.window}: the record would have {len(counter.windows):,} windows of that length, more than "
            f"{MOST_WINDOWS}; give a longer one, or SINCE="
        )
    return _report(given, manifest, counter, reader)


def count_rows(counter: Counter, manifest: Manifest, reader: RecordReader) -> None:
    """Count the rows of the manifest's version; those that can't be its own are damage."""
    shape = Shape(manifest)
    for piece in whole_requests(reader):
        own = (one for one in piece if (one.line.model, one.line.version) == (manifest.name, manifest.version))
        for rows in shape.arrange(own):
            if isinstance(rows, Misfit):
                reader.reading.note_damage(f"{rows.located.path.name}, line {rows.located.number:,}", rows.reason)
            else:
                counter.add(rows)


def _report(given: argparse.Namespace, manifest: Manifest, counter: Counter, reader: RecordReader) -> DriftReport:
    assert manifest.distributions is not None  # noqa: S101 - it has variables
    thresholds = Thresholds(given.alpha, given.psi, given.rate, given.min_rows, given.min_requests)
    whole = counter.total()
    variables = shares_of(counter.variables, whole)
    recorded = {variable.name for variable in variables}
    record = summarize(given.record, reader.reading)
    other = [s for s in record.sources if (s.model, s.version) != (manifest.name, manifest.version)]
    return DriftReport(
        **origin(manifest),
        training_rows=manifest.distributions.rows,
        answered_rows=manifest.distributions.answered,
        record=record,
        alpha=given.alpha,
        index=given.psi,
        rate=given.rate,
        least_rows=given.min_rows,
        least_requests=given.min_requests,
        window_hours=given.window,
        windows=window_rows(counter.windows),
        variables=variables,
        findings=find(counter.variables, whole, counter.windows, thresholds),
        ignored=tuple(given.ignore),
        not_recorded=tuple(v.name for v in counter.variables if v.name not in recorded),
        others=", ".join(f"{s.model} {s.version} ({s.rows:,} rows from {s.service})" for s in other),
    )


def main(arguments: list[str] | None = None) -> int:
    """Exit status: as the module says."""
    given = parse_arguments(arguments)
    try:
        with owning_reports(given.reports):
            report = measure(given)
            page = render("drift.html.j2", report, cards=cards(report))
            paths = write_result(report, given.reports, {"drift.html": page.encode()})
    except (RecordError, BundleError, OSError) as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted: no report", file=sys.stderr)
        return INTERRUPTED
    for table in report.tables():
        print(printable(table.title), to_text(table), "", sep="\n")
    print(*map(printable, (report.verdict, *report.notes())), *paths, sep="\n")
    if not report.ok:
        return FOUND
    return FINE if report.tests and not report.record.damaged else DAMAGED
