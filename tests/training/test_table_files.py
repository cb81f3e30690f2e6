"""Files as tables: what a CSV field means, which lines are refused, and what in a folder is read."""

import csv
import gzip
import io
from pathlib import Path

import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.csv_records import split_records
from training.data.found_files import find_tables
from training.data.table_files import CsvOptions, count_rows, read_schema, read_slices, read_table
from training.errors import TableError


def write(folder: Path, content: str | bytes, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        pytest.param("a,b\n,1\n", [(None, "1")], id="an empty field is missing"),
        pytest.param('"a","b"\n"","1"\n', [(None, "1")], id="and so is a quoted one"),
        pytest.param("a,b\n1,2\n\n\r\n3,4\n\n", [("1", "2"), ("3", "4")], id="a blank line is no row"),
        pytest.param("a,b\n,\n", [(None, None)], id="a row of empty fields is one"),
        pytest.param("a,b\r\n1,2\r\n", [("1", "2")], id="Windows line ends"),
        pytest.param(b"\xef\xbb\xbfa,b\n1,2", [("1", "2")], id="byte order mark, no last line end"),
        pytest.param('a,b\n"x""y","1\n2,3"\n', [('x"y', "1\n2,3")], id="quotes, newline and comma in fields"),
        pytest.param('a\n1\n\n""\n', [("1",), (None,)], id="one column: quoted empty is missing, blank is no row"),
        pytest.param("a,b\n#1, 2 \n", [("#1", " 2 ")], id="fields stay as they stand"),
        pytest.param("a,b\n", [], id="header only"),
        pytest.param(",b\n0,1\n", [("0", "1")], id="a column without a name"),
    ],
)
def test_what_a_csv_file_holds(tmp_path, content, rows):
    path = write(tmp_path, content)
    assert read_table(path).rows() == rows
    assert count_rows(path) == len(rows)


def test_a_quoted_empty_field_is_text_for_those_who_ask(tmp_path):
    path = write(tmp_path, 'a,b\n"",\n')
    assert read_table(path, CsvOptions(empty_is_text=True)).rows() == [("", None)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b,c\n1,2,3\nnorth,2\n", "line 3: 2 fields, but the header has 3"),
        ("a,b\n1,2\n\n1,2,3\n", "line 4: 3 fields, but the header has 2"),
        ('a,b\n"1\n1",2\n3\n', "line 4: 1 field, but the header has 2"),
        ('a,b\n1,2\n5" pipe,3\n', "line 3: a quote inside a field"),
        ('a,b\n"5"x,3\n', "line 2: a quote inside a field"),
        ('a,b\n1,5"|x\n', "line 2: a quote inside a field"),
        ('a,b\n"x";y,2\n', "line 2: a quote inside a field"),
        ('a;b\n"1";"2"\n', "line 2: fields seem to have another separator; give SEPARATOR=';'"),
        ('"a";"b"\n"1";"2"\n', "line 1: fields seem to have another separator; give SEPARATOR=';'"),
        ('a|"b"\n1|"2"\n', "line 1: fields seem to have another separator; give SEPARATOR='|'"),
        ('a,b\n1,"2\n', "line 2: a quoted field that is never closed"),
        (b"a,b\n1,\xe9\n", "line 2: byte 0xE9 is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "looks like UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), "looks like UTF-16"),
        (b"a,b\r1,2\r", "carriage returns"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "is compressed"),
        ("a,a\n1,2\n", "two columns are named 'a'"),
        ("", "is empty"),
        ("\n\n", "is empty"),
    ],
)
def test_what_breaks_the_rules_is_named(tmp_path, content, message):
    path = write(tmp_path, content)
    for read in (count_rows, read_table):
        with pytest.raises(TableError, match=message) as raised:
            read(path)
        assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.CSV", b"a,b\n1,2\n"),
        ("r.tsv", b"a\tb\n1\t2\n"),
        ("r.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)),
        ("r.Csv.GZ", gzip.compress(b"a,b\n1,2\n", mtime=0)),
        ("r.tsv.zst", zstandard.compress(b"a\tb\n1\t2\n")),
    ],
)
def test_kinds_of_text_files(tmp_path, name, content):
    assert read_table(write(tmp_path, content, name)).rows() == [("1", "2")]


def test_parquet_keeps_its_types(tmp_path):
    frame = pl.DataFrame({"a": [1, None], "b": ["", None]})
    frame.write_parquet(tmp_path / "r.PARQUET")
    assert read_table(tmp_path / "r.PARQUET").equals(frame)
    assert read_schema(tmp_path / "r.PARQUET") == frame.schema


@pytest.mark.parametrize("name", ["r.csv.gz", "r.csv.zst", "r.parquet"])
def test_a_file_that_is_not_what_its_name_says(tmp_path, name):
    with pytest.raises(TableError, match=f"{name}: can't be read"):
        count_rows(write(tmp_path, b"a,b\n1,2\n", name))


def test_a_compressed_file_that_was_cut(tmp_path):
    content = gzip.compress(b"a,b\n" + b"1,2\n" * 1000, mtime=0)
    with pytest.raises(TableError, match="can't be read"):
        count_rows(write(tmp_path, content[:-4], "r.csv.gz"))


def test_a_compressed_file_of_several_frames_is_read_to_its_end_or_refused(tmp_path):
    frames = [zstandard.compress(text) for text in (b"a,b\n1,2\n", b"3,4\n", b"5,6\n" * 5000)]
    path = write(tmp_path, b"".join(frames), "r.csv.zst")
    assert count_rows(path) == read_table(path).height == 5002
    for cut in (b"".join(frames)[:-1], frames[0] + frames[1][:-4]):
        with pytest.raises(TableError, match="the compressed file was cut"):
            count_rows(write(tmp_path, cut, "r.csv.zst"))


def test_a_single_row_without_a_line_end(tmp_path):
    path = write(tmp_path, "a,b\n1,2")
    assert [frame.rows() for frame in read_slices(path, ["b"], 0, 1, 10)] == [[("2",)]]
    assert not [frame.rows() for frame in read_slices(path, ["b"], 1, None, 10) if frame.height]


def test_another_separator(tmp_path):
    path = write(tmp_path, "a;b\n1,5;2\n")
    assert read_table(path, CsvOptions(separator=";")).rows() == [("1,5", "2")]


def test_slices_have_the_rows_that_were_asked_for(tmp_path):
    path = write(tmp_path, "n,x\n" + "".join(f"{i},\n" for i in range(100)))
    slices = [frame["n"].to_list() for frame in read_slices(path, ["n"], 7, 50, 20)]
    assert slices == [[str(i) for i in range(start, stop)] for start, stop in ((7, 27), (27, 47), (47, 57))]


TEXTS = st.text(alphabet='a,"\n\r é;', max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(TEXTS, min_size=2, max_size=2), max_size=8), st.integers(1, 40), st.sampled_from(["\n", "\r\n"])
)
def test_what_a_csv_writer_writes_is_read_back_whatever_the_blocks_are(rows, block_bytes, line_end):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])
    blocks = split_records(io.BytesIO(text.getvalue().encode()), Path("x.csv"), b",", block_bytes=block_bytes)
    content = b"".join(block.content for block in blocks).decode()
    assert list(csv.reader(io.StringIO(content, newline=""))) == [["a", "b"], *rows]


def test_a_folder_is_read_whole_and_what_cannot_be_read_is_told(tmp_path):
    for name in (
        "a.csv",
        "B.CSV",
        "sub/c.tsv",
        "d.csv.gz",
        "e.PARQUET",
        "notes.md",
        "_SUCCESS",
        ".hidden.csv",
        "f.xlsx",
        "g",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_tables(str(tmp_path))
    assert [path.name for path in found.tables] == ["B.CSV", "a.csv", "d.csv.gz", "e.PARQUET", "c.tsv"]
    assert [path.name for path in found.unreadable] == ["f.xlsx", "g"]
    assert [path.name for path in found.no_data] == [".hidden.csv", "_SUCCESS", "notes.md"]


def test_a_glob_and_a_single_file(tmp_path):
    write(tmp_path, "a\n1\n", "x1.csv")
    write(tmp_path, "a\n1\n", "Bob's $file.csv")
    assert [path.name for path in find_tables(f"{tmp_path}/x*.csv").tables] == ["x1.csv"]
    assert [path.name for path in find_tables(f"{tmp_path}/Bob's $file.csv").tables] == ["Bob's $file.csv"]


@pytest.mark.parametrize("name", ["a.xlsx", "a.json", "a"])
def test_a_file_of_another_kind_is_refused(tmp_path, name):
    with pytest.raises(TableError, match="can't be read"):
        find_tables(str(write(tmp_path, "x", name)))


def test_nothing_to_read_says_what_is_there(tmp_path):
    write(tmp_path, "x", "a.xlsx")
    with pytest.raises(TableError, match=r"no file there that can be read \(but a\.xlsx\)"):
        find_tables(str(tmp_path))
