"""A disk that fills up: one line says where, nothing half-written is left, and the same command goes on later.

The operating system itself refuses to write on: a limit on file sizes stands for the full disk.
"""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from scale.writing import writing
from tests.full_disk import files_of_at_most
from tests.scale.scoring.conftest import Run

ROWS = 20_000


def numbers() -> pl.Series:
    return pl.Series("number", np.random.default_rng(1).random(ROWS))


@pytest.mark.parametrize("write", ["write_parquet", "write_csv", "sink_parquet", "sink_csv"])
def test_whatever_writes_the_file_it_is_one_error(tmp_path: Path, write: str):
    frame = numbers().to_frame()
    path = tmp_path / "numbers"
    path.write_text("before")
    writer = getattr(frame.lazy() if write.startswith("sink") else frame, write)
    with (
        files_of_at_most(64 << 10),
        pytest.raises(OSError, match=f"^{path}: can't be written: File too large$"),
        writing(path) as temporary,
    ):
        writer(temporary)
    assert [found.name for found in tmp_path.iterdir()] == ["numbers"]
    assert path.read_text() == "before"


@pytest.mark.parametrize("size", [50 << 10, 200 << 10], ids=["part", "whole"])
@pytest.mark.parametrize("output", ["scores", "scores.csv", "scores.parquet"])
def test_scoring_ends_in_one_line_and_goes_on_later(
    run: Run, features: pl.DataFrame, tmp_path: Path, output: str, size: int, capfd: pytest.CaptureFixture[str]
):
    rows = features.sample(ROWS, with_replacement=True, seed=1).select(pl.all(), numbers())
    rows.write_parquet(tmp_path / "rows.parquet")
    arguments = (tmp_path / "rows.parquet", tmp_path / output, "--keep", "number", "--part-rows", "10000")
    with files_of_at_most(size):
        status = run(*arguments)
    error = capfd.readouterr().err
    assert "Traceback" not in error
    if (output, size) != ("scores", 200 << 10):  # its parts are small enough
        assert status == 1
        assert error.splitlines()[-1].startswith(f"error: {tmp_path / output}")
        assert error.splitlines()[-1].endswith("can't be written: File too large")
        assert not [path for path in tmp_path.rglob(".*") if path.is_file()]
    assert run(*arguments) == 0
