"""Reading a record: only whole files, in bounded pieces, and nothing damaged passes for sound."""

import gzip
import json
import os
import re
from datetime import UTC, datetime, timedelta

import msgspec
import polars as pl
import pytest

from bundle.manifest import read_manifest
from monitoring.errors import RecordError
from monitoring.record import files
from monitoring.record.reader import RecordReader
from monitoring.record.rows import Misfit, Shape
from monitoring.record.summary import not_read, record_notes, summarize
from tests.contract.any_models import BINARY, REGRESSION
from tests.monitoring.recorded_traffic import START, write_lines, write_record


@pytest.fixture
def record(tmp_path):
    """Two files of four lines each, of the hand-made regressor, one request an hour."""
    REGRESSION.write(tmp_path / "models")
    rows = [*REGRESSION.rows, REGRESSION.rows[0], *REGRESSION.rows, REGRESSION.rows[1]]
    write_record(tmp_path / "record", tmp_path / "models", rows, span=timedelta(hours=8), rows_of_a_file=4)
    return tmp_path / "record"


def read(folder, **options):
    reader = RecordReader(folder, **options)
    rows = [one for piece in reader for one in piece]
    return rows, reader.reading


def rewrite(path, change):
    lines = gzip.decompress(path.read_bytes()).split(b"\n")
    path.write_bytes(gzip.compress(b"\n".join(change(lines))))


def test_rows_come_as_they_were_recorded(record, tmp_path):
    rows, reading = read(record)
    assert [one.line.request_id for one in rows] == [f"onnx-{number:08x}" for number in range(8)]
    assert [one.number for one in rows] == [1, 2, 3, 4] * 2
    assert reading.damaged == 0
    assert (reading.first, reading.last) == (START, START + timedelta(hours=7))
    (arranged,) = Shape(read_manifest(tmp_path / "models")).arrange(rows)
    assert arranged.frame.schema == {
        "is ripe": pl.Boolean, "is bio": pl.Boolean, "picked": pl.Date, "sold": pl.Date, "count": pl.Float64,
        "worms": pl.Float64, "remark": pl.String,
    }  # fmt: skip
    assert arranged.frame["picked"].cast(pl.String).to_list()[:3] == ["2024-02-29", "0001-01-01", "9999-12-31"]
    assert arranged.frame["is bio"].to_list()[:3] == [False, None, True]
    assert arranged.numbers.shape == (8, 1)


def test_polars_reads_what_the_test_writes(record):
    assert pl.read_ndjson(min(record.iterdir())).height == 4


def test_pieces_are_small_and_lines_whole(record, monkeypatch):
    whole, _ = read(record)
    monkeypatch.setattr(files, "PIECE_BYTES", 100)
    pieces = list(RecordReader(record))
    assert len(pieces) > 10
    assert [one.line for piece in pieces for one in piece] == [one.line for one in whole]


def test_unfinished_and_other_files_are_left_and_said(record):
    first = min(record.iterdir())
    (record / f".{first.name.replace('-0.', '-99.')}.part").write_bytes(b"half")
    (record / "notes.txt").write_text("mine")
    (record / ".in-use").write_text("")
    rows, reading = read(record)
    assert len(rows) == 8
    summary = summarize(record, reading)
    told = not_read(msgspec.structs.replace(summary, early=1200))
    assert told == (
        "; 1,200 rows are older than SINCE; files still being written: 1, wait a minute or stop the service"
    )
    assert not_read(msgspec.structs.replace(summary, unfinished=0)) == ""
    notes = record_notes(summary)
    assert notes == (
        "1 file is still being written, and not read yet: wait a minute, or stop the service.",
        "Not files of a record, and not read: notes.txt.",
    )


def test_a_line_that_is_none_is_named_and_the_others_are_read(record):
    path = sorted(record.iterdir())[1]
    rewrite(
        path,
        lambda lines: [lines[0], b'{"time":', lines[1], lines[2].replace(b"Z", b"", 1), b"[1]", b"", lines[3], b""],
    )
    rows, reading = read(record)
    assert len(rows) == 7
    assert reading.damaged == 4
    assert [place.partition(":")[0] for place in reading.damage] == [f"{path.name}, line {n}" for n in (2, 4, 5, 6)]
    assert "its time is not one since 1970 in UTC" in reading.damage[1]


@pytest.mark.parametrize(("value", "fits"), [("3.4028235e38", True), ("-3.4028236e38", False), ("1e308", False)])
def test_a_number_that_is_no_float32_fits_no_model(record, tmp_path, value, fits):
    path = min(record.iterdir())
    line = json.loads(gzip.decompress(path.read_bytes()).split(b"\n")[0])
    line["features"]["worms"] = float(value)
    rewrite(path, lambda lines: [json.dumps(line).encode(), *lines[1:]])
    arranged = list(Shape(read_manifest(tmp_path / "models")).arrange(read(record)[0]))
    assert any(isinstance(one, Misfit) for one in arranged) is not fits


def test_a_line_that_is_nested_too_deep_is_damage(record):
    path = min(record.iterdir())
    rewrite(path, lambda lines: [b'{"more":' + b"[" * 100_000, *lines])
    rows, reading = read(record)
    assert (len(rows), reading.damaged) == (8, 1)


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2026-11-27T00:00:00+01:00"]
)
def test_a_time_that_no_service_writes_is_damage(record, time):
    path = min(record.iterdir())
    rewrite(path, lambda lines: [json.dumps(json.loads(lines[0]) | {"time": time}).encode(), *lines[1:]])
    rows, reading = read(record)
    assert (len(rows), reading.damaged) == (7, 1)


def test_the_first_point_in_time_is_one_since_which_rows_count(record):
    assert len(read(record, since=datetime.min.replace(tzinfo=UTC))[0]) == 8


def test_what_has_the_name_of_a_file_and_is_none_is_left_and_said(record):
    first = min(record.iterdir())
    pipe, folder = (record / re.sub(r"-\d+\.", f"-{number}.", first.name) for number in (98_000, 99_000))
    os.mkfifo(pipe)
    folder.mkdir()
    rows, reading = read(record)
    assert len(rows) == 8
    assert set(reading.folder.others) == {pipe.name, folder.name}


def test_a_name_that_is_no_text_can_be_written(record):
    (record / os.fsdecode(b"caf\xe9")).write_bytes(b"")
    _, reading = read(record)
    summary = summarize(record.parent / os.fsdecode(b"\xff"), reading)
    assert summary.others == (r"caf\xe9",)
    assert summary.folder.endswith(r"\xff")
    assert msgspec.json.encode(summary)


@pytest.mark.parametrize("cut", [30, -1, -8])
def test_a_file_that_was_cut_is_named_and_its_whole_lines_are_read(record, cut):
    path = sorted(record.iterdir())[1]
    path.write_bytes(path.read_bytes()[:cut])
    rows, reading = read(record)
    assert 4 <= len(rows) <= 8
    assert reading.damaged == 1
    assert reading.damage[0].startswith(f"{path.name}, after line ")
    assert "not whole gzip" in reading.damage[0]


def test_what_is_no_gzip_or_ends_within_a_line_is_damage(record):
    first, second = sorted(record.iterdir())
    first.write_bytes(b"plain text")
    rewrite(second, lambda lines: lines[:-1])
    rows, reading = read(record)
    assert len(rows) == 4
    assert "not whole gzip" in reading.damage[0]
    assert reading.damage[1].endswith("its last line doesn't end: it was cut")


def test_a_line_without_end_is_not_read_into_memory(record, monkeypatch):
    monkeypatch.setattr(files, "LONGEST_LINE", 10_000)
    monkeypatch.setattr(files, "PIECE_BYTES", 1000)
    min(record.iterdir()).write_bytes(gzip.compress(b"x" * 50_000))
    _, reading = read(record)
    assert reading.damage[0].endswith("a line of more than 0 MiB")


def test_rows_before_since_are_left_and_old_files_not_opened(record):
    rows, reading = read(record, since=START + timedelta(hours=5))
    assert len(rows) == 3
    assert reading.early == 5
    assert len(reading.folder.files) == 2
    with pytest.raises(RecordError, match=r"no finished file of 2026-11-26 .* or later"):
        read(record, since=START + timedelta(days=3))


def test_a_folder_that_is_none_or_has_no_finished_file_is_told(record, tmp_path):
    with pytest.raises(RecordError, match="no such folder; services write to SERVE_RECORD_DIR"):
        RecordReader(tmp_path / "nowhere")
    for path in record.iterdir():
        path.rename(record / f".{path.name}.part")
    with pytest.raises(
        RecordError, match="no finished file; 2 still being written: wait a minute, or stop the service"
    ):
        RecordReader(record)


def test_a_file_that_the_service_removes_meanwhile_is_no_damage(record):
    reader = RecordReader(record)
    sorted(record.iterdir())[1].unlink()
    assert sum(len(piece) for piece in reader) == 4
    assert (reader.reading.removed, reader.reading.damaged) == (1, 0)


WRONG = {
    "feature 'is ripe' is boolean, and can't be 1": {"is ripe": 1},
    "feature 'count' is numeric, and can't be True": {"count": True},
    "feature 'picked' is date, and can't be '2024-02-30'": {"picked": "2024-02-30"},
    "feature 'picked' is date, and can't be '20240229'": {"picked": "20240229"},
    "feature 'remark' is nominal, and can't be 7": {"remark": 7},
    "null are ['worms'], but named are missing [] and unseen []": {"worms": None},
    "feature 'count' is missing, and can't be": {"count": None, "missing": ["count"]},
    "feature 'sold' is unseen, and can't be": {"sold": None, "unseen": ["sold"]},
    "null are [], but named are missing ['worms'] and unseen []": {"missing": ["worms"]},
}


@pytest.mark.parametrize("reason", WRONG)
def test_a_row_that_contradicts_itself_or_the_model_is_told(record, tmp_path, reason):
    rows, _ = read(record)
    change = dict(WRONG[reason])
    named = {name: change.pop(name) for name in ("missing", "unseen") if name in change}
    line = msgspec.structs.replace(rows[0].line, features={**rows[0].line.features, **change}, **named)
    rows[0] = rows[0]._replace(line=line)
    misfit, rest = Shape(read_manifest(tmp_path / "models")).arrange(rows)
    assert isinstance(misfit, Misfit)
    assert (misfit.located, misfit.reason) == (rows[0], reason)
    assert len(rest.lines) == 7


def test_an_answer_of_another_task_is_told(record, tmp_path):
    rows, _ = read(record)
    shape = Shape(BINARY.write(tmp_path / "other"))
    assert {one.reason for one in shape.arrange(rows)} == {"0 probabilities, but the model has 2 classes"}
    two = msgspec.structs.replace(rows[0].line, probabilities=[0.5, 0.5], prediction=2)
    (misfit,) = shape.arrange([rows[0]._replace(line=two)])
    assert misfit.reason == "its prediction 2 is no class index"


def test_rows_with_other_recorded_features_are_arranged_apart(record, tmp_path):
    few = [json.loads(line) for line in gzip.decompress(min(record.iterdir()).read_bytes()).splitlines()]
    for line in few:
        line["features"] = {"count": line["features"]["count"]}
        line["missing"] = []
    write_lines(record, few)
    rows, _ = read(record)
    every, only_count = Shape(read_manifest(tmp_path / "models")).arrange(rows)
    assert {len(every.frame.columns), len(only_count.frame.columns)} == {7, 1}
