"""What can't be scored is refused with the file, the row and the column, and leaves no part behind."""

from pathlib import Path

import polars as pl
import pytest

from bundle.manifest import Feature, Manifest
from scale.scoring.options import parse_options
from tests.scale.scoring.conftest import Run

FLOAT32_MAX = 3.4028234663852886e38


@pytest.fixture
def rows(features: pl.DataFrame) -> pl.DataFrame:
    return features.head(5)


def numeric(manifest: Manifest) -> str:
    return next(feature.name for feature in manifest.numeric if not feature.nullable)


def category(manifest: Manifest, *, nullable: bool) -> Feature:
    return next(feature for feature in manifest.categorical if feature.nullable is nullable)


def change(rows: pl.DataFrame, name: str, row: int, value: object) -> pl.DataFrame:
    values = rows[name].to_list()
    values[row] = value
    return rows.with_columns(pl.Series(name, values, strict=False))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e39, FLOAT32_MAX * 1.0000001])
def test_a_number_that_float32_cannot_hold(
    value: float, run: Run, rows: pl.DataFrame, manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    source, name = tmp_path / "rows.parquet", numeric(manifest)
    change(rows, name, 3, value).write_parquet(source)
    assert run(source, tmp_path / "out", "--part-rows", "2") == 1
    expected = f"error: {source}, row 4, column '{name}': {value!r} is not a number within float32's range\n"
    assert capsys.readouterr().err.endswith(expected)
    assert not list((tmp_path / "out").glob("part-*2.parquet"))


def test_the_largest_float32_is_a_number(run: Run, rows: pl.DataFrame, manifest: Manifest, tmp_path: Path):
    change(rows, numeric(manifest), 0, FLOAT32_MAX).write_parquet(tmp_path / "rows.parquet")
    assert run(tmp_path / "rows.parquet", tmp_path / "out.csv") == 0


@pytest.mark.parametrize("text", ["forty", " 40", "1_000", "nan", "1e999"])
def test_text_in_csv_that_is_no_number(
    text: str, run: Run, rows: pl.DataFrame, manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    name = numeric(manifest)
    change(rows.with_columns(pl.col(name).cast(pl.String)), name, 2, text).write_csv(tmp_path / "rows.csv")
    assert run(tmp_path / "rows.csv", tmp_path / "out") == 1
    assert f"rows.csv, row 3, column '{name}': {text!r} is not a number" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_null_where_the_feature_is_not_nullable(
    suffix: str, run: Run, rows: pl.DataFrame, manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    source = tmp_path / f"rows{suffix}"
    for name in (numeric(manifest), category(manifest, nullable=False).name):
        bad = change(rows, name, 4, None)
        bad.write_csv(source) if suffix == ".csv" else bad.write_parquet(source)
        assert run(source, tmp_path / "out", "--fresh") == 1
        assert f"{source}, row 5, column '{name}': null, but the feature is not" in capsys.readouterr().err


def test_the_first_bad_row_is_named_whichever_column_it_is_in(
    run: Run, rows: pl.DataFrame, manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    first, second = manifest.numeric[0].name, manifest.numeric[1].name
    change(change(rows, first, 4, None), second, 1, None).write_parquet(tmp_path / "rows.parquet")
    assert run(tmp_path / "rows.parquet", tmp_path / "out") == 1
    assert f"row 2, column '{second}'" in capsys.readouterr().err


def test_a_missing_column_or_a_wrong_type_is_found_before_anything_is_scored(
    run: Run, rows: pl.DataFrame, manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    name, other = numeric(manifest), manifest.categorical[0].name
    (tmp_path / "in").mkdir()
    rows.write_parquet(tmp_path / "in/a.parquet")
    for bad, problem in (
        (rows.drop(name), f"column '{name}' is missing"),
        (rows.with_columns(pl.col(name).cast(pl.String)), f"column '{name}' is String, but numbers are needed"),
        (rows.with_columns(pl.lit(value=True).alias(name)), f"column '{name}' is Boolean, but numbers are needed"),
        (rows.with_columns(pl.lit(1).alias(other)), f"column '{other}' is Int32, but strings are needed"),
    ):
        bad.write_parquet(tmp_path / "in/b.parquet")
        assert run(tmp_path / "in", tmp_path / "out") == 1
        assert f"b.parquet: {problem}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_types_of_numbers_and_strings_are_taken(run: Run, rows: pl.DataFrame, manifest: Manifest, tmp_path: Path):
    nullable = category(manifest, nullable=True).name
    mixed = rows.with_columns(
        pl.col(numeric(manifest)).cast(pl.Int16),
        pl.col(category(manifest, nullable=False).name).cast(pl.Categorical),
        pl.lit(None).alias(nullable),
    )
    plain = rows.with_columns(pl.lit(None, dtype=pl.String).alias(nullable))
    for name, frame in (("mixed", mixed), ("plain", plain)):
        frame.write_parquet(tmp_path / f"{name}.parquet")
        assert run(tmp_path / f"{name}.parquet", tmp_path / f"{name}-scores.parquet", "--keep", "") == 0
    assert pl.read_parquet(tmp_path / "mixed-scores.parquet").equals(pl.read_parquet(tmp_path / "plain-scores.parquet"))


@pytest.mark.parametrize(
    ("name", "content"),
    [("r.parquet", b"no parquet"), ("r.csv", b""), ("r.csv", b"a\n\xff\xfe\n"), ("r.txt", b"a\n1\n")],
)
def test_a_file_that_cannot_be_read(
    name: str, content: bytes, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / name).write_bytes(content)
    assert run(tmp_path / name, tmp_path / "out") == 1
    captured = capsys.readouterr()
    assert captured.err.startswith((f"error: {tmp_path / name}: ", f"error: {tmp_path / name}, line 2: "))
    assert captured.err.count("\n") == 1


def test_a_line_with_too_many_fields(run: Run, rows: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    text = rows.write_csv()
    (tmp_path / "rows.csv").write_text(text + text.splitlines()[1] + ",more\n")
    assert run(tmp_path / "rows.csv", tmp_path / "out") == 1
    assert f"{tmp_path}/rows.csv, line 7: 15 fields, but the header has 14" in capsys.readouterr().err


def test_kept_columns_must_be_there_and_not_be_named_like_scores(
    run: Run, rows: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    rows.with_columns(pl.lit(0).alias("probability")).write_parquet(tmp_path / "rows.parquet")
    assert run(tmp_path / "rows.parquet", tmp_path / "out") == 1
    assert "named like a score; give KEEP without it" in capsys.readouterr().err
    assert run(tmp_path / "rows.parquet", tmp_path / "out", "--keep", "id") == 1
    assert "KEEP: column 'id' is missing; there are " in capsys.readouterr().err


def test_files_with_other_columns_have_no_single_output(
    run: Run, rows: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "in").mkdir()
    rows.write_parquet(tmp_path / "in/a.parquet")
    rows.with_columns(pl.lit(1).alias("id")).write_parquet(tmp_path / "in/b.parquet")
    assert run(tmp_path / "in", tmp_path / "out.parquet") == 1
    assert "the inputs' columns differ" in capsys.readouterr().err
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--output", "x"],
        ["--input", "", "--output", "x"],
        ["--input", "x", "--output", ""],
        ["--input", "x", "--output", "y", "--shard", "3/3"],
        ["--input", "x", "--output", "y", "--shard", "1"],
        ["--input", "x", "--output", "y.csv", "--shard", "0/2"],
        ["--input", "x", "--output", "y", "--shard", "0/2", "--fresh"],
        ["--input", "x", "--output", "y", "--part-rows", "0"],
    ],
)
def test_wrong_usage_has_status_2(arguments: list[str]):
    with pytest.raises(SystemExit, match="2"):
        parse_options(arguments)


def test_a_folder_without_a_bundle(run: Run, rows: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows.write_parquet(tmp_path / "rows.parquet")
    assert run(tmp_path / "rows.parquet", tmp_path / "out", "--models", str(tmp_path)) == 1
    assert "no model bundle here" in capsys.readouterr().err
