"""Rows of the kind that the small bundle was trained on, and the commands' reports."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from bundle.artifacts import read_artifact
from bundle.manifest import Manifest
from bundle.reference import CASE, HELD_OUT, ROW
from monitoring.drift.command import main as drift
from monitoring.drift.report import DriftReport
from monitoring.replay.command import main as replay
from monitoring.replay.report import ReplayReport


@pytest.fixture(scope="session")
def held_out(manifest: Manifest, models: Path) -> list[dict[str, Any]]:
    """The held-out rows of the small bundle."""
    frame = pl.read_parquet(io.BytesIO(read_artifact(manifest, "reference", models)))
    rows: list[dict[str, Any]] = frame.filter(pl.col(CASE) == HELD_OUT)[ROW].to_list()
    return rows


@pytest.fixture
def run_drift(models: Path, tmp_path: Path) -> Callable[..., tuple[int, DriftReport | None]]:
    """Run the command; its exit status, and its report if it wrote one."""

    def run(record: Path, *more: str, bundle: Path = models) -> tuple[int, DriftReport | None]:
        given = ["--record", str(record), "--models", str(bundle), "--reports", str(tmp_path / "reports"), *more]
        return drift(given), read(tmp_path / "reports/drift.json", DriftReport)

    return run


@pytest.fixture
def run_replay(models: Path, tmp_path: Path) -> Callable[..., tuple[int, ReplayReport | None]]:
    """Run the command; its exit status, and its report if it wrote one."""

    def run(record: Path, *more: str, bundle: Path = models) -> tuple[int, ReplayReport | None]:
        given = ["--record", str(record), "--models", str(bundle), "--reports", str(tmp_path / "reports"), *more]
        return replay(given), read(tmp_path / "reports/replay.json", ReplayReport)

    return run


def read(path: Path, kind: type[Any]) -> Any:
    return msgspec.json.decode(path.read_bytes(), type=kind) if path.exists() else None
