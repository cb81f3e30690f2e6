"""The recorded command of every target becomes the call of make again."""

import os
import shlex
import subprocess

import pytest

from experiments.report.commands import as_make, without_places
from tests.experiments.claims.conftest import ROOT

MAKEFILE = ROOT / "Makefile"
MADE = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "DATA_DIR"}
"""What a `make test` hands on to a make inside of it."""


@pytest.mark.parametrize(
    "call",
    [
        "make bench",
        'make bench BASELINES=1 DURATION=3 SCENARIOS="single batch100"',
        "make workers DURATION=1 SERVICES=axum",
        "make skew",
        "make fairness",
        "make profile",
        "make study DATA=uci FAST=1",
        "make session-options DATA=uci",
        "make tree-costs SEED=7",
        "make train DATA=uci TRIALS=3",
    ],
)
def test_the_command_that_make_runs_is_written_as_that_make(call):
    bare = {name: value for name, value in os.environ.items() if name not in MADE}
    printed = subprocess.run(
        [*shlex.split(call), "--dry-run"], cwd=ROOT, env=bare, capture_output=True, text=True, check=True
    ).stdout.replace("\\\n", "")
    command = printed.splitlines()[-1]
    assert as_make("python " + command[command.index("-m ") :], MAKEFILE) == call


def test_a_command_of_no_target_stays():
    assert as_make("python bench.py --host http://onnx:8001", MAKEFILE) == "python bench.py --host http://onnx:8001"


def test_places_of_the_machine_are_left_out():
    command = "python -m training.train --data uci --data-dir '/home/me/my data' --storage=sqlite:////x --trials 3"
    assert without_places(command) == "python -m training.train --data uci --trials 3"
