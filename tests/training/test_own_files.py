"""One table, written as different programs write it, is one data set: the same features and the same rows."""

import gzip
from pathlib import Path

import polars as pl
import pytest
import zstandard

from training.data.csv_options import read_csv_options
from training.data.file_dataset import infer_dataset
from training.data.sources import load_rows
from training.errors import DataError, TableError

HEADER = ("age", "plan", "vip", "since", "churn")
ROWS = [
    (str(20 + i % 7), ("basic", "pro", "")[i % 3], ("true", "false")[i % 2], f"2024-01-{i % 28 + 1:02}", "ny"[i % 2])
    for i in range(60)
]


def text(separator: str = ",", quote: str = "", line_end: str = "\n", blank: str = "") -> bytes:
    lines = [separator.join(f"{quote}{field}{quote}" for field in row) for row in (HEADER, *ROWS)]
    return (line_end.join([*lines[:9], *([blank] if blank else []), *lines[9:]]) + line_end).encode()


def read(path: Path, separator: str = "") -> pl.DataFrame:
    dataset = infer_dataset(path, "churn", options=read_csv_options(separator, "missing")).dataset
    assert [(type(f).__name__, f.name, f.nullable) for f in dataset.features] == [
        ("Numeric", "age", False), ("Nominal", "plan", True), ("Boolean", "vip", False), ("Date", "since", False),
    ]  # fmt: skip
    return load_rows(dataset, "auto", path.parent).frame


@pytest.mark.parametrize(
    ("name", "content", "separator"),
    [
        ("quoted.CSV", text(quote='"'), ""),
        ("windows.csv", b"\xef\xbb\xbf" + text(line_end="\r\n"), ""),
        ("blank.csv", text(blank="\r"), ""),
        ("semicolons.csv", text(";"), ";"),
        ("tabs.Tsv", text("\t"), ""),
        ("tabs.csv", text("\t"), "\t"),
        ("packed.csv.gz", gzip.compress(text()), ""),
        ("packed.tsv.ZST", zstandard.compress(text("\t", quote='"')), ""),
    ],
)
def test_the_writing_of_a_table_makes_no_difference(tmp_path: Path, name: str, content: bytes, separator: str):
    (tmp_path / "plain.csv").write_bytes(text())
    (tmp_path / name).write_bytes(content)
    plain = read(tmp_path / "plain.csv")
    assert (plain.height, plain["plan"].null_count()) == (60, 20)
    assert read(tmp_path / name, separator).equals(plain)


def test_a_cut_file_is_no_smaller_data_set(tmp_path: Path):
    (tmp_path / "cut.csv").write_bytes(text()[:-20])
    with pytest.raises(TableError, match=r"cut\.csv, line 61: \d fields?, but the header has 5; the line was cut"):
        read(tmp_path / "cut.csv")


def test_a_file_of_a_header_alone_has_no_rows(tmp_path: Path):
    (tmp_path / "head.csv").write_text("a,b,churn\n")
    with pytest.raises(DataError, match=r"head\.csv: has no rows below its header"):
        infer_dataset(tmp_path / "head.csv", "churn")
