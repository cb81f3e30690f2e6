"""Send every reference row to a running service, and compare the answers."""

import http.client
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing

import msgspec
import numpy as np

from bundle.tolerance import tolerance_of
from load_testing.payloads import Reference, batch_body
from load_testing.responses import Answers
from load_testing.scenarios import Address, parse_address
from load_testing.skew import Comparison, SkewResult, compare

BATCH_ROWS = 100
SINGLE_ROWS = 1000
SEED = 0
_TIMEOUT_SECONDS = 30
_PATIENCE = 10  # failed requests after which the rest of a route isn't sent: a dead service needn't time out 200 times


class SkewRow(msgspec.Struct, frozen=True, kw_only=True):
    """One service and route. `failures` is {reason: count of requests}, whose rows are not in `result`. `values`: the
    model predicts a number, so that the difference is relative, and there are no labels.
    """

    service: str
    route: str
    result: SkewResult
    failures: dict[str, int]
    seconds: float
    values: bool = False

    @property
    def clean(self) -> bool:
        """Every row sent was answered as the reference says."""
        return self.result.clean and not self.failures


def measure_skew(name: str, url: str, reference: Reference) -> list[SkewRow]:
    """Every reference row through `/predict/batch`, and a seeded sample of 1,000 through `/predict`."""
    everything = range(len(reference.bodies))
    batches = [everything[start : start + BATCH_ROWS] for start in everything[::BATCH_ROWS]]
    sample = np.random.default_rng(SEED).permutation(len(everything))[:SINGLE_ROWS]
    singles = [[row] for row in sorted(sample.tolist())]
    address = parse_address(url)
    return [
        _measure_route(name, address, "/predict/batch", batches, reference),
        _measure_route(name, address, "/predict", singles, reference),
    ]


def served_model(url: str) -> tuple[str, str] | None:
    """Name and version of the model that the service at `url` serves; None if it doesn't say, or doesn't answer."""
    with closing(http.client.HTTPConnection(*parse_address(url), timeout=_TIMEOUT_SECONDS)) as connection:
        try:
            connection.request("GET", "/metadata")
            response = connection.getresponse()
            content = msgspec.json.decode(response.read())
            return (str(content["name"]), str(content["version"])) if response.status == http.client.OK else None
        except (OSError, http.client.HTTPException, msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            return None


def _measure_route(
    name: str, address: Address, route: str, groups: Sequence[Sequence[int]], reference: Reference
) -> SkewRow:
    answers = Answers(reference.manifest)
    result, failures = SkewResult(), Counter[str]()
    started = time.perf_counter()
    with closing(http.client.HTTPConnection(*address, timeout=_TIMEOUT_SECONDS)) as connection:
        for rows in groups:
            try:
                result += _compare_answer(connection, route, rows, reference, answers)
            except (OSError, http.client.HTTPException, msgspec.DecodeError, ValueError) as error:
                failures[str(error) or type(error).__name__] += 1
                connection.close()  # http.client opens it again
            if failures.total() >= _PATIENCE:
                break
    seconds = time.perf_counter() - started
    return SkewRow(
        service=name, route=route, result=result, failures=dict(failures), seconds=seconds,
        values=reference.manifest.task == "regression",
    )  # fmt: skip


def _compare_answer(
    connection: http.client.HTTPConnection, route: str, rows: Sequence[int], reference: Reference, answers: Answers
) -> SkewResult:
    """One request. Raises ValueError or msgspec.DecodeError for an answer that can't be compared."""
    batch = route == "/predict/batch"
    bodies = [reference.bodies[row] for row in rows]
    body = batch_body(bodies) if batch else bodies[0]
    connection.request("POST", route, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise ValueError(f"HTTP {response.status}: {content[:200].decode(errors='replace')}")
    predictions = answers.decode(content, batch=batch)
    return compare(
        Comparison(reference.labels[rows], reference.numbers[rows], [reference.cases[row] for row in rows], rows),
        [answers.class_index(prediction) for prediction in predictions],
        [answers.numbers(prediction) for prediction in predictions],
        tolerance=tolerance_of(reference.manifest),
        relative=reference.manifest.task == "regression",
    )
