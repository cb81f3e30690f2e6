"""Rows to check a model on are read by the rules that training and scoring have."""

from datetime import date

import pytest

from training.data.table_files import CsvOptions
from training.errors import ConversionError
from training.package.columns import read_rows


def test_types_are_inferred_and_quoted_empty_fields_are_missing(tmp_path, capsys):
    path = tmp_path / "r.CSV"
    path.write_text('"n","x","s","d","b"\n"1","0.5","","2024-01-02","true"\n\n"","2","a","2024-01-03","false"\n')
    rows = read_rows(path).rows()
    assert rows == [(1, 0.5, None, date(2024, 1, 2), True), (None, 2.0, "a", date(2024, 1, 3), False)]
    assert capsys.readouterr().out == f"input    {path}: 2 rows\n"
    assert read_rows(path, CsvOptions(empty_is_text=True))["s"].to_list() == ["", "a"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.csv", "a,b\n1,2\n3\n", "line 3: 1 field, but the header has 2"),
        ("r.xlsx", "PK", "a file of this kind can't be read"),
        ("r.parquet", "no parquet", "can't be read"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ConversionError, match=f"{name}.*{message}"):
        read_rows(tmp_path / name)


def test_columns_that_are_named_stay_text(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("zip,day,n,flag\n01067,2024-01-02,1,true\n20095,2024-01-03,2,false\n")
    assert read_rows(path).row(0) == (1067.0, date(2024, 1, 2), 1.0, True)
    rows = read_rows(path, texts=["zip", "flag"], also_texts={"day", "elsewhere"})
    assert rows.row(0) == ("01067", "2024-01-02", 1.0, "true")
    with pytest.raises(ConversionError, match="TEXT: column 'zipp' is missing; there are 'zip', 'day', 'n', 'flag'"):
        read_rows(path, texts=["zipp"])
    rows.write_parquet(tmp_path / "r.parquet")
    assert read_rows(tmp_path / "r.parquet", also_texts={"zip"}).height == 2
    with pytest.raises(ConversionError, match=r"TEXT is for CSV files; ROWS=.*r\.parquet has types of its own"):
        read_rows(tmp_path / "r.parquet", texts=["zip"])
