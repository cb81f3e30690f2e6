"""Run Locust headless as a library and write what it measured as JSON.

    python -m load_testing.generator --host http://127.0.0.1:8001 --scenario mixed --users 32 --duration 10

With `--plans` it reads plans from standard input instead, a JSON line each, and answers each with a JSON line on
standard output: so the benchmark keeps one generator per CPU and pays for its start once.
"""

import argparse
import gc
import logging
import os
import sys
import time
from array import array
from collections import Counter
from pathlib import Path

import gevent  # type: ignore[import-untyped]
import msgspec
from locust.env import Environment

from bundle.errors import BundleError
from load_testing.latency import Latencies
from load_testing.load import LoadPlan, LoadResult
from load_testing.locustfile import USER_CLASSES, prepare
from load_testing.scenarios import SCENARIOS, parse_address, request_name

_STOP_SECONDS = 60.0  # for the requests on their way when the time is up


class Recorder:
    """Listens to Locust's request event: Locust's own statistics round what is below a millisecond."""

    def __init__(self) -> None:
        self.milliseconds = array("d")
        self.names: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.last = 0.0

    def record(self, name: str, response_time: float, exception: Exception | None, **_: object) -> None:
        """A listener of `events.request`."""
        self.last = time.perf_counter()
        self.milliseconds.append(response_time)
        self.names[name] += 1
        if exception is not None:
            self.failures[str(exception)] += 1


def run(plan: LoadPlan) -> LoadResult:
    """Put the load on the service for `plan.seconds`, then let the requests on their way finish.

    Raises:
        RuntimeError: a user broke off with an error of its own, so that the figures mean nothing.
    """
    recorder = Recorder()
    environment = Environment(user_classes=[USER_CLASSES[plan.scenario]], host=plan.url, stop_timeout=_STOP_SECONDS)
    prepare(environment)
    gc.collect()
    gc.freeze()  # tens of thousands of prepared requests needn't be searched for garbage while the load is on
    environment.events.request.add_listener(recorder.record)
    runner = environment.create_local_runner()
    started, cpu_started = time.perf_counter(), time.process_time()
    runner.start(plan.users, spawn_rate=plan.users)
    gevent.sleep(plan.seconds)
    runner.stop()
    cpu_seconds = time.process_time() - cpu_started
    runner.quit()
    if runner.exceptions:
        raise RuntimeError("\n".join(entry["traceback"] for entry in runner.exceptions.values()))
    return LoadResult(
        requests=len(recorder.milliseconds),
        rows=sum(rows * recorder.names[request_name(rows)] for rows in SCENARIOS[plan.scenario]),
        failures=dict(recorder.failures),
        seconds=max(recorder.last - started, plan.seconds),
        cpu_seconds=cpu_seconds,
        processes=1,
        latencies=Latencies.of(recorder.milliseconds),
    )


def serve_plans() -> None:
    """Answer every plan on standard input with a result on standard output, until the input ends."""
    for line in sys.stdin:
        result = run(msgspec.json.decode(line, type=LoadPlan))
        print(msgspec.json.encode(result).decode(), flush=True)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m load_testing.generator", description=__doc__.partition("\n")[0])
    parser.add_argument("--host", help="http://host:port of the service")
    parser.add_argument("--scenario", choices=list(SCENARIOS), default="mixed")
    parser.add_argument("--users", type=int, default=32, help="clients, each with one connection")
    parser.add_argument("--duration", type=float, default=10, metavar="SECONDS")
    parser.add_argument("--warm-up", type=float, default=1, metavar="SECONDS", help="load before it that isn't counted")
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
