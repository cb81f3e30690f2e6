"""What becomes of a run's result: reports, the last lines on the terminal, and the exit status."""

import logging
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from locust.env import Environment
from locust.runners import MasterRunner

from bundle.manifest import read_manifest, utc_now
from load_testing.distributed.messages import BundleIdentity
from load_testing.distributed.report import summary, write_load_report
from load_testing.distributed.result import LoadReport, WorkerResult
from load_testing.machine import describe_machine
from load_testing.service_user import model_folder

logger = logging.getLogger(__name__)


class Outcome:
    """Publishes the results of a Locust process: exit status 1 if one of them isn't clean, or a headless run has none.

    The reports go to the folder `REPORT_DIR` (default `reports`).
    """

    def __init__(self, environment: Environment, bundle: BundleIdentity) -> None:
        self._environment = environment
        self._bundle = bundle
        self._latest: LoadReport | None = None
        self._paths: list[Path] = []
        environment.events.quitting.add_listener(self._quitting)
        environment.events.quit.add_listener(self._print)

    def publish(self, workers: Sequence[WorkerResult]) -> None:
        """Make the report of the run that has just ended."""
        runner, options = self._environment.runner, self._environment.parsed_options
        manifest = read_manifest(model_folder())
        self._latest = LoadReport(
            model=manifest.name,
            bundle=self._bundle,
            data_source=manifest.data.source,
            created=utc_now(),
            command=shlex.join(["locust", *sys.argv[1:]]),
            machine=describe_machine(),
            service=self._environment.host,
            scenarios=tuple(user_class.scenario for user_class in runner.user_classes),
            users=runner.target_user_count,
            seconds=options.run_time,
            workers=tuple(workers),
            errors=tuple(sorted({entry["msg"] for entry in runner.exceptions.values()})),
        )
        if not self._latest.clean:
            self._environment.process_exit_code = 1
        try:
            self._paths = write_load_report(self._latest, Path(os.environ.get("REPORT_DIR", "reports")))
        except OSError as error:
            logger.error("error: no report could be written: %s", error)
            self._environment.process_exit_code = 1
        else:
            logger.info("reports: %s", ", ".join(map(str, self._paths)))

    def _quitting(self, **_: object) -> None:
        runner = self._environment.runner
        if isinstance(runner, MasterRunner):
            runner.stop(send_stop_to_client=False)
        else:
            runner.stop()
        if self._environment.parsed_options.headless and self._latest is None:
            logger.error("error: there was no run, so there is no report")
            self._environment.process_exit_code = 1

    def _print(self, **_: object) -> None:
        if self._latest is not None:
            print("", *summary(self._latest), *self._paths, sep="\n", flush=True)
