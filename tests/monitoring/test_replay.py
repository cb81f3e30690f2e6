"""Replay: no skew where there is none, and every difference that there is."""

import contextlib
import gzip
import http.server
import json
import os
import re
import shutil
import threading
from unittest.mock import Mock

import numpy as np
import pytest

from bundle.graph_names import FLOAT32_MAX
from bundle.manifest import read_manifest
from monitoring.errors import ReplayError
from monitoring.record.reader import RecordReader
from monitoring.replay import comparison, service
from monitoring.replay.answered import Answered, FailedError, RefusedError, ask_apart
from monitoring.replay.command import main
from tests.contract.any_models import BINARY, MODELS
from tests.monitoring.recorded_traffic import write_lines, write_record
from tests.services import running
from training.export.predictions import Predictions

PICKLE, ONNX = "pickle, in process", "ONNX graph, in process"


def change_lines(paths, change):
    """Rewrite the recorded lines; `change` alters a line in place."""
    for path in paths:
        lines = [json.loads(text) for text in gzip.decompress(path.read_bytes()).splitlines()]
        for number, line in enumerate(lines):
            change(number, line)
        path.write_bytes(gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines)))


@pytest.mark.parametrize("bundle", MODELS, ids=[bundle.name for bundle in MODELS])
def test_every_task_and_kind_of_feature_is_answered_as_recorded(bundle, tmp_path, run_replay):
    """Rows with missing values, unseen categories, rare ones, dates, odd names; no tolerance is needed."""
    bundle.write(tmp_path / "m")
    write_record(tmp_path / "record", tmp_path / "m", bundle.rows * 5, batch=3)
    status, report = run_replay(tmp_path / "record", bundle=tmp_path / "m")
    assert status == 0
    assert {one.way: (one.rows, one.changed, one.beyond_tolerance) for one in report.results} == {
        PICKLE: (5 * len(bundle.rows), 0, 0),
        ONNX: (5 * len(bundle.rows), 0, 0),
    }
    assert all(one.same_version and one.verdict == "no skew" and not one.differing for one in report.results)


def test_skew_is_found_named_and_ends_with_status_1(held_out, models, tmp_path, run_replay, capsys):
    paths = write_record(tmp_path / "record", models, held_out[:200], batch=10, service="onnx")
    axum = write_record(tmp_path / "record", models, held_out[200:300], batch=10, service="axum")

    def skew(number, line):
        if number == 7:
            line["probabilities"] = [line["probabilities"][0] + 1e-4, line["probabilities"][1] - 1e-4]
        if number == 42:
            line["prediction"] = 1 - line["prediction"]

    change_lines(axum, skew)
    status, report = run_replay(tmp_path / "record")
    assert status == 1
    for result in report.results:
        assert (result.verdict, result.rows, result.changed, result.beyond_tolerance) == ("skew", 300, 1, 1)
        assert result.largest == pytest.approx(1e-4, rel=0.01)
        assert (result.services["onnx"].beyond, result.services["axum"].beyond) == (0, 1)
        (row,) = result.differing
        assert (row.request_id, row.row, row.service) == ("axum-00000000", 7, "axum")
        assert sum(map(sum, result.confusion)) == 300
        assert result.confusion[0][1] + result.confusion[1][0] == 1
        assert sum(result.histogram) == 300
        assert result.histogram[4] == 1  # above 1e-5, up to 1e-4
    assert "axum-00000000" in capsys.readouterr().out
    assert paths


def test_another_version_is_a_difference_and_a_limit_makes_it_an_error(held_out, models, tmp_path, run_replay):
    paths = write_record(tmp_path / "record", models, held_out[:500], version="the one before")

    def change(number, line):
        if number < 25:
            line["prediction"] = 1 - line["prediction"]
            line["probabilities"].reverse()

    change_lines(paths, change)
    status, report = run_replay(tmp_path / "record")
    assert status == 0
    result = report.results[0]
    assert (result.recorded_version, result.same_version, result.changed) == ("the one before", False, 25)
    assert result.verdict == "5 % changed"
    assert len(result.differing) == comparison.SHOWN_ROWS
    sizes = [row.difference for row in result.differing]
    assert sizes == sorted(sizes, reverse=True)
    assert run_replay(tmp_path / "record", "--max-changed", "0.06")[0] == 0
    status, report = run_replay(tmp_path / "record", "--max-changed", "0.04")
    assert (status, report.results[0].verdict) == (1, "5 % changed, more than 4 %")
    written = (tmp_path / "reports/replay.md").read_text()
    first = report.results[0]
    verdict = f"**{first.way}: 5 % changed, more than 4 %, 500 rows of the one before.**"
    assert written.startswith(f"# Replay\n\n{verdict}\n")
    assert "FAILED" not in written


def test_versions_are_told_apart_and_others_said(held_out, models, tmp_path, run_replay, capsys):
    record = tmp_path / "record"
    write_record(record, models, held_out[:50])
    write_record(record, models, held_out[:30], version="old")
    write_record(record, models, held_out[:20], model="something_else")
    status, report = run_replay(record)
    assert status == 0
    assert {(one.way, one.recorded_version): one.rows for one in report.results}[ONNX, "old"] == 30
    assert report.left_out == {"they are of another model, something_else": 20}
    assert "20 rows were not asked again: they are of another model, something_else." in capsys.readouterr().out
    _, report = run_replay(record, "--version", "old")
    assert {one.recorded_version for one in report.results} == {"old"}
    assert sum(report.left_out.values()) == 70
    assert run_replay(record, "--version", "never")[0] == 2
    assert "there are adult_income_model" in capsys.readouterr().err


def test_rows_without_all_features_are_said_and_not_guessed(held_out, models, tmp_path, run_replay, capsys):
    record = tmp_path / "record"
    write_record(record, models, held_out[:50])
    names = [name for name in held_out[0] if name not in ("age", "sex")]
    write_record(record, models, held_out[:30], fields=names)
    status, report = run_replay(record)
    assert (status, report.results[0].rows) == (0, 50)
    ((reason, count),) = report.left_out.items()
    assert (count, reason.partition(":")[0]) == (30, "age, sex")
    shutil.rmtree(record)
    write_record(record, models, held_out[:30], fields=names)
    assert run_replay(record)[0] == 2
    assert "30 rows were not asked again: age, sex: not in the record (SERVE_RECORD_FIELDS)" in capsys.readouterr().err


def test_damage_is_named_and_gives_a_status_of_its_own(held_out, models, tmp_path, run_replay, capsys):
    paths = write_record(tmp_path / "record", models, held_out[:50])
    change_lines(paths, lambda number, line: line["features"].update(age="old") if number == 3 else None)
    status, report = run_replay(tmp_path / "record")
    assert (status, report.results[0].rows) == (3, 49)
    assert f"Damaged: {paths[0].name}, line 4: feature 'age' is numeric, and can't be 'old'." in capsys.readouterr().out


def test_a_record_that_is_all_damage_says_so(models, tmp_path, run_replay, run_drift, capsys):
    (tmp_path / "record").mkdir()
    path = tmp_path / "record/record-20261127T080000.000000Z-onnx-1-0.jsonl.gz"
    path.write_bytes(gzip.compress(b"{}\n{}\n"))
    for run in (run_replay, run_drift):
        assert run(tmp_path / "record")[0] == 2
        assert f"there are no rows; 2 damaged places, the first: {path.name}, line 1: " in capsys.readouterr().err


@pytest.mark.parametrize("command", ["replay", "drift"])
def test_ctrl_c_leaves_no_report(held_out, models, tmp_path, run_replay, run_drift, monkeypatch, capsys, command):
    write_record(tmp_path / "record", models, held_out[:5])
    monkeypatch.setattr(RecordReader, "__iter__", Mock(side_effect=KeyboardInterrupt))
    run = run_replay if command == "replay" else run_drift
    assert run(tmp_path / "record") == (130, None)
    assert capsys.readouterr().err == "interrupted: no report\n"
    assert not (tmp_path / "reports").exists()


def test_what_others_wrote_does_not_control_the_terminal(held_out, models, tmp_path, run_replay, run_drift, capsys):
    record, hostile = tmp_path / "record", "\x1b[2J\n<script>"
    write_record(record, models, held_out[:50], probabilities=[0.5, 0.5], request_id=hostile)
    write_record(record, models, held_out[:50], version=hostile)
    write_record(record, models, held_out[:50], model=hostile)
    (record / f"{hostile}{os.fsdecode(bytes([0xFF]))}").write_bytes(b"")
    assert run_replay(record)[0] == 1
    run_drift(record)
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert r"\x1b[2J\n<script>" in said
    pages = [(tmp_path / "reports" / name).read_text() for name in ("replay.html", "drift.html")]
    assert not any("<script>" in page for page in pages)
    for name in ("replay.md", "drift.md"):
        assert "\x1b" not in (tmp_path / "reports" / name).read_text()


def test_unseen_missing_and_rows_in_part_are_replayed(held_out, models, manifest, tmp_path, run_replay):
    rows = [{**row, "occupation": None, "native_country": "Atlantis"} for row in held_out[:60]]
    write_record(tmp_path / "record", models, rows)
    status, report = run_replay(tmp_path / "record", "--rows", "45")
    assert (status, report.results[0].rows) == (0, 45)
    assert report.said == ("Only the first 45 rows were asked again; ROWS= sets how many.",)


def test_a_missing_value_that_the_new_model_refuses_is_a_changed_row(tmp_path, run_replay):
    BINARY.write(tmp_path / "m")
    write_record(tmp_path / "record", tmp_path / "m", BINARY.rows * 5, version="old")
    path = tmp_path / "m/odd_names.json"
    document = json.loads(path.read_text())
    document["features"][1]["nullable"] = False
    path.write_text(json.dumps(document))
    status, report = run_replay(tmp_path / "record", "--max-changed", "0.1", bundle=tmp_path / "m")
    assert status == 1
    assert report.results[0].refused == {"feature '年齢' is missing, and can't be": 5}
    assert report.results[0].changed_share == 0.25


def test_wrong_usage_and_what_cannot_be_done_end_with_status_2(models, tmp_path, capsys):
    assert main(["--record", str(tmp_path / "nowhere"), "--models", str(models), "--reports", str(tmp_path)]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert main(["--record", str(tmp_path), "--models", str(tmp_path / "none"), "--reports", str(tmp_path)]) == 2
    assert "no model bundle here" in capsys.readouterr().err
    for arguments in (["--record", "r", "--host", "ftp://x"], [], ["--record", "r", "--since", "yesterday"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2


def test_a_value_that_is_not_finite_is_equal_to_itself_only():
    tally = comparison.Tally(classes=0, tolerance=1e-5, changed_by=0.05)
    before = np.array([[np.nan], [np.nan], [1000.0], [0.5], [1000.0]], dtype=np.float32)
    after = np.array([[np.nan], [1.0], [1000.005], [0.5], [1100.0]], dtype=np.float32)
    differences = comparison._differences(before.astype(float), after.astype(float), relative=True)
    assert differences[:, 0] == pytest.approx([0, 1, 5e-6, 0, 0.1], rel=0.05)
    assert tally.differing == ()


def test_refused_rows_are_found_among_the_others():
    def ask(places):
        if 5 in places or 6 in places:
            raise RefusedError("odd")
        if 11 in places:
            raise FailedError("down")
        return Predictions(np.array(places), np.array(places, dtype=np.float32).reshape(-1, 1))

    answered = Answered()
    ask_apart(ask, list(range(12)), answered)
    assert answered.refused == {"odd": 2}
    assert sorted(answered.places) == [0, 1, 2, 3, 4, 7, 8] or answered.failed["down"] > 0
    assert answered.together().labels.tolist() == answered.places


@pytest.fixture(scope="module")
def onnx(models, tmp_path_factory):
    with running("onnx", models, tmp_path_factory.mktemp("onnx")) as started:
        yield started


def test_a_running_service_answers_again_over_http(held_out, models, tmp_path, run_replay, onnx):
    rows = [{**row, "occupation": None, "native_country": "Atlantis"} for row in held_out[:150]] + held_out[:100]
    paths = write_record(tmp_path / "record", models, [{**rows[0], "fnlwgt": FLOAT32_MAX}, *rows])
    # its shortest decimal is a larger number
    change_lines(paths, lambda number, line: line["features"].update({} if number else {"fnlwgt": 3.4028235e38}))
    host = f"http://127.0.0.1:{onnx.port}"
    status, report = run_replay(tmp_path / "record", "--host", host)
    assert status == 0
    (result,) = report.results
    assert (result.way, result.rows, result.same_version, result.verdict) == (host, 251, True, "no skew")
    requests = onnx.client.get("/metrics").text
    assert 'route="/predict/batch"' in requests


def test_rows_that_a_service_refuses_are_counted_by_reason(held_out, models, tmp_path, run_replay, onnx):
    """The service's own bundle has them as damage; of another version they are refused."""
    record = tmp_path / "record"
    write_record(record, models, held_out[:250], version="old")
    paths = sorted(record.iterdir())
    change_lines(paths, lambda n, line: line["features"].update(age=24.5) if n in (7, 120) else None)
    status, report = run_replay(record, "--host", f"http://127.0.0.1:{onnx.port}")
    assert status == 0
    (result,) = report.results
    assert result.rows == 248
    ((reason, count),) = result.refused.items()
    assert (count, reason.startswith("HTTP 422, age: ")) == (2, True)
    assert result.changed_share == pytest.approx(2 / 250)


def test_a_service_with_keys_wants_one(held_out, models, tmp_path, run_replay, monkeypatch, capsys):
    write_record(tmp_path / "record", models, held_out[:20])
    key = "a-key-of-some-length"
    with running("onnx", models, tmp_path, api_key=key) as guarded:
        host = f"http://127.0.0.1:{guarded.port}"
        assert run_replay(tmp_path / "record", "--host", host)[0] == 2
        assert "HTTP 401" in capsys.readouterr().err
        monkeypatch.setenv("API_KEY", key)
        assert run_replay(tmp_path / "record", "--host", host)[0] == 0


def test_a_service_that_is_down_ends_the_replay(held_out, models, tmp_path, run_replay, capsys, monkeypatch):
    write_record(tmp_path / "record", models, held_out[:50])
    assert run_replay(tmp_path / "record", "--host", "http://127.0.0.1:9")[0] == 2
    assert "HOST=http://127.0.0.1:9: no answer" in capsys.readouterr().err
    answers = iter(range(1000))

    def answer(self, method, path, body):
        next(answers)
        return 503, b""

    monkeypatch.setattr(service.RunningService, "_read_manifest", lambda self: read_manifest(models))
    monkeypatch.setattr(service.RunningService, "_exchange", answer)
    monkeypatch.setattr(service, "BATCH_ROWS", 10)
    status, report = run_replay(tmp_path / "record", "--host", "http://127.0.0.1:9")
    assert (status, report.results[0].failed) == (3, {"HTTP 503": 50})
    monkeypatch.setattr(service, "BATCH_ROWS", 1)
    assert run_replay(tmp_path / "record", "--host", "http://127.0.0.1:9")[0] == 2
    assert "10 requests in a row failed, the last: HTTP 503" in capsys.readouterr().err
    assert next(answers) == 5 + service.PATIENCE


def test_a_service_of_something_else_is_told(monkeypatch):
    monkeypatch.setattr(service.RunningService, "_exchange", lambda *_: (200, b'{"hello": 1}'))
    with pytest.raises(ReplayError, match="its /metadata is not that of a model here"):
        service.RunningService("http://127.0.0.1:9")


@pytest.fixture
def host():
    """A service that gives the same answer to everything, and then waits for the end of the test; its URL."""
    ended = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            with contextlib.suppress(OSError):
                self.wfile.write(self.server.answer)
            ended.wait()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        ended.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("length", "body", "reason"),
    [
        (1 << 40, b" " * 200_000, "no answer (an answer of 200,000 bytes or more)"),
        (200_001, b" " * 200_001, "no answer (an answer of 200,000 bytes or more)"),
        (100, b" ", "no answer (IncompleteRead(1 bytes read, 99 more expected))"),
        (100_000, b"[" * 100_000, "its /metadata is not that of a model here"),
        (3, b'"\xff"', "its /metadata is not that of a model here"),
    ],
    ids=["length", "size", "pause", "depth", "bytes"],
)
def test_a_hostile_service_takes_neither_memory_nor_time(host, monkeypatch, length, body, reason):
    monkeypatch.setattr(service, "_LONGEST_ANSWER", 200_000)
    monkeypatch.setattr(service, "Timer", lambda _, call, arguments: threading.Timer(0.2, call, arguments))
    host.answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % length + body
    with pytest.raises(ReplayError, match=re.escape(reason)):
        service.RunningService(f"http://127.0.0.1:{host.server_port}")


def test_a_bundle_without_a_pickle_is_replayed_by_its_graph(tmp_path, run_replay):
    BINARY.write(tmp_path / "m")
    path = tmp_path / "m/odd_names.json"
    document = json.loads(path.read_text())
    del document["artifacts"]["pickle"]
    path.write_text(json.dumps(document))
    write_record(tmp_path / "record", tmp_path / "m", BINARY.rows)
    status, report = run_replay(tmp_path / "record", bundle=tmp_path / "m")
    assert (status, [one.way for one in report.results]) == (0, [ONNX])
    assert report.said == ("the bundle has no pickle, so that only its graph answers",)


def test_the_page_needs_nothing_else_and_escapes_what_clients_sent(held_out, models, tmp_path, run_replay):
    paths = write_record(tmp_path / "record", models, held_out[:30], request_id="<script>alert(1)</script>")
    change_lines(paths, lambda number, line: line["probabilities"].reverse())
    assert run_replay(tmp_path / "record")[0] == 1
    page = (tmp_path / "reports/replay.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_record_of_lines_of_another_writer_is_read(models, held_out, tmp_path, run_replay):
    """A newer service may add keys."""
    paths = write_record(tmp_path / "one", models, held_out[:10])
    lines = [json.loads(text) | {"trace": "x"} for text in gzip.decompress(paths[0].read_bytes()).splitlines()]
    write_lines(tmp_path / "record", lines)
    assert run_replay(tmp_path / "record")[0] == 0
