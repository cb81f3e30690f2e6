"""CPU time and memory of a process with children."""

import os
import subprocess
import sys

import psutil
import pytest

from load_testing.process_tree import cpu_seconds, memory

# A parent with a child that has ended and one that lives, each of which has used 0.2 s of CPU time and 20 MB.
BURN = "import time\nwhile time.process_time() < 0.2: pass\n"
TREE = f"""
import subprocess, sys
burn = {BURN!r}
subprocess.run([sys.executable, "-c", burn])
child = subprocess.Popen([sys.executable, "-c", burn + "block = b'x' * 20_000_000; print(1, flush=True); input()"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print(1, flush=True)
input()
"""


@pytest.fixture
def tree():
    with subprocess.Popen([sys.executable, "-c", TREE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        yield process.pid
        process.stdin.close()


def test_cpu_time_includes_living_and_ended_children(tree):
    assert cpu_seconds(tree) >= 0.36


def test_memory_includes_children_and_the_peak_is_no_less(tree):
    used = memory(tree)
    assert used.used > 20_000_000
    assert used.peak >= used.used


def test_ended_process_is_an_error():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    for measure in (cpu_seconds, memory):
        with pytest.raises(psutil.NoSuchProcess):
            measure(process.pid)


def test_own_process():
    assert memory(os.getpid()).used > 0
