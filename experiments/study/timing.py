"""Timing of calls against each other: round by round, so that whatever slows the machine slows all of them."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Call = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How long one comparison may take.

    A round calls each contestant as often as `round_seconds` need; rounds go on for `seconds`, at least `least_rounds`
    and at most `most_rounds` of them.
    """

    seconds: float
    round_seconds: float = 0.01
    least_rounds: int = 3
    most_rounds: int = 31


@dataclass(frozen=True)
class Rounds:
    """Seconds per call: for every contestant a value per round, [contestants][rounds]."""

    seconds: tuple[tuple[float, ...], ...]

    @property
    def medians(self) -> tuple[float, ...]:
        """Median of the rounds, per contestant."""
        return tuple(statistics.median(of_one) for of_one in self.seconds)

    @property
    def lowest(self) -> tuple[float, ...]:
        """Lowest of the rounds, per contestant: the least disturbed, since whatever disturbs a call adds to it."""
        return tuple(map(min, self.seconds))

    def ratios(self, basis: int = 0) -> tuple[tuple[float, ...], ...]:
        """Each contestant's time over the basis's in the same round, [contestants][rounds]."""
        against = self.seconds[basis]
        return tuple(tuple(own / other for own, other in zip(one, against, strict=True)) for one in self.seconds)


def seconds_per_call(call: Call, repeats: int = 1) -> float:
    """Mean over consecutive calls."""
    started = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - started) / repeats


def turns(contestants: int, budget: Budget) -> Iterator[int]:
    """Whose turn it is: each contestant's once a round, in a random order that is new in every round."""
    generator, started = np.random.default_rng(0), time.perf_counter()
    for number in range(budget.most_rounds):
        if number >= budget.least_rounds and time.perf_counter() - started > budget.seconds:
            break
        yield from generator.permutation(contestants)


def measure(calls: Sequence[Call], budget: Budget) -> Rounds:
    """Interleaved rounds of all calls, after one to warm up."""
    repeats = [repeats_for(call, budget.round_seconds) for call in calls]
    measured: list[list[float]] = [[] for _ in calls]
    for index in turns(len(calls), budget):
        measured[index].append(seconds_per_call(calls[index], repeats[index]))
    return Rounds(tuple(map(tuple, measured)))


def repeats_for(call: Call, round_seconds: float) -> int:
    """How often a round has to repeat the call. One first call is a poor measure of a short one: the caches are cold.

    With too few repeats a call would be measured cold, and a disturbed call seems long: so the lowest counts.
    """
    seconds = seconds_per_call(call)
    if seconds < round_seconds:
        seconds = min(seconds_per_call(call) for _ in range(9))
    return max(1, round(round_seconds / max(seconds, 1e-9)))
