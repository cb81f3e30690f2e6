"""Files are scored with every kind of model: the hand-made bundles of the contract suite."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from scale.scoring.score import main
from tests.contract.any_models import BINARY, MODELS, REGRESSION, THREE_CLASSES
from tests.hand_made_bundle import HandMade


def rows_of(bundle: HandMade) -> pl.DataFrame:
    """The bundle's rows as a file has them: dates as dates."""
    dates = [feature.name for feature in bundle.features if feature.kind == "date"]
    rows = pl.DataFrame(bundle.rows, strict=False, infer_schema_length=None)
    return rows.with_columns(pl.col(dates).str.to_date("%Y-%m-%d")) if dates else rows


def score(bundle: HandMade, rows: pl.DataFrame, folder: Path, suffix: str = ".parquet") -> pl.DataFrame:
    if not (folder / "models").exists():
        bundle.write(folder / "models")
    source, target = folder / f"rows{suffix}", folder / f"scores{suffix}"
    rows.write_parquet(source) if suffix == ".parquet" else rows.write_csv(source, date_format="%Y-%m-%d")
    command = ["--input", str(source), "--output", str(target), "--models", str(folder / "models"), "--keep", ""]
    assert main([*command, "--fresh"]) == 0
    return pl.read_parquet(target) if suffix == ".parquet" else pl.read_csv(target)


# The name with a line break in it can't stand in the header of a CSV file.
CASES = [
    (bundle, suffix) for bundle in MODELS for suffix in (".parquet", ".csv") if (bundle, suffix) != (BINARY, ".csv")
]


@pytest.mark.parametrize(("bundle", "suffix"), CASES, ids=[f"{bundle.name}{suffix}" for bundle, suffix in CASES])
def test_rows_get_the_scores_that_a_pencil_gives(bundle: HandMade, suffix: str, tmp_path: Path):
    answers = bundle.answers(bundle.rows)
    scores = score(bundle, rows_of(bundle), tmp_path, suffix)
    assert scores["prediction"].to_list() == pytest.approx([answer["prediction"] for answer in answers], rel=1e-5)
    if bundle.classes:
        label = f"predicted_{bundle.target}"
        assert scores[label].to_list() == [answer[label] for answer in answers]
        names = ["probability"] if bundle is BINARY else [f"probability_{name}" for name in bundle.classes]
        assert scores.columns == ["prediction", *names, label]
        expected = np.array([answer["probabilities"] for answer in answers])[:, -len(names) :]
        assert scores.select(names).to_numpy() == pytest.approx(expected, abs=1e-6)
    else:
        assert scores.columns == ["prediction"]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("is ripe", "yes", "'yes' is neither true nor false"),
        ("picked", "2024-2-29", "'2024-2-29' is not an ISO 8601 date (YYYY-MM-DD)"),
        ("picked", "2023-02-29", "'2023-02-29' is not an ISO 8601 date (YYYY-MM-DD)"),
        ("picked", "0000-01-01", "'0000-01-01' is not an ISO 8601 date (YYYY-MM-DD)"),
        ("count", "2.5", "'2.5' is not a whole number"),
        ("count", "many", "'many' is not a number within float32's range"),
        ("sold", "soon", "'soon' is not an ISO 8601 date (YYYY-MM-DD)"),
    ],
)
def test_a_value_of_another_kind_is_named_with_its_row(
    column: str, value: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    REGRESSION.write(tmp_path / "models")
    rows = rows_of(REGRESSION).cast(pl.String)
    wrong = rows.with_columns(pl.Series(column, [rows[column][0], value, rows[column][2]]))
    wrong.write_csv(tmp_path / "rows.csv")
    command = ["--input", str(tmp_path / "rows.csv"), "--output", str(tmp_path / "out")]
    assert main([*command, "--models", str(tmp_path / "models")]) == 1
    assert f"rows.csv, row 2, column '{column}': {message}" in capsys.readouterr().err


def test_a_kept_column_that_is_named_like_a_score_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    THREE_CLASSES.write(tmp_path / "models")
    rows_of(THREE_CLASSES).write_parquet(tmp_path / "rows.parquet")
    command = ["--input", str(tmp_path / "rows.parquet"), "--output", str(tmp_path / "out")]
    assert main([*command, "--models", str(tmp_path / "models")]) == 1
    assert "column 'prediction' is named like a score; give KEEP without it" in capsys.readouterr().err
