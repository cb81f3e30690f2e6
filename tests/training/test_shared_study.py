"""A study that several processes share, on a real PostgreSQL of its own."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import create_engine, text

from bundle.manifest import read_manifest
from tests.services import PATIENCE_SECONDS, wait_until
from training.train import main
from training.tuning import shared_study
from training.tuning.shared_study import is_shared, run_shared_study
from training.tuning.study import without_password

PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), Path("/nowhere"))
TRIALS = 6

pytestmark = pytest.mark.skipif(
    not (PROGRAMS / "initdb").exists() or (os.geteuid() == 0 and shutil.which("setpriv") is None),
    reason="PostgreSQL's server is not installed (Debian: postgresql)",
)


@pytest.fixture(scope="module")
def server_folder() -> Iterator[Path]:
    """A folder of the server's own, beside pytest's: those are closed to other users whenever another run begins."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def storage(server_folder: Path) -> Iterator[str]:
    """The URL of a server that listens on a socket in a temporary folder, and nowhere else."""
    folder = server_folder
    as_owner: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        as_owner = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        shutil.chown(folder, "nobody", "nogroup")
    data = folder / "data"
    initdb = [*as_owner, str(PROGRAMS / "initdb"), "--username=tuner", "--auth=trust", "--no-sync", str(data)]
    subprocess.run(initdb, check=True, capture_output=True)
    server = subprocess.Popen(
        [*as_owner, str(PROGRAMS / "postgres"), "-D", str(data), "-k", str(folder), "-c", "listen_addresses=", "-F"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        ready = [PROGRAMS / "pg_isready", "-h", folder]
        wait_until(lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0)
        yield f"postgresql+psycopg://tuner@/postgres?host={folder}"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(PATIENCE_SECONDS)


def test_sqlite_is_for_one_process_and_a_server_for_many():
    assert not is_shared("sqlite:///study.db")
    assert is_shared("postgresql+psycopg://host/db")


def arguments(storage: str, folder: Path) -> list[str]:
    return [
        "--data", "synthetic", "--trials", str(TRIALS), "--seed", "5", "--storage", storage, "--choice", "best",
        "--models", str(folder / "models"), "--reports", str(folder / "reports"),
    ]  # fmt: skip


@pytest.mark.slow
def test_workers_share_a_study_and_one_of_them_may_die(storage: str, tmp_path: Path):
    """Two helpers, one of them killed at a trial; then one process finishes what is left, and publishes."""
    command = [sys.executable, "-c", WORKER, "--tune-only", *arguments(storage, tmp_path)]
    helpers = [subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for _ in range(2)]
    try:
        wait_for_a_running_trial(storage)
        helpers[0].kill()
        finishing = run(storage, tmp_path)
        assert finishing.returncode == 0, finishing.stderr
        assert helpers[1].wait(PATIENCE_SECONDS) == 0
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()
    with opened(storage) as study:
        states = [trial.state for trial in study.get_trials()]
        best = study.best_params
    assert sum(state in {TrialState.COMPLETE, TrialState.PRUNED} for state in states) == TRIALS
    assert TrialState.RUNNING not in states
    manifest = read_manifest(tmp_path / "models")
    assert manifest.study.best_parameters == best

    again = tmp_path / "again"  # finds the study finished, and makes the same model of it
    assert run(storage, again).returncode == 0
    assert read_manifest(again / "models").version == manifest.version


def test_a_trial_whose_process_died_before_its_first_sign_of_life_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shared_study, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(shared_study, "DEAD_SECONDS", 1)
    monkeypatch.setattr(shared_study, "POLL_SECONDS", 0.1)
    study = optuna.create_study(storage=shared_study.connect(f"sqlite:///{tmp_path / 'study.db'}"))
    begun = optuna.trial.create_trial(state=TrialState.RUNNING)
    study.add_trial(begun)  # by somebody who goes away with it
    assert run_shared_study(
        study, lambda trial: trial.suggest_float("x", 0, 1), trials=1, label="x", progress=StringIO()
    )
    assert [trial.state for trial in study.get_trials()] == [TrialState.FAIL, TrialState.COMPLETE]


def run(storage: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WORKER, *arguments(storage, folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)


@contextlib.contextmanager
def opened(storage: str) -> Iterator[optuna.Study]:
    connection = optuna.storages.RDBStorage(storage)
    try:
        (name,) = optuna.get_all_study_names(connection)
        yield optuna.load_study(study_name=name, storage=connection)
    finally:
        connection.remove_session()
        connection.engine.dispose()


JOIN = """
import sys
from concurrent.futures import ThreadPoolExecutor
from training.tuning.shared_study import connect
with ThreadPoolExecutor() as pool:
    list(pool.map(connect, [sys.argv[1]] * 4))
"""

WORKER = """
import dataclasses, sys
from training import adult
from training.tuning import shared_study
from training import train
adult.DATASET = dataclasses.replace(adult.DATASET, synthetic_rows=1500)
shared_study.HEARTBEAT_SECONDS, shared_study.DEAD_SECONDS = 1, 3
train.write_report = lambda *_: None  # its pictures take longer than the study
sys.exit(train.main(sys.argv[1:]))
"""


def wait_for_a_running_trial(storage: str) -> None:
    def begun() -> bool:
        with contextlib.suppress(ValueError), opened(storage) as study:  # there may be no study yet
            return bool(study.get_trials(states=(TrialState.RUNNING,)))
        return False

    wait_until(begun)


def test_a_server_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    url = f"postgresql+psycopg://tuner@/postgres?host={tmp_path}"
    assert main(arguments(url, tmp_path)) == 1
    assert f"error: STORAGE={url}: the study storage can't be used: " in capsys.readouterr().err


def test_a_password_is_not_told():
    shown_url = "postgresql+psycopg://tuner:***@host/study"
    assert without_password("postgresql+psycopg://tuner:s3cret@host/study") == shown_url
    assert without_password("postgresql+psycopg://tuner@host/study") == "postgresql+psycopg://tuner@host/study"
    assert without_password("sqlite:///study.db") == "sqlite:///study.db"


@pytest.mark.slow
def test_all_join_that_start_at_once(storage: str):
    """Optuna makes the tables without a lock: of those that try at once, the server refuses all but one."""
    engine = create_engine(storage, isolation_level="AUTOCOMMIT")
    with engine.connect() as server:
        server.execute(text("CREATE DATABASE empty"))
    engine.dispose()
    command = [sys.executable, "-c", JOIN, storage.replace("/postgres?", "/empty?")]
    joining = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert joining.returncode == 0, joining.stderr


def test_helping_needs_a_shared_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([*arguments(f"sqlite:///{tmp_path / 'study.db'}", tmp_path), "--tune-only"]) == 1
    assert "needs a database server that is shared" in capsys.readouterr().err
