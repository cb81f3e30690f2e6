"""A load generator: Locust as a library, in a process that `load_testing.generator_pool` starts.

It reads plans from standard input, a JSON line each, and answers each with a JSON line on standard output, so that the
benchmark keeps one generator per CPU and pays for its start once. The bundle is that of `MODEL_DIR`.
"""

import logging
import sys
import time

import gevent  # type: ignore[import-untyped]
import msgspec
from locust.env import Environment

from bundle.errors import BundleError
from load_testing.locustfile import USER_CLASSES
from load_testing.plan import LoadPlan, LoadResult
from load_testing.recorder import Recorder
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


def main() -> int:
    """Answer plans until the input ends. Exit status: 1 if there is no usable bundle."""
    logging.basicConfig(level=logging.ERROR)
    try:
        for line in sys.stdin:
            print(msgspec.json.encode(run(msgspec.json.decode(line, type=LoadPlan))).decode(), flush=True)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
