"""Fixtures that several packages' tests share: a small bundle, trained once per test run by the real code."""

import dataclasses
import fcntl
import os
import signal
from collections import Counter
from pathlib import Path

import hypothesis
import pytest

# Before XGBoost is loaded, here and in the processes that tests start: a second thread is no faster on so few rows, and
# waiting for it costs as much CPU time again.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from bundle.artifacts import BundleError
from bundle.manifest import Manifest, read_manifest
from training import adult
from training.dataset import Dataset
from training.train import Options, train

TRAINED_ROWS = 3000

# The same examples in every run, however slow the machine is: `make test` is to be the same for everyone.
hypothesis.settings.register_profile(
    "same", derandomize=True, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
)
hypothesis.settings.load_profile("same")


def pytest_configure() -> None:
    """Services that tests start send no traces to where those of whoever runs the tests go. Ctrl-C reaches what they
    start, also if a script runs the tests in the background, where it is ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[name]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Skipped tests: a line for each reason, not for each test."""
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()))
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} skipped: {reason.removeprefix('Skipped: ')}")


@pytest.fixture(scope="session")
def small_dataset() -> Dataset:
    """The data set of the repository, with few synthetic rows."""
    return dataclasses.replace(adult.DATASET, synthetic_rows=TRAINED_ROWS)


@pytest.fixture(scope="session")
def training_options(small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Options:
    """Options of a run of two trials on synthetic rows, into a temporary folder that pytest-xdist's workers share."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "trained"
    folder.mkdir(exist_ok=True)
    return Options(
        dataset=small_dataset,
        data="synthetic",
        data_dir=folder / "data",
        trials=2,
        seed=42,
        storage=f"sqlite:///{folder / 'study.db'}",
        fresh=False,
        if_missing=False,
        tune_only=False,
        models=folder / "models",
        reports=folder / "reports",
    )


@pytest.fixture(scope="session")
def manifest(training_options: Options) -> Manifest:
    """The manifest of the small bundle, which is trained when it is first asked for, by whichever worker asks first."""
    with (training_options.models.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return read_manifest(training_options.models)
        except BundleError:
            trained = train(training_options)
    assert trained is not None
    return trained


@pytest.fixture(scope="session")
def models(manifest: Manifest, training_options: Options) -> Path:
    """The folder of the small bundle. Not to be changed: copy it."""
    return training_options.models
