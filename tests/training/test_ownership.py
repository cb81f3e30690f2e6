"""What a run writes to has one owner: a second run is refused at once, in one line, and changes nothing."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lock_holder import another_process
from training.ownership import study_file
from training.train import main

ROOT = Path(__file__).resolve().parents[2]
LOCKS = {
    "STORAGE": "reports/.study.db.in-use",
    "REPORTS": "reports/.in-use",
    "MODELS": "models/.in-use",
}


def arguments(folder, *more):
    given = ["--data", "synthetic", "--data-dir", folder / "data", "--models", folder / "models"]
    return [str(argument) for argument in (*given, "--reports", folder / "reports", *more)]


@pytest.mark.parametrize("variable", LOCKS)
def test_what_another_process_owns_is_refused_in_one_line(tmp_path, variable, capfd):
    with another_process(tmp_path / LOCKS[variable]) as process:
        assert main(arguments(tmp_path)) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert re.match(
        rf"error: \S.* is in use by process {process.pid} on \S+ since .*; wait for it, or name .*{variable}=$", line
    )
    assert not (tmp_path / "reports" / "study.db").exists()
    assert [path.name for path in tmp_path.glob("*/*")] == []


@pytest.mark.parametrize("variable", ["STORAGE", "REPORTS"])
def test_folder_without_locks_of_others_is_refused_with_the_reason(tmp_path, variable, capfd):
    (tmp_path / "reports").write_text("a file")
    assert main(arguments(tmp_path)) == 1
    assert "File exists" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("storage", "file"),
    [
        ("sqlite:////a/b/study.db", Path("/a/b/study.db")),
        ("sqlite:////a/b/../study.db", Path("/a/study.db")),
        ("sqlite:///file:/a/study.db?uri=true", Path("/a/study.db")),
        ("sqlite:///study.db", Path.cwd() / "study.db"),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("postgresql+psycopg://host/db", None),
        ("nonsense", None),
    ],
)
def test_study_has_a_file_to_own_if_it_is_sqlites(storage, file):
    assert study_file(storage) == file


@pytest.mark.slow
def test_second_training_in_a_clone_leaves_the_first_alone(tmp_path):
    command = [sys.executable, "-m", "training", "train", *arguments(tmp_path, "--trials", "10000")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as first:
        try:
            deadline = time.monotonic() + 60
            while not (tmp_path / "models" / ".in-use").exists():
                assert first.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            second = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            assert second.returncode == 1
            (line,) = second.stderr.splitlines()
            assert f"study.db is in use by process {first.pid} on " in line
            assert "(python -m training train --data synthetic" in line
            assert first.poll() is None
        finally:
            first.send_signal(signal.SIGKILL)
    third = [*command[:-1], "1"]
    assert subprocess.run(third, cwd=ROOT, env=environment, capture_output=True, check=False).returncode == 0
