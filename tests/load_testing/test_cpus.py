"""Who gets which CPU."""

import os
import subprocess
import sys

import pytest

from load_testing.cpus import available_cpus, on_cpus, split_cpus


@pytest.mark.parametrize(
    ("available", "wanted", "server", "client"),
    [
        ({0}, 1, {0}, {0}),
        ({0}, 4, {0}, {0}),
        ({0, 1}, 1, {0}, {1}),
        ({0, 1}, 2, {0}, {1}),
        ({2, 3, 5, 7}, 2, {2, 3}, {5, 7}),
        ({2, 3, 5, 7}, 9, {2, 3, 5}, {7}),
    ],
)
def test_split(available, wanted, server, client):
    split = split_cpus(frozenset(available), wanted)
    assert (split.server, split.client) == (server, client)
    assert bool(split.server & split.client) == (len(available) == 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system knows no affinity")
def test_process_starts_on_the_given_cpus_and_the_caller_stays_where_it_was():
    before = available_cpus()
    chosen = max(before)
    code = "import os; print(os.sched_getaffinity(0))"
    with on_cpus(frozenset({chosen})):
        output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == str({chosen})
    assert available_cpus() == before
