"""Who copies the repository may leave out scale/, experiments/ and serving/axum/: `make trim` removes them.

What is left passes the same checks with the same settings.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = {".git", ".venv", ".venv-audit", ".hypothesis", ".pytest_cache", "models", "reports", "data"}
FAST = "not slow and not cargo and not real_data and not docker"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("git") is None or shutil.which("make") is None, reason="git or make is missing"),
    pytest.mark.skipif(not (ROOT / "scale").exists(), reason="this is a trimmed copy"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trimmed") / "project"
    shutil.copytree(ROOT, folder, ignore=left_out, symlinks=True)
    (folder / "models").mkdir()
    author = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    for command in (("init", "--quiet"), ("add", "--all"), (*author, "commit", "--quiet", "--message=all")):
        run(folder, "git", *command)
    run(folder, "make", "trim")
    return folder


def left_out(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name in {"__pycache__", "target"} or (Path(folder) == ROOT and name in LEFT_OUT)}


def run(folder: Path, *command: str) -> None:
    of_make = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "PYTEST_ADDOPTS", "DATA_DIR"}
    surroundings = {name: value for name, value in os.environ.items() if name not in of_make}
    done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def test_the_extras_are_gone(copy: Path):
    for name in ("scale", "experiments", "serving/axum", "tests/scale", "tests/experiments"):
        assert not (copy / name).exists()


@pytest.mark.parametrize("command", [("ruff", "check"), ("ruff", "format", "--check"), ("mypy",)])
def test_it_passes_the_checks(copy: Path, command: tuple[str, ...]):
    run(copy, sys.executable, "-m", *command)


def test_every_module_can_be_imported(copy: Path):
    packages = ("bundle", "training", "serving", "load_testing", "monitoring")
    paths = [path.relative_to(copy) for package in packages for path in (copy / package).rglob("*.py")]
    names = [".".join(path.with_suffix("").parts) for path in paths if path.stem not in ("__init__", "__main__")]
    services = (".baselines.tutorial_", ".peers.")  # they load a bundle, and need packages of their own
    names = [name for name in names if not any(part in name for part in services)]
    run(copy, sys.executable, "-c", f"import {', '.join(sorted(names))}")


def test_its_tests_pass(copy: Path):
    """All of them can be collected; those that serve and measure are run, as the rest takes as long as in the whole."""
    run(copy, sys.executable, "-m", "pytest", "-q", "-n", "0", "--collect-only")
    folders = [f"tests/{name}" for name in ("bundle", "contract/test_predict.py", "serving")]
    run(copy, sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", FAST, *folders)
