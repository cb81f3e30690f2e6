"""requirements/install.sh on a Python, a pip and a uv that only write down what they were asked for."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYTHON = """#!/bin/sh
echo "python $*" >> {log}
case "$1 $2" in
  "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && cp {uv} "$3/bin/uv" ;;
  "-m pip") test -z "$NO_PIP" ;;
  *) test -z "$OLD" ;;
esac
"""
UV = """#!/bin/sh
echo "uv $UV_DEFAULT_INDEX|$UV_INDEX|$UV_FIND_LINKS|$SSL_CERT_FILE $*" >> {log}
test -z "$NO_UV"
"""


@pytest.fixture
def install(tmp_path: Path):
    """Run the script with these environment variables: its exit status, its standard error, and what was called."""
    log, uv, python = tmp_path / "log", tmp_path / "uv", tmp_path / "python"
    uv.write_text(UV.format(log=log))
    python.write_text(PYTHON.format(log=log, uv=uv))
    for program in (uv, python):
        program.chmod(0o755)

    def run(*lock: str, **variables: str) -> tuple[int, str, list[str]]:
        log.write_text("")
        command = [str(ROOT / "requirements/install.sh"), str(tmp_path / "venv"), *lock]
        surroundings = {"PATH": os.environ["PATH"], "PYTHON": str(python), **variables}
        done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr, log.read_text().splitlines()

    return run


def is_ready(tmp_path: Path) -> bool:
    return (tmp_path / "venv/.ready").exists()


def test_uv_installs_what_the_lock_names_with_the_settings_of_pip(install, tmp_path: Path):
    settings = {"PIP_INDEX_URL": "a b", "PIP_EXTRA_INDEX_URL": "c", "PIP_FIND_LINKS": "d", "PIP_CERT": "e"}
    status, error, called = install(**settings)
    assert (status, error) == (0, "")
    assert "--require-hashes" in called[2]
    assert called[2].endswith("--only-binary :all: -r requirements/setup.lock")
    assert called[3].startswith("uv a b|c|d|e pip install")
    assert "--require-hashes" in called[3]
    assert called[3].endswith("-r requirements/dev.lock")
    assert len(called) == 4
    assert is_ready(tmp_path)


def test_another_lock_can_be_named(install, tmp_path: Path):
    assert install("mlserver")[2][3].endswith("-r requirements/mlserver.lock")
    assert install("mlserver", NO_UV="1")[2][4].endswith("-r requirements/mlserver.lock")
    assert is_ready(tmp_path)


def test_settings_of_uv_stay_as_they_are(install):
    _, _, called = install(UV_DEFAULT_INDEX="mine")
    assert called[3].startswith("uv mine||| pip install")
    assert "--compile-bytecode" not in called[3]


def test_bytecode_that_may_not_be_kept_later_is_made_at_once(install):
    assert "--compile-bytecode" in install(PYTHONDONTWRITEBYTECODE="1")[2][3]


def test_pip_takes_the_place_of_a_uv_that_fails(install, tmp_path: Path):
    status, error, called = install(NO_UV="1")
    assert status == 0
    assert "pip does the same" in error
    assert "--require-hashes" in called[4]
    assert called[4].endswith("-r requirements/dev.lock")
    assert is_ready(tmp_path)


def test_a_set_up_that_failed_is_not_ready(install, tmp_path: Path):
    assert install(NO_PIP="1")[0] != 0
    assert not is_ready(tmp_path)


def test_an_old_python_is_told(install, tmp_path: Path):
    status, error, _ = install(OLD="1")
    assert status == 1
    assert error.startswith("error: Python 3.11 or newer is needed; name it with PYTHON=")
    assert not (tmp_path / "venv").exists()
