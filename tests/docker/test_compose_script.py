"""docker/compose.sh, by which `make up` and `make down` call Docker Compose with a `docker` that shows what it gets."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.docker.engine import ROOT

SHOW = '#!/bin/sh\n{guard}\necho "$0|$*|$DATA_DIR|$CSV|$MODELS|$REPORTS"\n'


@pytest.fixture
def compose(tmp_path: Path):
    """Run it in `tmp_path`: program, arguments, DATA_DIR, CSV, MODELS and REPORTS, as compose gets them."""
    programs = tmp_path / "bin"
    programs.mkdir()

    def install(name: str, guard: str) -> None:
        (programs / name).write_text(SHOW.format(guard=guard))
        (programs / name).chmod(0o755)

    def run(*, plugin: bool = True, **variables: str) -> list[str]:
        install("docker", f'test "$2" != version || exit {0 if plugin else 1}')
        install("docker-compose", "")
        surroundings = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": "/home/me", **variables}
        command = [str(ROOT / "docker/compose.sh"), "up", "--detach"]
        done = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=True)
        program, *others = done.stdout.rstrip("\n").split("|")
        return [Path(program).name, *others]

    return run


def test_nothing_given_is_nothing_said(compose):
    assert compose() == ["docker", "compose up --detach", "", "", "", ""]


def test_the_older_tool_takes_the_place_of_a_missing_plugin(compose):
    assert compose(plugin=False)[:2] == ["docker-compose", "up --detach"]


def test_folders_are_absolute(compose, tmp_path: Path):
    given = compose(DATA_DIR="~/a b", MODELS="models/churn", REPORTS=str(tmp_path / "r"))
    assert given[2:] == ["/home/me/a b", "", str(tmp_path / "models/churn"), str(tmp_path / "r")]
    assert (tmp_path / "models/churn").is_dir()


def test_another_model_has_reports_of_its_own(compose, tmp_path: Path):
    assert compose(MODELS="models/churn")[5] == str(tmp_path / "reports/models-churn")
    assert (tmp_path / "reports/models-churn").is_dir()


def test_a_file_is_named_by_its_folder(compose, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/churn $1.csv").touch()
    assert compose(CSV="mine/churn $1.csv", DATA_DIR="other")[2:4] == [str(tmp_path / "mine"), "churn $1.csv"]


def test_a_file_that_is_not_here_is_sought_in_the_folder_of_the_data(compose, tmp_path: Path):
    assert compose(CSV="churn.csv", DATA_DIR="mine")[2:4] == [str(tmp_path / "mine"), "churn.csv"]
