"""The record's parts by themselves: what goes wrong with disks, folders, clocks and processes."""

import contextlib
import errno
import fcntl
import gzip
import json
import logging
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.metrics import Metrics, RecordCounters
from serving.predictor import Batch, Classes, Values
from serving.record import backlog as backlog_module
from serving.record import folder as folder_module
from serving.record import part as part_module
from serving.record.backlog import MOST_BYTES, MOST_ENTRIES, MOST_ROWS, Backlog
from serving.record.files import Files
from serving.record.folder import Folder, NoRoom
from serving.record.lines import Answered, Lines, format_time, shortest
from serving.record.names import Clock, age
from serving.record.part import Part
from serving.record.salvage import salvage
from serving.record.writer import Writer
from tests.contract.any_models import BINARY, REGRESSION
from tests.contract.recording import whole_files
from tests.full_disk import files_of_at_most
from tests.services import ROOT, wait_until

MOST = 1 << 20


def folder_of(path: Path, most: int = MOST) -> Folder:
    path.mkdir(exist_ok=True)
    return Folder(path, most, lambda _: None)


def member(text: str) -> bytes:
    return gzip.compress(f"{text}\n".encode(), mtime=0)


def content(path: Path) -> list[str]:
    return [line for file in whole_files(path) for line in gzip.decompress(file.read_bytes()).decode().splitlines()]


def test_a_full_disk_costs_the_rows_at_hand_and_no_others(tmp_path: Path):
    files = Files(folder_of(tmp_path), "onnx", MOST)
    files.write(member("before"))
    with files_of_at_most(len(member("before")) + 10), pytest.raises(OSError, match="File too large"):
        files.write(member("lost"))
    files.write(member("after"))
    files.finish()
    assert content(tmp_path) == ["before", "after"]


def test_a_write_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    part, pwrite, calls = Part(folder_of(tmp_path), "onnx"), os.pwrite, []

    def breaking(handle: int, data: bytes, at: int) -> int:
        calls.append(at)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(handle, data[:7], at)

    part.append(member("whole"))
    with monkeypatch.context() as patched:
        patched.setattr(part_module.os, "pwrite", breaking)
        with pytest.raises(OSError, match="No space left"):
            part.append(member("broken"))
    assert part.path.stat().st_size == part.size == len(member("whole"))
    part.append(member("next"))
    part.finish()
    assert content(tmp_path) == ["whole", "next"]


def test_whatever_a_killed_process_left_all_whole_members_are_saved(tmp_path: Path):
    members = [member(text) for text in ("one", "two " * 50, "three")]
    ends = [sum(map(len, members[:count])) for count in range(len(members) + 1)]
    left = b"".join(members)
    for cut in range(len(left) + 1):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / ".record-20200101T000000.000000Z-axum-7-3.jsonl.gz.part").write_bytes(left[:cut])
        assert salvage(folder_of(folder)) == 1
        saved = max(end for end in ends if end <= cut)
        assert [file.name for file in folder.iterdir()] == ["record-20200101T000000.000000Z-axum-7-3.jsonl.gz"] * bool(
            saved
        )
        assert b"".join(file.read_bytes() for file in folder.iterdir()) == left[:saved]


@pytest.mark.parametrize("rest", [b"\0" * 100, b"not gzip", member("x")[:-4] + b"\0\0\0\0"])
def test_damage_behind_the_whole_members_is_cut_off(tmp_path: Path, rest: bytes):
    file = tmp_path / ".record-20200101T000000.000000Z-onnx-7-3.jsonl.gz.part"
    file.write_bytes(member("good") + rest)
    salvage(folder_of(tmp_path))
    assert content(tmp_path) == ["good"]


def test_a_file_is_left_alone_while_it_is_written_or_is_not_only_the_record_s(tmp_path: Path):
    written = Part(folder_of(tmp_path), "onnx")
    written.append(member("being written"))
    victim = tmp_path / "victim"
    victim.write_text("mine")
    hard, soft, pipe, folder = (
        tmp_path / f".record-20200101T000000.000000Z-onnx-1-{number}.jsonl.gz.part" for number in range(4)
    )
    os.link(victim, hard)
    soft.symlink_to(victim)
    os.mkfifo(pipe)
    folder.mkdir()
    assert salvage(folder_of(tmp_path)) == 0
    assert victim.read_text() == "mine"
    written.finish()
    for other in (victim, hard, soft, pipe):
        other.unlink()
    folder.rmdir()
    assert content(tmp_path) == ["being written"]


def test_no_name_is_taken_twice(tmp_path: Path):
    part = Part(folder_of(tmp_path), "onnx")
    part.append(member("second"))
    taken = part.path.with_name(part.path.name[1:].removesuffix(".part"))
    taken.write_bytes(member("first"))
    part.finish()
    assert sorted(content(tmp_path)) == ["first", "second"]
    assert taken.read_bytes() == member("first")


def test_a_file_that_was_taken_for_a_left_one_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    flock, taken = fcntl.flock, []

    def slowly(handle: int, operation: int) -> None:
        if not taken:
            taken.append(salvage(folder_of(tmp_path)))
        flock(handle, operation)

    monkeypatch.setattr(part_module, "fcntl", type("Slow", (), {**vars(fcntl), "flock": staticmethod(slowly)}))
    part = Part(folder_of(tmp_path), "onnx")
    assert taken == [1]
    part.append(member("kept"))
    part.finish()
    assert content(tmp_path) == ["kept"]


def test_a_clock_that_goes_back_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    times = iter([2030, 2026, 2026, 2031])

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(next(times), 1, 1, tzinfo=UTC)

    monkeypatch.setattr("serving.record.names.datetime", Jumping)
    monkeypatch.setattr(part_module, "_clock", Clock())
    names = []
    for number in range(4):
        part = Part(folder_of(tmp_path), "onnx")
        part.append(member(str(number)))
        part.finish()
        names += sorted({file.name for file in whole_files(tmp_path)} - set(names))
    assert sorted(names, key=age) == names
    assert content(tmp_path) == ["0", "1", "2", "3"]


def test_the_oldest_whole_files_make_room_and_no_others(tmp_path: Path):
    removed: list[int] = []
    folder = Folder(tmp_path, 1000, removed.append)
    for number in (10, 9, 8):
        (tmp_path / f"record-20200101T000000.000000Z-onnx-1-{number}.jsonl.gz").write_bytes(b"x" * 300)
    (tmp_path / "notes").write_bytes(b"x" * 5000)
    folder.make_room(100)
    assert not sum(removed)
    folder.make_room(101)
    folder.make_room(101)
    assert sorted(age(file.name)[2] for file in whole_files_and_notes(tmp_path)) == [9, 10]
    assert sum(removed) == 1
    (tmp_path / ".record-20200101T000000.000000Z-axum-1-1.jsonl.gz.part").write_bytes(b"x" * 950)
    with pytest.raises(NoRoom):
        folder.make_room(51)
    assert sum(removed) == 1
    folder.make_room(50)
    assert sum(removed) == 3
    assert (tmp_path / "notes").exists()


def whole_files_and_notes(path: Path) -> list[Path]:
    return [file for file in path.iterdir() if file.name.startswith("record-")]


def test_a_process_that_never_gives_the_folder_back_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder_module, "LOCK_SECONDS", 0.05)
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        files = Files(folder_of(tmp_path), "onnx", MOST)
        files.write(member("all the same"))
        files.finish()
    finally:
        os.close(handle)
    assert content(tmp_path) == ["all the same"]


def test_a_line_longer_than_a_file_should_be_is_written_if_all_may_have_so_much(tmp_path: Path):
    files = Files(folder_of(tmp_path, 1 << 16), "onnx", 1 << 16)
    files.write(member("before"))
    long = gzip.compress(random.Random(1).randbytes(40_000), mtime=0)
    files.write(long)
    with pytest.raises(NoRoom):
        files.write(gzip.compress(random.Random(2).randbytes(70_000), mtime=0))
    files.finish()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 1 << 16


def entry(rows: int = 1, size: int = 100, lines: Any = None, name: bytes = b"id") -> Answered:
    return Answered(lines, name, 0, "/predict", (), rows, size)


@pytest.mark.parametrize(
    ("rows", "size", "taken"), [(1, 1, MOST_ENTRIES), (1000, 1, MOST_ROWS // 1000), (1, 1 << 20, MOST_BYTES >> 20)]
)
def test_the_backlog_is_bounded(rows: int, size: int, taken: int):
    backlog = Backlog()
    for _ in range(2):
        assert [backlog.put(entry(rows, size)) for _ in range(taken + 2)] == [True] * taken + [False] * 2
        assert len(backlog.take(None)) == taken


def test_a_request_alone_is_taken_however_long_and_none_once_it_is_closed():
    backlog = Backlog()
    assert backlog.put(entry(5 * MOST_ROWS, 5 * MOST_BYTES))
    assert not backlog.put(entry())
    backlog.close()
    assert len(backlog.take(None)) == 1
    assert not backlog.put(entry())
    assert not backlog.take(None)


@pytest.fixture
def counters() -> RecordCounters:
    return Metrics("fake").count_record()


def counted(counters: RecordCounters) -> tuple[float, ...]:
    """Rows written, dropped and not written."""
    return tuple(counter._value.get() for counter in counters[:3])


def recorded(tmp_path: Path, service: str = "onnx") -> Lines:
    manifest = BINARY.write(tmp_path / "models")
    return Lines(manifest, manifest.features[:1], service)


def answered(lines: Lines, name: str, rows: int = 1) -> Answered:
    batch = Batch(np.full((rows, 3), "?", dtype=object), np.zeros((rows, 3), dtype=np.float32))
    answers = Classes(np.zeros(rows, dtype=np.int64), np.full((rows, 2), 0.1, dtype=np.float32))
    return Answered(lines, name.encode(), 0, "/predict", [(batch, answers)], rows, 100)


@contextlib.contextmanager
def writing(folder: Path, counters: RecordCounters, most: int = MOST) -> Iterator[Backlog]:
    backlog = Backlog()
    writer = Writer(backlog, Files(Folder(folder, most, lambda _: None), "onnx", most), counters)
    writer.start()
    try:
        yield backlog
    finally:
        writer.close()
    assert not writer.is_alive()


def test_rows_are_lost_until_the_folder_can_be_written_and_the_log_says_so_twice(
    tmp_path: Path, counters: RecordCounters, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(backlog_module, "GATHER_SECONDS", 0.0)
    lines, folder = recorded(tmp_path), tmp_path / "record"
    folder.touch()
    with caplog.at_level(logging.INFO, "serving"), writing(folder, counters) as backlog:
        for number in range(3):
            backlog.put(answered(lines, f"lost-{number}", rows=2))
            wait_until(lambda number=number: counted(counters)[2] == 2 * (number + 1))
        folder.unlink()
        backlog.put(answered(lines, "kept"))
        wait_until(lambda: counted(counters)[0] == 1)
    told = [record.getMessage() for record in caplog.records if "record" in record.getMessage()]
    assert len(told) == 2, told
    assert "can't be written" in told[0]
    assert "written again" in told[1]
    assert [json.loads(line)["request_id"] for line in content(folder)] == ["kept"]
    assert counted(counters) == (1, 0, 6)


def test_what_is_in_the_backlog_is_written_before_the_end(tmp_path: Path, counters: RecordCounters):
    lines = recorded(tmp_path)
    with writing(tmp_path / "record", counters) as backlog:
        for number in range(500):
            assert backlog.put(answered(lines, str(number), rows=3))
    assert counted(counters) == (1500, 0, 0)
    assert len(content(tmp_path / "record")) == 1500


def test_a_row_that_can_not_be_a_line_costs_no_other(
    tmp_path: Path, counters: RecordCounters, caplog: pytest.LogCaptureFixture
):
    lines = recorded(tmp_path)
    bad = answered(lines, "bad")
    with writing(tmp_path / "record", counters) as backlog:
        backlog.put(answered(lines, "first"))
        backlog.put(bad._replace(pieces=[(bad.pieces[0][0], Values(np.zeros((1, 2, 2), dtype=np.float32)))]))
        backlog.put(answered(lines, "last"))
    assert [json.loads(line)["request_id"] for line in content(tmp_path / "record")] == ["first", "last"]
    assert counted(counters) == (2, 0, 1)
    assert "request bad" in caplog.text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (1 / 3, "0.33333334"),
        (39, "39.0"),
        (-0.0, "-0.0"),
        (16_777_217, "16777216.0"),
        (1e-7, "1e-7"),
        (1e15, "1000000000000000.0"),
        (3.4028235e38, "3.4028235e38"),
        (1e-45, "1e-45"),
        (float("nan"), "null"),
        (float("inf"), "null"),
    ],
)
def test_numbers_are_the_shortest_decimals_of_a_float32(value: float, text: str, tmp_path: Path):
    number = shortest(float(np.float32(value)))
    assert number is None or np.float32(number) == np.float32(value)
    manifest = REGRESSION.write(tmp_path / "models")
    batch = Batch(np.array([["x"]], dtype=object), np.zeros((1, 6), dtype=np.float32))
    request = Answered(Lines(manifest, (), "onnx"), b"x", 0, "infer", [(batch, Values(np.float32([value])))], 1, 1)
    ((line, _),) = Lines(manifest, (), "onnx").encode(request)
    assert line.decode().rstrip().endswith(f'"features":{{}},"missing":[],"unseen":[],"prediction":{text}}}')


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.0, "0"), (16_777_216, "16777216"), (2.0**62, "4611686018427387904"), (1e20, "1e20"), (np.nan, "null")],
)
def test_whole_numbers_are_written_as_such(value: float, text: str, tmp_path: Path):
    manifest = REGRESSION.write(tmp_path / "models")
    place = [feature.name for feature in manifest.numeric].index("worms")
    numbers = np.zeros((1, 6), dtype=np.float32)
    numbers[0, place] = value
    lines = Lines(manifest, [feature for feature in manifest.features if feature.name == "worms"], "onnx")
    batch = Batch(np.array([["x"]], dtype=object), numbers)
    ((line, _),) = lines.encode(Answered(lines, b"x", 0, "infer", [(batch, Values(np.float32([0])))], 1, 1))
    assert f'"features":{{"worms":{text}}}' in line.decode()


def test_times_are_utc_to_the_microsecond():
    assert format_time(1_700_000_000_000_000_999) == "2023-11-14T22:13:20.000000Z"
    assert format_time(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123456Z"


WRITES = """
import gzip, itertools, sys
from pathlib import Path
from serving.record.files import Files
from serving.record.folder import Folder
folder = Folder(Path(sys.argv[1]), 1 << 20, lambda _: None)
files = Files(folder, "onnx", 1 << 16)
files.prepare()
for number in itertools.count():
    files.write(gzip.compress(b"%s %d\\n" % (sys.argv[2].encode(), number), mtime=0))
    print(number, flush=True)
"""


@pytest.mark.slow
def test_two_processes_that_are_killed_again_and_again_lose_nothing_that_was_written(tmp_path: Path):
    confirmed: dict[str, int] = {}
    for turn in range(6):
        started = [
            (f"{turn}-{place}", subprocess.Popen(
                [sys.executable, "-c", WRITES, str(tmp_path), f"{turn}-{place}"], cwd=ROOT, stdout=subprocess.PIPE,
            ))
            for place in range(2)
        ]  # fmt: skip
        for name, process in started:
            for _ in range(150):
                confirmed[name] = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            for line in process.stdout:
                confirmed[name] = int(line) if line.endswith(b"\n") else confirmed[name]
            process.stdout.close()
            process.wait()
    salvage(folder_of(tmp_path))
    found: dict[str, list[int]] = {}
    for line in content(tmp_path):
        name, number = line.split()
        found.setdefault(name, []).append(int(number))
    for name, last in confirmed.items():
        assert sorted(found[name]) == list(range(len(found[name])))
        assert len(found[name]) > last
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]
