"""Run Locust headless as a library and write what it measured as JSON.

    python -m load_testing.generator_process --host http://127.0.0.1:8001 --scenario mixed --users 32 --duration 10

With `--plans` it reads plans from standard input instead, a JSON line each, and answers each with a JSON line on
standard output: so the benchmark keeps one generator per CPU and pays for its start once.
"""

import argparse
import logging
import os
import sys
import time
from pathlib import Path

import gevent  # type: ignore[import-untyped]
import msgspec
from locust.env import Environment

from bundle.errors import BundleError
from load_testing.locustfile import USER_CLASSES
from load_testing.plan import LoadPlan, LoadResult
from load_testing.recorder import Recorder
from load_testing.scenarios import SCENARIOS, parse_address
from load_testing.service_user import prepare

_STOP_SECONDS = 60.0  # for the requests on their way when the time is up


def run(plan: LoadPlan) -> LoadResult:
    """Put the load on the service for `plan.seconds`, then let the requests on their way finish.

    Raises:
        RuntimeError: a user broke off with an error of its own, so that the figures mean nothing.
    """
    environment = Environment(user_classes=[USER_CLASSES[plan.scenario]], host=plan.url, stop_timeout=_STOP_SECONDS)
    prepare(plan.url, [plan.scenario])
    runner = environment.create_local_runner()
    recorder = Recorder()
    environment.events.request.add_listener(recorder.record)
    runner.start(plan.users, spawn_rate=plan.users)
    gevent.sleep(plan.seconds)
    stopped = time.perf_counter()
    runner.stop()
    result = recorder.result(stopped)
    runner.quit()
    if runner.exceptions:
        raise RuntimeError("\n".join(entry["traceback"] for entry in runner.exceptions.values()))
    return result


def serve_plans() -> None:
    """Answer every plan on standard input with a result on standard output, until the input ends."""
    for line in sys.stdin:
        result = run(msgspec.json.decode(line, type=LoadPlan))
        print(msgspec.json.encode(result).decode(), flush=True)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m load_testing.generator_process", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--host", help="http://host:port of the service")
    parser.add_argument("--scenario", choices=list(SCENARIOS), default="mixed")
    parser.add_argument("--users", type=int, default=32, help="clients, each with one connection")
    parser.add_argument("--duration", type=float, default=10, metavar="SECONDS")
    parser.add_argument("--warm-up", type=float, default=1, metavar="SECONDS", help="load before it that doesn't count")
    parser.add_argument("--models", help="folder of the bundle (default: MODEL_DIR, else models)")
    parser.add_argument("--output", type=Path, help="JSON file (default: standard output)")
    parser.add_argument("--plans", action="store_true", help="read plans from standard input")
    given = parser.parse_args(arguments)
    if not given.plans:
        try:
            parse_address(given.host or "")
        except ValueError as error:
            parser.error(f"--host: {error}")
    if given.users < 1 or given.duration <= 0 or given.warm_up < 0:
        parser.error("--users and --duration must be positive, --warm-up not negative")
    return given


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 every answer was right, 1 a request failed or there is no usable bundle."""
    given = parse_arguments(arguments)
    logging.basicConfig(level=logging.ERROR)
    if given.models:
        os.environ["MODEL_DIR"] = given.models
    try:
        if given.plans:
            serve_plans()
            return 0
        plan = LoadPlan(url=given.host, scenario=given.scenario, users=given.users, seconds=given.duration)
        if given.warm_up:
            run(msgspec.structs.replace(plan, seconds=given.warm_up))
        result = run(plan)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    text = msgspec.json.format(msgspec.json.encode(result)).decode()
    if given.output:
        given.output.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)
    return 1 if result.failed else 0


if __name__ == "__main__":
    sys.exit(main())
