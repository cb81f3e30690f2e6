"""Scoring on a Dask cluster: the parts, the summary and the errors are those of a run without one."""

import dataclasses
import shutil
from pathlib import Path

import msgspec
import polars as pl
import pytest

from bundle.manifest import Manifest, encode_manifest
from scale.scoring import dask_run
from scale.scoring.inputs import InputFile
from scale.scoring.options import parse_options
from tests.scale.scoring.conftest import Run


@pytest.fixture
def cluster(scheduler: str) -> tuple[str, ...]:
    return "--engine", "dask", "--scheduler", scheduler


@pytest.fixture
def source(features: pl.DataFrame, manifest: Manifest, tmp_path: Path) -> Path:
    """A Parquet file and a CSV file, one with an unseen category in every row."""
    (tmp_path / "in").mkdir()
    features[:600].write_parquet(tmp_path / "in/a.parquet", row_group_size=90)
    features[600:900].with_columns(pl.lit("odd").alias(manifest.categorical[1].name)).write_csv(tmp_path / "in/b.csv")
    return tmp_path / "in"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("part-*")}


def test_parts_and_summary_are_the_same_to_the_byte(
    run: Run, cluster: tuple[str, ...], source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(source, tmp_path / "here", "--part-rows", "70") == 0
    here = capsys.readouterr().out.replace("here", "there")
    assert run(source, tmp_path / "there", "--part-rows", "70", *cluster) == 0
    there = capsys.readouterr().out
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    assert there.splitlines()[:3] == here.splitlines()[:3]
    assert "on 2 threads of the cluster" in there
    assert not list((tmp_path / "there").glob(".part-*"))


def test_a_run_without_a_cluster_goes_on_with_one(
    run: Run, cluster: tuple[str, ...], source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    assert run(source, out, "--part-rows", "70") == 0
    whole, kept = contents(out), min(out.glob("part-*"))
    for path in sorted(out.glob("part-*"))[3:]:
        path.unlink()
    before = kept.stat().st_ino
    assert run(source, out, "--part-rows", "70", *cluster) == 0
    assert contents(out) == whole
    assert kept.stat().st_ino == before
    capsys.readouterr()
    assert run(source, out, "--part-rows", "70", *cluster) == 0
    assert "speed" not in capsys.readouterr().out


def test_a_bad_row_is_named_and_the_first_one_always(
    run: Run, cluster: tuple[str, ...], features: pl.DataFrame, manifest: Manifest, tmp_path: Path, capsys
):
    name = manifest.numeric[0].name
    column = features[name].head(900).to_list()
    column[500] = column[850] = float("nan")
    features.head(900).with_columns(pl.Series(name, column)).write_parquet(tmp_path / "rows.parquet")
    assert run(tmp_path / "rows.parquet", tmp_path / "out", "--part-rows", "50", *cluster) == 1
    assert f"rows.parquet, row 501, column '{name}': nan is not" in capsys.readouterr().err


def test_a_worker_that_sees_another_bundle_or_input_refuses(
    run: Run, cluster: tuple[str, ...], source: Path, models: Path, tmp_path: Path, monkeypatch, capsys
):
    def changed(**what):
        monkeypatch.setattr(
            dask_run, "_tasks", lambda *given: (dataclasses.replace(task, **what) for task in tasks(*given))
        )

    tasks, other = dask_run._tasks, tmp_path / "other"
    shutil.copytree(models, other)
    path = next(other.glob("*.json"))
    manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    path.write_bytes(encode_manifest(msgspec.structs.replace(manifest, version="new")))
    changed(models=other)
    assert run(source, tmp_path / "out", *cluster) == 1
    assert f"sees version new there, but {manifest.version} is to score" in capsys.readouterr().err

    changed(file=InputFile(str(source / "a.parquet"), 1, 1, 600))
    assert run(source, tmp_path / "out", *cluster) == 1
    assert "is another file, or none, for the worker on tcp://" in capsys.readouterr().err
    assert not contents(tmp_path / "out")


def test_a_cluster_shares_out_by_itself_and_needs_to_be_asked_for():
    for wrong in (["--engine", "dask", "--shard", "0/2"], ["--scheduler", "tcp://127.0.0.1:1"]):
        with pytest.raises(SystemExit, match="2"):
            parse_options(["--input", "x", "--output", "y", *wrong])
