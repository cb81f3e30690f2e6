"""Replay recorded rows through a model or a service, and compare with the recorded answers.

    python -m monitoring replay --record folder                              # the bundle in models/
    python -m monitoring replay --record folder --models models/new          # another one, before it is released
    python -m monitoring replay --record folder --host http://127.0.0.1:8001 # a running service

Exit status: 0 no skew, 1 skew or more changed rows than allowed, 2 it could not be done, 3 the record is damaged or not
all rows were answered.
"""

import argparse
import os
import sys
from contextlib import closing
from pathlib import Path

from bundle.command_line import REPORTS, Parser, real_number, whole_number
from bundle.errors import BundleError
from bundle.lock import owning_reports
from bundle.result import write_result
from bundle.table import printable, to_text
from load_testing.model_result import origin
from load_testing.scenarios import parse_address
from monitoring.errors import RecordError, ReplayError
from monitoring.options import DAMAGED, FAILED, FINE, FOUND, INTERRUPTED, add_record_options
from monitoring.page import render
from monitoring.record.reader import RecordReader
from monitoring.record.summary import first_damage, not_read, summarize, versions_seen
from monitoring.replay.model import BundleModel
from monitoring.replay.replaying import Limits, Replay, Target
from monitoring.replay.report import INTERVALS, ReplayReport, replayed
from monitoring.replay.service import RunningService

MOST_ROWS = 100_000


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser("monitoring replay", __doc__.partition("\n")[0])
    add_record_options(parser)
    parser.add_argument("--host", default="", help="a running service that answers instead of the bundle, as a URL")
    parser.add_folders(REPORTS)
    parser.add_argument("--version", default="", help="only rows that this version recorded")
    parser.add_argument(
        "--rows", type=whole_number(1), help=f"at most so many rows (default: all; {MOST_ROWS:,} through HOST)"
    )
    parser.add_argument(
        "--max-changed", type=real_number(0, 1, above=False),
        help="for another version: the part of the rows that may change, such as 0.01 (default: any)",
    )  # fmt: skip
    parser.add_argument(
        "--changed-by", type=real_number(), default=0.05, help="relative difference at which a value has changed"
    )
    given = parser.read(arguments)
    if given.host:
        try:
            parse_address(given.host)
        except ValueError as error:
            parser.error(f"--host: {error}")
    return given


def replay(given: argparse.Namespace) -> ReplayReport:
    """The whole replay.

    Raises:
        RecordError, BundleError, ReplayError: it can't be done.
    """
    rows = given.rows or (MOST_ROWS if given.host else None)
    limits = Limits(version=given.version, rows=rows, changed_by=given.changed_by)
    with closing(open_target(given.host, given.models)) as target:
        reader = RecordReader(given.record, given.since)
        run = Replay(target, limits, reader.reading)
        run.over(reader)
    manifest, record = target.manifest, summarize(given.record, reader.reading)
    if not run.tallies:
        reasons = "".join(f"; {count:,} rows were not asked again: {reason}" for reason, count in run.left_out.items())
        raise RecordError(
            f"RECORD={given.record}: no row that {manifest.name} {manifest.version} could answer again; "
            f"there are {versions_seen(record)}{not_read(record)}{first_damage(record)}{reasons}"
        )
    results = (
        replayed(
            way, version, tally, same_version=version == manifest.version, most_changed=given.max_changed
        )
        for (way, version), tally in run.tallies.items()
    )  # fmt: skip
    return ReplayReport(
        **origin(manifest),
        classes=tuple(map(str, manifest.classes)),
        tolerance=run.tolerance,
        changed_by=given.changed_by,
        record=record,
        results=tuple(results),
        left_out=dict(run.left_out),
        said=(*target.notes, *run.notes),
    )


def open_target(host: str, models: Path) -> Target:
    """The running service at `host`, or if that is empty the bundle in `models`."""
    return RunningService(host, os.environ.get("API_KEY", "")) if host else BundleModel(models)


def main(arguments: list[str] | None = None) -> int:
    """Exit status: as the module says."""
    given = parse_arguments(arguments)
    try:
        with owning_reports(given.reports):
            report = replay(given)
            page = render("replay.html.j2", report, intervals=INTERVALS)
            paths = write_result(report, given.reports, {"replay.html": page.encode()})
    except (RecordError, BundleError, ReplayError, OSError) as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted: no report", file=sys.stderr)
        return INTERRUPTED
    for result in (one for one in report.results if one.changed or one.beyond_tolerance):
        print(*(f"{printable(table.title)}\n{to_text(table)}\n" for table in report.details(result)), sep="\n")
    print(to_text(report.overview()), *map(printable, report.notes()), *paths, sep="\n")
    if not report.ok:
        return FOUND
    complete = not report.record.damaged and not any(result.failed for result in report.results)
    return FINE if complete else DAMAGED
