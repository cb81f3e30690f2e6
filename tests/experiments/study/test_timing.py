"""Rounds alternate between the calls, and are as many as the budget says."""

import pytest

from experiments.study.timing import Budget, Rounds, measure


def test_every_round_has_every_call_once_in_an_order_of_its_own():
    made = []
    calls = (lambda: made.append("a"), lambda: made.append("b"))
    rounds = measure(calls, Budget(seconds=0, round_seconds=0, least_rounds=8, most_rounds=9))
    orders = {"".join(made[start : start + 2]) for start in range(2, 18, 2)}  # the first two calls warm up
    assert orders == {"ab", "ba"}
    assert len(made) == 18
    assert [len(of_one) for of_one in rounds.seconds] == [8, 8]


def test_rounds_end_at_the_most_however_much_time_is_left():
    rounds = measure((lambda: None,), Budget(seconds=60, round_seconds=0, least_rounds=2, most_rounds=5))
    assert len(rounds.seconds[0]) == 5


def test_short_calls_are_repeated_within_a_round():
    made = []
    measure((lambda: made.append(1),), Budget(seconds=0, round_seconds=0.001, least_rounds=1, most_rounds=1))
    assert len(made) > 20


def test_medians_and_ratios_are_taken_over_the_rounds():
    rounds = Rounds(((1.0, 2.0, 9.0), (2.0, 2.0, 3.0)))
    assert rounds.medians == (2.0, 2.0)
    assert rounds.lowest == (1.0, 2.0)
    assert rounds.ratios()[1] == pytest.approx((2.0, 1.0, 1 / 3))
    assert rounds.ratios(basis=1)[0] == pytest.approx((0.5, 1.0, 3.0))
