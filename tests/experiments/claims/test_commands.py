"""A recorded command becomes the call of make again."""

import shlex

import pytest

from experiments.report.commands import as_make, without_places


@pytest.mark.parametrize(
    ("command", "call"),
    [
        ("load_testing bench", "make bench"),
        (
            "load_testing bench --duration 3 --scenarios single batch100 --baselines",
            'make bench BASELINES=1 DURATION=3 SCENARIOS="single batch100"',
        ),
        ("experiments workers --services axum --duration 1", "make workers DURATION=1 SERVICES=axum"),
        ("load_testing skew", "make skew"),
        ("experiments fairness --reports elsewhere", "make fairness"),
        ("experiments image-sizes onnx pickle", "make images"),
        ("experiments study --data uci --fast", "make study DATA=uci FAST=1"),
        ("training train --data uci --trials 3", "make train DATA=uci TRIALS=3"),
        ("scale train --engine external --data-dir /data", "make train ENGINE=external"),
    ],
)
def test_a_command_is_written_as_its_make(command: str, call: str):
    assert as_make(f"python -m {command}") == call
    assert shlex.split(call)[0] == "make"


def test_a_command_from_before_is_written_as_its_make_without_what_make_always_gave():
    command = "python -m experiments.study.study_command --dataset training.adult --data uci --seed 7 --fast"
    assert as_make(command) == "make study DATA=uci FAST=1 SEED=7"
    assert as_make("python -m load_testing.benchmark --duration 5.0 --rounds 1") == "make bench ROUNDS=1"


def test_a_command_of_no_target_stays():
    assert as_make("python bench.py --host http://onnx:8001") == "python bench.py --host http://onnx:8001"


def test_places_of_the_machine_are_left_out():
    command = "python -m training train --data uci --data-dir '/home/me/my data' --storage=sqlite:////x --trials 3"
    assert without_places(command) == "python -m training train --data uci --trials 3"
