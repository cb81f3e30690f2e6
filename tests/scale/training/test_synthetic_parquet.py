"""Synthetic rows in any number, as partitioned Parquet."""

from pathlib import Path

import polars as pl
import pytest

from scale.training.synthetic_parquet import main, write_synthetic
from training.adult import DATASET
from training.data.checks import check_frame
from training.errors import DataError


def test_the_parts_hold_the_rows_and_no_part_repeats_another(tmp_path: Path):
    paths = write_synthetic(DATASET, 2500, tmp_path / "out", seed=1, part_rows=1000)
    parts = [pl.read_parquet(path) for path in paths]
    assert [part.height for part in parts] == [1000, 1000, 500]
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [path.name for path in paths]
    check_frame(DATASET, pl.concat(parts))
    assert pl.concat(parts[:2]).unique().height > 1900


def test_the_same_seed_gives_the_same_rows_and_another_one_others(tmp_path: Path):
    first, again, other = (
        [pl.read_parquet(path) for path in write_synthetic(DATASET, 300, tmp_path / name, seed=seed, part_rows=200)]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert all(one.equals(two) for one, two in zip(first, again, strict=True))
    assert not any(one.equals(two) for one in first for two in other)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "mine").touch()
    with pytest.raises(DataError, match="not empty"):
        write_synthetic(DATASET, 10, tmp_path, seed=1)
    assert main(["--rows", "10", "--output", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}: not empty; choose another OUTPUT\n"


def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--rows", "1200", "--output", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"1,200 synthetic rows in 1 files in {tmp_path / 'out'}\n"
