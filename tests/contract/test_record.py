"""The record: a line for each row of a part of the requests, in files that are whole, the same in every service."""

import gzip
import json
import random
import signal
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from bundle.manifest import Manifest
from tests.contract.any_models import BINARY, MODELS
from tests.contract.inference import by_feature
from tests.contract.recording import KEYS, NAME, STRING, TIME, answered, lines, metric, texts, understood, whole_files
from tests.hand_made_bundle import HandMade
from tests.services import (
    PATIENCE_SECONDS,
    ROOT,
    TestedService,
    command,
    environment,
    reserved_port,
    running,
    wait_until,
)

pytestmark = pytest.mark.slow
ALL: dict[str, Any] = {"record_sample": 1}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "of" / "record"


def written(service: TestedService, rows: int) -> None:
    """Wait until so many rows have been written."""
    wait_until(lambda: metric(service.client, "record_rows_total") == rows, service.log)


@pytest.mark.parametrize("bundle", MODELS, ids=lambda bundle: bundle.name)
def test_a_line_says_what_was_understood_and_what_was_answered(
    bundle: HandMade, backend: str, folder: Path, tmp_path: Path
):
    bundle.write(tmp_path / "models")
    rows = list(bundle.rows)
    with running(backend, tmp_path / "models", tmp_path, record_dir=folder, **ALL) as service:
        answers = service.client.post("/predict/batch", json=rows, headers={"x-request-id": "a"}).json()["predictions"]
        service.client.post("/predict", json=rows[1], headers={"x-request-id": "b"})
        tensors = {"inputs": by_feature(bundle, rows)}
        infer = f"/v2/models/{bundle.name}/infer"
        assert service.client.post(infer, json=tensors, headers={"x-request-id": "c"}).status_code == 200
    asked = [("a", "/predict/batch", place, place) for place in range(len(rows))]
    asked += [("b", "/predict", 0, 1), *[("c", "infer", place, place) for place in range(len(rows))]]
    found = lines(folder)
    assert len(found) == len(asked)
    for line, (name, route, row, place) in zip(found, asked, strict=True):
        assert TIME.fullmatch(line.pop("time"))
        expected = {
            "request_id": name,
            "row": row,
            "route": route,
            "service": backend,
            "model": bundle.name,
            "version": "1",
            **understood(bundle.features, rows[place]),
            **answered(answers[place]),
        }
        assert line == expected
        assert {key: type(value) for key, value in line["features"].items()} == {
            key: type(value) for key, value in expected["features"].items()
        }
    for text in texts(folder):
        pairs = json.loads(
            text, object_pairs_hook=lambda pairs: dict(pairs) if pairs and pairs[0][0] != "time" else pairs
        )
        assert [key for key, _ in pairs] == [*KEYS, *["probabilities"] * bool(bundle.classes)]
        assert list(dict(pairs)["features"]) == [feature.name for feature in bundle.features]
        assert not set(STRING.sub("", text)) & set(" \t\n")


def test_polars_reads_the_files_as_they_are(backend: str, models: Path, row: dict, folder: Path, tmp_path: Path):
    with running(backend, models, tmp_path, record_dir=folder, **ALL) as service:
        service.client.post("/predict/batch", json=[row] * 300)
    (file,) = whole_files(folder)
    frame = pl.read_ndjson(file)
    assert frame["row"].to_list() == list(range(300))
    assert frame["features"].struct.unnest().columns == list(row)


def test_only_what_was_answered_is_recorded(backend: str, models: Path, row: dict, folder: Path, tmp_path: Path):
    with running(backend, models, tmp_path, record_dir=folder, **ALL) as service:
        for path, content in (("/predict", {}), ("/predict/batch", [row, {}]), ("/predict/batch", [])):
            assert service.client.post(path, json=content).status_code == 422
        answer = service.client.post("/predict", json=row)
    assert [line["request_id"] for line in lines(folder)] == [answer.headers["x-request-id"]]


def test_a_part_of_the_requests_is_recorded_each_of_them_whole(
    backend: str, models: Path, row: dict, folder: Path, tmp_path: Path
):
    with running(backend, models, tmp_path, record_dir=folder, record_sample="0.5") as service:
        for _ in range(400):
            service.client.post("/predict/batch", json=[row] * 3)
    requests: dict[str, list[int]] = {}
    for line in lines(folder):
        requests.setdefault(line["request_id"], []).append(line["row"])
    assert 120 < len(requests) < 280
    assert set(map(tuple, requests.values())) == {(0, 1, 2)}


def test_of_none_there_is_no_record(backend: str, models: Path, body: str, folder: Path, tmp_path: Path):
    with running(backend, models, tmp_path, record_dir=folder, record_sample="0") as service:
        service.client.post("/predict", content=body)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("form", ["list", "array", "none"])
def test_only_the_named_features_are_recorded(form: str, backend: str, folder: Path, tmp_path: Path):
    manifest = BINARY.write(tmp_path / "models")
    names = {"list": ["row", "mean radius"], "array": [manifest.features[4].name, "年齢"], "none": []}[form]
    fields = ", ".join(names) if form == "list" else json.dumps(names)
    row = BINARY.rows[2]
    given = {"record_dir": folder, "record_fields": fields, **ALL}
    with running(backend, tmp_path / "models", tmp_path, **given) as service:
        service.client.post("/predict", json=row)
    (line,) = lines(folder)
    recorded = [feature for feature in manifest.features if feature.name in names]
    assert {key: line[key] for key in ("features", "missing", "unseen")} == understood(recorded, row)
    assert list(line["features"]) == [feature.name for feature in recorded]


def refused(backend: str, models: Path, **settings: Any) -> str:
    """What a service says that doesn't start."""
    with reserved_port() as port:
        started = subprocess.run(
            command(backend),
            cwd=ROOT,
            env=environment(models, workers=1, port=port, **settings),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    assert started.returncode == 2, started.stderr
    return started.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("record_sample", "1.01"),
        ("record_sample", "-0.1"),
        ("record_sample", "nan"),
        ("record_sample", "half"),
        ("record_bytes", str((1 << 20) - 1)),
        ("record_bytes", "1GB"),
        ("record_fields", '["a", 1]'),
        ("record_fields", '["a"'),
        ("record_fields", "no such feature"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(name: str, value: str, backend: str, models: Path, folder: Path):
    told = refused(backend, models, **{"record_dir": folder, name: value})
    assert f"SERVE_{name.upper()}" in told
    assert "no such feature" not in value or value in told
    assert not folder.exists()


def test_a_file_in_the_folder_s_place_is_refused(backend: str, models: Path, tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("mine")
    assert "SERVE_RECORD_DIR" in refused(backend, models, record_dir=file)
    assert file.read_text() == "mine"


def test_a_folder_that_can_not_be_written_costs_records_and_nothing_else(
    backend: str, models: Path, body: str, tmp_path: Path
):
    (tmp_path / "file").touch()
    with running(backend, models, tmp_path, record_dir=tmp_path / "file/record", **ALL) as service:
        for _ in range(3):
            assert service.client.post("/predict", content=body).status_code == 200
        lost = 'record_lost_rows_total{reason="write"}'
        wait_until(lambda: metric(service.client, lost) == 3, service.log)
        assert metric(service.client, "record_rows_total") == 0
        told = [line for line in service.log.read_text().splitlines() if "record" in line and "written" in line]
        assert len(told) == 1, told


def test_after_a_reload_the_lines_are_of_the_new_version(
    backend: str, models: Path, manifest: Manifest, body: str, folder: Path, tmp_path: Path
):
    copied = tmp_path / "models"
    subprocess.run(["cp", "-a", str(models), str(copied)], check=True)
    with running(backend, copied, tmp_path, record_dir=folder, **ALL) as service:
        service.client.post("/predict", content=body)
        content = json.loads((copied / f"{manifest.name}.json").read_bytes())
        (copied / f"{manifest.name}.json").write_text(json.dumps({**content, "version": "second"}))
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: service.client.get("/metadata").json()["version"] == "second", service.log)
        service.client.post("/predict", content=body)
    assert [line["version"] for line in lines(folder)] == [manifest.version, "second"]


def test_a_bundle_without_a_recorded_feature_is_not_served(
    backend: str, models: Path, manifest: Manifest, body: str, folder: Path, tmp_path: Path
):
    copied = tmp_path / "models"
    BINARY.write(copied)
    with running(backend, copied, tmp_path, record_dir=folder, record_fields="年齢", **ALL) as service:
        file = copied / f"{BINARY.name}.json"
        content = msgspec.json.decode(file.read_bytes())
        content["features"][1]["name"] = "alter"
        file.write_bytes(msgspec.json.encode({**content, "version": "second"}))
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "not reloaded" in service.log.read_text(), service.log)
        assert service.client.get("/metadata").json()["version"] == "1"
        service.client.post("/predict", json=BINARY.rows[0])
    assert [line["version"] for line in lines(folder)] == ["1"]


def test_what_was_flushed_outlives_the_service_that_is_killed(
    backend: str, models: Path, body: str, folder: Path, tmp_path: Path
):
    with running(backend, models, tmp_path, record_dir=folder, **ALL) as service:
        service.client.post("/predict", content=body, headers={"x-request-id": "first"})
        written(service, 1)
        (part,) = folder.iterdir()
        assert part.name.startswith(".")
        service.process.kill()
        service.process.wait()
        service.process.returncode = 0  # as it should be
    with part.open("ab") as stream:
        stream.write(gzip.compress(b"half of a member")[:-9])
    with running(backend, models, tmp_path, record_dir=folder, **ALL) as service:
        wait_until(lambda: whole_files(folder), service.log)
        service.client.post("/predict", content=body, headers={"x-request-id": "second"})
    assert [line["request_id"] for line in lines(folder)] == ["first", "second"]
    assert len(whole_files(folder)) == 2
    assert (folder / part.name[1:].removesuffix(".part")).exists()


def test_foreign_files_are_left_alone(backend: str, models: Path, body: str, folder: Path, tmp_path: Path):
    folder.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    link = folder / f".record-20200101T000000.000000Z-{backend}-1-0.jsonl.gz.part"
    link.symlink_to(victim)
    (folder / "notes.txt").write_text("notes")
    empty = folder / f".record-20200101T000000.000000Z-{backend}-1-1.jsonl.gz.part"
    empty.touch()
    with running(backend, models, tmp_path, record_dir=folder, **ALL) as service:
        service.client.post("/predict", content=body)
        wait_until(lambda: not empty.exists(), service.log)
    assert victim.read_text() == "mine"
    assert link.is_symlink()
    assert (folder / "notes.txt").read_text() == "notes"
    assert len([file for file in folder.iterdir() if NAME.fullmatch(file.name)]) == 1


def test_a_folder_that_is_removed_is_made_again(backend: str, models: Path, body: str, folder: Path, tmp_path: Path):
    with running(backend, models, tmp_path, record_dir=folder, **ALL) as service:
        service.client.post("/predict", content=body)
        written(service, 1)
        subprocess.run(["rm", "-rf", str(folder)], check=True)
        service.client.post("/predict", content=body, headers={"x-request-id": "after"})
    assert [line["request_id"] for line in lines(folder)] == ["after"]


def test_all_files_together_keep_to_the_limit(
    backend: str, models: Path, manifest: Manifest, row: dict, folder: Path, tmp_path: Path
):
    most, numbers, names = 1 << 20, random.Random(1), [f.name for f in manifest.numeric]
    sizes = []
    with running(backend, models, tmp_path, record_dir=folder, record_bytes=most, **ALL) as service:
        for sent in range(1, 11):
            rows = [{**row, **{name: numbers.randrange(1 << 23) for name in names}} for _ in range(4000)]
            assert service.client.post("/predict/batch", json=rows).status_code == 200
            wait_until(lambda wanted=4000 * sent: accounted(service) == wanted, service.log)
            sizes.append(sum(file.stat().st_size for file in folder.iterdir()))
        assert metric(service.client, "record_removed_files_total") > 0
        assert metric(service.client, 'record_lost_rows_total{reason="write"}') == 0
    assert most // 2 < max(sizes) <= most
    assert all(file.stat().st_size <= most // 8 + (64 << 10) for file in whole_files(folder))
    assert lines(folder)[-1]["features"][names[0]] == rows[-1][names[0]]


def accounted(service: TestedService) -> float:
    """Rows that were written or lost."""
    lost = sum(metric(service.client, f'record_lost_rows_total{{reason="{reason}"}}') for reason in ("queue", "write"))
    return metric(service.client, "record_rows_total") + lost


def test_all_workers_record_each_into_its_own_files(
    backend: str, models: Path, body: str, folder: Path, tmp_path: Path
):
    names = [f"request-{index}" for index in range(60)]
    with running(backend, models, tmp_path, workers=2, record_dir=folder, **ALL) as service:
        for name in names:
            service.client.post("/predict", content=body, headers={"x-request-id": name, "connection": "close"})
    assert sorted(line["request_id"] for line in lines(folder)) == sorted(names)


def test_two_services_share_a_folder(backend: str, models: Path, body: str, folder: Path, tmp_path: Path):
    given = {"record_dir": folder, **ALL}
    with running(backend, models, tmp_path, **given) as one, running("onnx", models, tmp_path, **given) as other:
        for index in range(20):
            for place, service in enumerate((one, other)):
                service.client.post("/predict", content=body, headers={"x-request-id": f"{place}-{index}"})
    expected = sorted(f"{place}-{index}" for place in range(2) for index in range(20))
    assert sorted(line["request_id"] for line in lines(folder)) == expected
