"""Answers the question "Is ONNX worth it for this model?" with a benchmark's figures."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from bundle.result import Answer
from bundle.table import byte_size, three_digits
from load_testing.results import LoadCell, ServiceFacts
from load_testing.scenarios import SCENARIOS
from load_testing.skew_measurement import SkewRow

ONNX = ("onnx", "axum", "tutorial-onnx-one-thread", "tutorial-onnx")
PICKLE = ("pickle", "tutorial-pickle")
"""The services that are compared: the first of each that was measured."""
NAMES = {
    "onnx": "the ONNX service",
    "axum": "the Rust service",
    "pickle": "the pickle service",
    "tutorial-onnx-one-thread": "the usual ONNX service, on one thread,",
    "tutorial-onnx": "the usual ONNX service",
    "tutorial-pickle": "the usual pickle service",
}
CLEAR = 1.1
"""Services less than this factor apart count as equal: a shared machine alone can make that much difference."""

Outcome = Literal["faster", "slower", "equal"]

ALIKE: dict[Outcome, str] = {
    "faster": "Yes.",
    "slower": "No, pickle is faster.",
    "equal": "For speed, it makes no clear difference.",
}
APART: dict[Outcome, str] = {"faster": "yes", "slower": "no, pickle is faster", "equal": "no clear difference"}


class Contest(NamedTuple):
    """ONNX and pickle in one scenario. `ratio` is ONNX's throughput as a multiple of pickle's: requests/s or, if
    the load generator limited either of them, requests per second of CPU time (`by_cpu`).
    """

    load: str
    onnx: LoadCell
    pickle: LoadCell
    ratio: float
    by_cpu: bool
    outcome: Outcome


def answer(
    model: str,
    services: Sequence[ServiceFacts],
    cells: Sequence[LoadCell],
    skew: Sequence[SkewRow],
    gaps: Sequence[str],
    *,
    rounds: int,
) -> Answer:
    """The verdict, the figures that it is based on, and its limits. `gaps` says what wasn't measured, and why."""
    question = f"Is ONNX worth it for {model}?"
    names = [facts.service for facts in services]
    onnx = next((name for name in ONNX if name in names), None)
    pickle = next((name for name in PICKLE if name in names), None)
    if onnx is None or pickle is None:
        missing, there = ("ONNX", "pickle") if onnx is None else ("pickle", "ONNX")
        why = "".join(f" Not measured: {gap}." for gap in gaps)
        return Answer(question, f"This run can't say: it measured no service with {missing} beside {there}.{why}", ())
    contests = [contest(scenario, cells, onnx, pickle) for scenario in shown_scenarios(cells)]
    wrong = [text for name in (onnx, pickle) if (text := faults(name, cells, skew))]
    verdict = f"Not as it is: {' and '.join(wrong)}. Find out why first." if wrong else _verdict(contests)
    figures = [_speed(contests[0]), *_rust(onnx, cells, contests[0]), *map(_speed, contests[1:])]
    figures.append(_size(onnx, pickle, services))
    if not wrong:
        figures.append(_agreement([row for row in skew if row.service in (onnx, pickle)]))
    return Answer(question, verdict, (" ".join(figures), " ".join(_limits(contests, cells, rounds))))


def shown_scenarios(cells: Sequence[LoadCell]) -> list[str]:
    """One row and the largest batch, or the first scenario if neither was measured."""
    measured = list(dict.fromkeys(cell.scenario for cell in cells))
    batches = sorted((name for name in measured if len(SCENARIOS[name]) == 1), key=_rows)
    return list(dict.fromkeys([batches[0], batches[-1]])) if batches else measured[:1]


def contest(scenario: str, cells: Sequence[LoadCell], onnx: str, pickle: str) -> Contest:
    """The two in one scenario; equal if they are less than `CLEAR` apart, or if their rounds overlap."""
    one, other = (next(c for c in cells if (c.service, c.scenario) == (name, scenario)) for name in (onnx, pickle))
    cpu = one.cpu_ms_per_request, other.cpu_ms_per_request
    by_cpu = (one.generator_bound or other.generator_bound) and min(one.median for one in cpu) > 0
    more, less = (cpu[1], cpu[0]) if by_cpu else (one.requests_per_second, other.requests_per_second)
    ratio = more.median / less.median
    outcome: Outcome = "equal"
    if ratio >= CLEAR and more.lowest > less.highest:
        outcome = "faster"
    elif ratio <= 1 / CLEAR and more.highest < less.lowest:
        outcome = "slower"
    return Contest(_load(scenario), one, other, ratio, by_cpu, outcome)


def faults(service: str, cells: Sequence[LoadCell], skew: Sequence[SkewRow]) -> str:
    """What the service got wrong; "" if every answer was right."""
    failed = sum(cell.failed for cell in cells if cell.service == service)
    rows = [row for row in skew if row.service == service]
    differing = sum(row.result.rows - min(row.result.equal_labels, row.result.equal_probabilities) for row in rows)
    lost = sum(sum(row.failures.values()) for row in rows)
    told = [f"{failed:,} requests under load"] if failed else []
    told += [f"{differing:,} of {sum(row.result.rows for row in rows):,} compared rows"] if differing else []
    told += [f"{lost:,} requests of the comparison"] if lost else []
    return f"{NAMES[service]} got {' and '.join(told)} wrong" if told else ""


def _verdict(contests: Sequence[Contest]) -> str:
    if len({one.outcome for one in contests}) == 1:
        return ALIKE[contests[0].outcome]
    return "; ".join(f"for {one.load}, {APART[one.outcome]}" for one in contests).capitalize() + "."


def _speed(one: Contest) -> str:
    """A sentence with the figure of each, and how far they are apart."""
    first, second = NAMES[one.onnx.service], NAMES[one.pickle.service]
    factor = times(max(one.ratio, 1 / one.ratio))
    if one.by_cpu:
        mine, other = (three_digits(cell.cpu_ms_per_request.median) for cell in (one.onnx, one.pickle))
        figures = f"{first} takes {mine} ms of CPU time per request, {second} {other} ms"
        apart = {"faster": f"{factor} less", "slower": f"{factor} as much", "equal": "no clear difference"}
    else:
        mine, other = (f"{cell.requests_per_second.median:,.0f}" for cell in (one.onnx, one.pickle))
        figures = f"{first} answers {mine} requests/s, {second} {other}"
        apart = {
            "faster": f"{factor} as many",
            "slower": f"pickle answers {factor} as many",
            "equal": "no clear difference",
        }
    return f"With {one.load}, {figures}: {apart[one.outcome]}."


def _rust(onnx: str, cells: Sequence[LoadCell], first: Contest) -> Iterator[str]:
    """The same graph from Rust, if that is not the service compared."""
    for cell in cells:
        if onnx != "axum" and cell.service == "axum" and cell.scenario == first.onnx.scenario:
            least = "at least " if cell.generator_bound else ""
            yield f"From Rust, the same graph answers {least}{cell.requests_per_second.median:,.0f}."


def _size(onnx: str, pickle: str, services: Sequence[ServiceFacts]) -> str:
    facts = {one.service: one for one in services}
    used, other = (byte_size(facts[name].memory.used) for name in (onnx, pickle))
    file, other_file = (byte_size(facts[name].artifact_bytes) for name in (onnx, pickle))
    return f"It holds {used} of memory after the load against {other}; its artifact has {file} against {other_file}."


def _agreement(rows: Sequence[SkewRow]) -> str:
    compared = sum(row.result.rows for row in rows)
    if not compared:
        return "No answers were compared with the reference."
    largest = max(row.result.max_abs_difference for row in rows)
    how = f"within {largest:.1e}" if largest else "to the last digit"
    return f"All {compared:,} compared answers agree with the reference, {how}."


def _limits(contests: Sequence[Contest], cells: Sequence[LoadCell], rounds: int) -> Iterator[str]:
    """Where it isn't worth it, and what this run doesn't show."""
    first, last = contests[0], contests[-1]
    worse = [one.load for one in contests if one.outcome != "faster"]
    if worse:
        yield f"Where it isn't worth it: with {' and with '.join(worse)}, as far as speed goes."
    elif first.ratio > CLEAR * last.ratio:
        shrunk = f"{times(first.ratio)} for {first.load}, {times(last.ratio)} for {last.load}"
        yield f"The gain shrinks with the batch: {shrunk}."
    idle = [one.load for one in contests if one.onnx.idle or one.pickle.idle]
    if idle:
        yield (
            f"With {' and with '.join(idle)}, neither a service nor the load generator was at its limit: something "
            "else took the CPUs, or there were too few clients. Repeat it on an idle machine."
        )
    if rounds == 1:
        yield "One round doesn't show how far such figures vary: give ROUNDS=3 before you rely on them."
    largest = max(rows for scenario in {cell.scenario for cell in cells} for rows in SCENARIOS[scenario])
    yield (
        f"This run says nothing of batches above {largest} {'rows' if largest > 1 else 'row'}, where the model's "
        "own work counts for more, nor of other machines."
    )


def times(ratio: float) -> str:
    """`41 times`, `4.9 times`."""
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.1f} times"


def _load(scenario: str) -> str:
    if len(SCENARIOS[scenario]) > 1:
        return "the mixed load"
    return "one row" if _rows(scenario) == 1 else f"batches of {_rows(scenario)}"


def _rows(scenario: str) -> int:
    return max(SCENARIOS[scenario])
