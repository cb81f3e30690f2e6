"""Which files are scored, what their fields mean, and what is said of those that are left out.

The model adds up: temp + 10 hum + the worth of the site; a missing number counts -7, a missing site 1,000, one that
training never saw 2,000.
"""

import gzip
import json
import os
from pathlib import Path

import polars as pl
import pytest
import zstandard

from bundle.manifest import Feature
from scale.scoring.score import main
from tests.hand_made_bundle import HandMade
from tests.hand_made_model import HandMadeModel

WEATHER = HandMade(
    name="weather",
    features=(
        Feature(name="site", kind="nominal", nullable=True, example="north", categories=("north", "south", "")),
        Feature(name="temp", kind="numeric", nullable=True, example=1.0, minimum=0.0, maximum=9.0),
        Feature(name="hum", kind="numeric", nullable=True, example=2.0, minimum=0.0, maximum=9.0),
    ),
    target="rain",
    model=HandMadeModel(
        numbers=("temp", "hum"),
        categories=("site",),
        texts={"north": 100.0, "south": 200.0, "": 300.0},
        missing=1000.0,
        unseen=2000.0,
        gap=-7.0,
        weights=((1.0,), (10.0,)),
        text_weights=(1.0,),
    ),
    rows=({"site": "north", "temp": 1.0, "hum": 2.0},),
)

ROW = "site,temp,hum\nnorth,3,5\n"
ROW_SCORE = 153.0

Put = dict[str, str | bytes]


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weather") / "models"
    WEATHER.write(folder)
    return folder


@pytest.fixture
def score(weather: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """`score(files, *options)` writes the files, scores their folder, and gives the status and what was printed."""

    def run(files: Put, *options: str, given: str = "in", output: str = "out.parquet") -> tuple[int, str, str]:
        for name, content in files.items():
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        paths = ["--input", str(tmp_path / given), "--output", str(tmp_path / output), "--models", str(weather)]
        status = main([*paths, *options])
        captured = capsys.readouterr()
        return status, captured.out.replace(f"{tmp_path}/", ""), captured.err.replace(f"{tmp_path}/", "")

    return run


def predictions(folder: Path, output: str = "out.parquet") -> list[float]:
    return pl.read_parquet(folder / output)["prediction"].to_list()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param(",3,5\n", [1053], id="empty"),
        pytest.param('"","3","5"\n', [1053], id="quoted, as some writers quote every field"),
        pytest.param('north,"",5\n', [143], id="a quoted empty number"),
        pytest.param("north,3,5\n\n\nsouth,1,1\n\r\n\n", [153, 211], id="blank lines are no rows"),
        pytest.param("north,3,5", [153], id="no last line end"),
        pytest.param("north,3,5\r\nsouth,1,1\r\n", [153, 211], id="Windows line ends"),
        pytest.param(",,\n", [1000 - 7 - 70], id="a row of nothing but missing values is one"),
        pytest.param('"no,\nwhere",3,5\n', [2053], id="a separator and a line end inside quotes"),
    ],
)
def test_what_the_fields_of_a_text_file_mean(score, tmp_path: Path, text: str, values: list[float]):
    assert score({"a.csv": f"site,temp,hum\n{text}"})[0] == 0
    assert predictions(tmp_path) == values


def test_a_quoted_empty_field_is_a_text_for_those_who_ask(score, tmp_path: Path):
    status, _, _ = score({"a.csv": 'site,temp,hum\n"",3,5\n,3,5\n'}, "--empty", "text")
    assert status == 0
    assert predictions(tmp_path) == [353, 1053]


def test_all_that_can_be_read_is_read_and_told(score, tmp_path: Path):
    pl.DataFrame({"site": ["south"], "temp": [3.0], "hum": [6]}).write_parquet(tmp_path / "E.PARQUET")
    files: Put = {
        "B.CSV": ROW,
        "E.PARQUET": (tmp_path / "E.PARQUET").read_bytes(),
        "a.csv": ROW + "south,3,7\n",
        "c.csv.gz": gzip.compress(ROW.replace("5", "8").encode(), mtime=0),
        "deep/d.csv.Zst": zstandard.compress(ROW.replace("5", "9").encode()),
        "f.tsv": ROW.replace(",", "\t").replace("5", "4"),
        "README.md": "notes",
        "_SUCCESS": "",
        "_delta_log/1.parquet": "",
        ".a.csv.crc": "",
    }
    status, _, error = score(files)
    assert status == 1
    assert "in/E.PARQUET: the inputs' columns differ: temp is Float64, in in/B.CSV String; KEEP those" in error
    status, out, _ = score(files, "--keep", "site")
    assert status == 0
    assert predictions(tmp_path) == [153, 263, 153, 273, 183, 193, 143]
    assert out.startswith(
        "input    6 files, 7 rows\n  in/B.CSV: 1 rows\n  in/E.PARQUET: 1 rows\n  in/a.csv: 2 rows\n"
        "  in/c.csv.gz: 1 rows\n  in/deep/d.csv.Zst: 1 rows\n  in/f.tsv: 1 rows\nleft out 4 files\n"
    )
    assert "in/_delta_log/1.parquet: no data, by its name" in out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("b.xlsx", b"PK", "in/b.xlsx: a file of this kind can't be read"),
        ("part-00000", ROW, "in/part-00000: a file of this kind can't be read"),
        ("b.csv.bz2", b"BZh", "in/b.csv.bz2: a file of this kind can't be read"),
        ("b.csv", "site,temp,hum\nnorth,2\n", "in/b.csv, line 2: 2 fields, but the header has 3; the line was cut"),
        ("b.csv", "site,temp,hum\nnorth,2,3,4\n", "in/b.csv, line 2: 4 fields, but the header has 3"),
        ("b.csv", "", "in/b.csv: is empty; its first line must name the columns"),
        ("b.csv", ROW.encode("utf-16"), "in/b.csv: looks like UTF-16; convert it to UTF-8"),
        ("b.csv", "site,temp,hum\nnørth,2,3\n".encode("cp1252"), "in/b.csv, line 2: byte 0xF8 is not UTF-8"),
        ("b.csv", ROW.replace(",", ";"), "there are 'site;temp;hum'; fields seem to be separated by ';'"),
        ("b.csv", "site; temp ;hum\nnorth;1,5;2\n", "2 fields, but the header has 1; is the separator another one?"),
        ("b.csv", " Site,temp,hum\n", "column 'site' is missing; there are ' Site', 'temp', 'hum'; spelt otherwise"),
        ("b.csv", "north,3,5\nsouth,1,1\n", "are 'north', '3', '5'; is the line with the columns' names missing?"),
        (
            "b.csv.gz",
            gzip.compress(ROW.encode() * 99, mtime=0)[:-9],
            "in/b.csv.gz: can't be read: Compressed file ended",
        ),
        ("b.csv.zst", zstandard.compress(os.urandom(99).hex().encode())[:-9], "in/b.csv.zst: can't be read: the compr"),
        ("b.parquet", b"PAR1", "in/b.parquet: can't be read"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_scored_ends_the_run_before_it_begins_and_skip_names_it(
    score, tmp_path: Path, name: str, content: str | bytes, message: str
):
    status, out, error = score({"a.csv": ROW, name: content})
    assert (status, out) == (1, "")
    assert message in error
    assert error.endswith("SKIP=1 scores the other files\n")
    assert not (tmp_path / "out.parquet.parts").exists()
    status, out, _ = score({}, "--skip")
    assert status == 0
    assert out.startswith("input    1 file, 1 rows\n  in/a.csv: 1 rows\nleft out 1 file\n")
    assert message in out
    assert predictions(tmp_path) == [ROW_SCORE]


def test_all_files_that_cannot_be_scored_are_named_at_once(score):
    status, _, error = score({"a.csv": ROW, "b.csv": "x\n1\n", "c.csv": "site,temp,hum\n1\n", "d.json": "{}"})
    assert status == 1
    assert error.splitlines()[0] == "error: 3 files can't be scored; SKIP=1 scores the other files"
    assert [line.split(":")[0].strip() for line in error.splitlines()[1:]] == [
        "in/d.json",
        "in/b.csv",
        "in/c.csv, line 2",
    ]


def test_skip_does_not_leave_out_everything(score):
    status, _, error = score({"a.csv": "x\n1\n"}, "--skip")
    assert (status, error) == (1, "error: in/a.csv: columns 'site', 'temp', 'hum' are missing; there are 'x'\n")


def test_links_and_folders_that_a_glob_matches_are_followed(score, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/b.csv").write_text(ROW)
    (tmp_path / "in/2024-01").mkdir(parents=True)
    (tmp_path / "in/2024-02").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/round").symlink_to(tmp_path / "elsewhere")
    status, out, _ = score({"2024-01/a.csv": ROW, "2023-12/z.csv": ROW}, given="in/2024-*")
    assert status == 0
    assert out.startswith("input    2 files, 2 rows\n  in/2024-01/a.csv: 1 rows\n  in/2024-02/b.csv: 1 rows\n")
    (tmp_path / "in/2024-01/gone.csv").symlink_to(tmp_path / "nowhere")
    status, _, error = score({})
    assert status == 1
    assert "in/2024-01/gone.csv: a file of this kind can't be read" in error


@pytest.mark.parametrize("name", ["Bob's $rows [1].csv", "a b.csv", "*.csv"])
def test_a_file_of_any_name(score, tmp_path: Path, name: str):
    assert score({name: ROW}, given=f"in/{name}")[0] == 0
    assert predictions(tmp_path) == [ROW_SCORE]


@pytest.mark.parametrize(("separator", "given"), [(";", ";"), ("|", "|"), ("\t", "\\t"), (" ", " ")])
def test_another_separator(score, tmp_path: Path, separator: str, given: str):
    assert score({"a.csv": ROW.replace(",", separator)}, "--separator", given)[0] == 0
    assert predictions(tmp_path) == [ROW_SCORE]


@pytest.mark.parametrize("separator", [";;", '"', "\n", "é"])
def test_what_cannot_be_a_separator(score, separator: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        score({"a.csv": ROW}, "--separator", separator)
    assert "is not one character of ASCII" in capsys.readouterr().err


def test_a_run_that_reads_fields_otherwise_is_another_one(score, tmp_path: Path):
    files: Put = {"a.csv": 'site,temp,hum\n"",3,5\n'}
    assert score(files, output="out")[0] == 0
    status, _, error = score({}, "--empty", "text", output="out")
    assert status == 1
    assert "holds scores of another run (csv CsvOptions(separator='', empty_is_text=False), now" in error
    assert json.loads((tmp_path / "out/_scoring.json").read_text())["csv"] == ["", False]


@pytest.mark.parametrize("output", ["OUT.CSV", "out.Parquet", "out.tsv"])
def test_the_output_may_be_named_in_capitals(score, tmp_path: Path, output: str):
    assert score({"a.csv": ROW}, output=output)[0] == 0
    path = tmp_path / output
    if output == "out.Parquet":
        assert predictions(tmp_path, output) == [ROW_SCORE]
    else:
        separator = "\t" if output == "out.tsv" else ","
        assert path.read_text().splitlines()[1] == separator.join(["north", "3", "5", "153.0"])


def test_an_output_of_a_kind_that_is_not_written_is_refused(score, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        score({"a.csv": ROW}, output="out.csv.gz")
    assert ".parquet, .pq, .csv, .tsv files can be written; other names are folders" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["in/out", "in/out.csv"])
def test_an_output_inside_the_input_is_no_input_the_next_time(score, tmp_path: Path, output: str):
    assert score({"a.csv": ROW}, output=output)[0] == 0
    status, out, _ = score({"a.csv": ROW + ROW.splitlines()[1]}, "--fresh", output=output)
    assert status == 0
    assert out.startswith("input    1 file, 2 rows\n")
    assert ": in OUTPUT, of an earlier run" in out
    status, _, error = score({}, output="other")
    assert status == 1
    assert "holds scores already, and other files don't; it seems to be an output; SKIP=1" in error


def test_an_output_that_is_an_input_is_refused(score, tmp_path: Path):
    status, _, error = score({"a.csv": ROW, "b.csv": ROW}, output="in/b.csv")
    assert (status, error) == (
        1,
        "error: in/b.csv: would be an input, too, and OUTPUT may not be one; choose another\n",
    )
    assert (tmp_path / "in/b.csv").read_text() == ROW


def test_a_missing_text_where_none_may_be_says_how_to_mean_the_empty_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    bundle = HandMade(
        name="strict",
        features=(Feature(name="site", kind="nominal", nullable=False, example="north", categories=("north",)),),
        target="rain",
        model=HandMadeModel((), ("site",), {"north": 1.0}, 0.0, 5.0, 0.0, (), (1.0,)),
        rows=({"site": "north"},),
    )
    bundle.write(tmp_path / "models")
    (tmp_path / "a.csv").write_text('site\n""\n')
    command = ["--input", str(tmp_path / "a.csv"), "--models", str(tmp_path / "models")]
    assert main([*command, "--output", str(tmp_path / "out.parquet")]) == 1
    assert (
        "row 1, column 'site': null, but the feature is not nullable; EMPTY=text takes \"\"" in capsys.readouterr().err
    )
    assert main([*command, "--output", str(tmp_path / "text.parquet"), "--empty", "text"]) == 0
    assert pl.read_parquet(tmp_path / "text.parquet")["prediction"].to_list() == [5.0]
