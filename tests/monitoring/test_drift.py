"""Drift: a known shift is found where it is and nowhere else, and none is found where there is none."""

import json
import random
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import polars as pl
import pytest
from scipy import stats

from bundle.distributions import CategoryCounts, Distributions, NumberCounts
from bundle.manifest import Feature, Manifest, encode_manifest
from monitoring.drift.command import main
from monitoring.drift.counting import Counter, whole_requests
from monitoring.drift.findings import Thresholds, find
from monitoring.drift.report import chance_text
from monitoring.drift.variables import variables_of
from monitoring.record.reader import Line, RecordReader
from monitoring.record.rows import Rows, Shape
from tests.contract.any_models import MODELS
from tests.monitoring.recorded_traffic import START, record_lines, write_lines, write_record
from training.export.distributions import packaged_distributions
from training.export.predictions import Predictions

WEEK = timedelta(days=7)


def alarms(report, *, whole=True):
    return {finding.label for finding in report.alarms if (finding.window is None) == whole}


@pytest.fixture(scope="session")
def traffic(held_out):
    """4,000 rows as the model knows them, drawn from the held-out ones."""
    return random.Random(5).choices(held_out, k=4000)


def changed(rows, change):
    draw = random.Random(6)
    return [{**row, **change(row, draw)} for row in rows]


def test_nothing_is_found_in_rows_like_those_of_training(traffic, models, tmp_path, run_drift, capsys):
    write_record(tmp_path / "record", models, traffic, span=WEEK)
    status, report = run_drift(tmp_path / "record")
    assert (status, report.alarms) == (0, ())
    assert len(report.windows) == 8
    assert report.tests > 100
    assert "No drift: " in capsys.readouterr().out
    page = (tmp_path / "reports/drift.html").read_text()
    assert page.count('<div class="card">') == len(report.variables)
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_shifted_mean_is_found_in_its_feature_and_in_the_score(traffic, models, tmp_path, run_drift):
    rows = changed(traffic, lambda row, _: {"age": row["age"] + 12})
    write_record(tmp_path / "record", models, rows)
    status, report = run_drift(tmp_path / "record")
    assert status == 1
    assert "age" in alarms(report)
    assert alarms(report) <= {"age", "score (the model's)", "answers (the model's)"}
    age = next(finding for finding in report.findings if finding.label == "age")
    assert age.effect > 0.3
    written = (tmp_path / "reports/drift.md").read_text()
    assert written.startswith(f"# Drift\n\n**{report.verdict}**\n")
    assert "FAILED" not in written
    assert age.adjusted < 1e-20


def test_new_categories_and_missing_values_are_found_as_rates(traffic, models, tmp_path, run_drift):
    def change(row, draw):
        new = {"native_country": "Atlantis"} if draw.random() < 0.05 else {}
        return {**new, **({"workclass": None} if draw.random() < 0.1 else {})}

    write_record(tmp_path / "record", models, changed(traffic, change))
    status, report = run_drift(tmp_path / "record")
    assert status == 1
    assert alarms(report) == {"native_country: unseen", "workclass: missing"}
    found = {finding.label: finding for finding in report.alarms}
    assert found["native_country: unseen"].effect == pytest.approx(0.05, abs=0.03)
    assert found["workclass: missing"].effect == pytest.approx(0.1, abs=0.03)


def test_a_known_category_that_becomes_frequent_is_found(traffic, models, tmp_path, run_drift):
    rows = changed(traffic, lambda row, draw: {"sex": "Female"} if draw.random() < 0.5 else {})
    write_record(tmp_path / "record", models, rows)
    status, report = run_drift(tmp_path / "record")
    assert status == 1
    assert "sex" in alarms(report)
    assert next(variable for variable in report.variables if variable.name == "sex").cells[-1] == "others"


def test_shifted_scores_are_found_without_any_feature(traffic, models, tmp_path, run_drift):
    lines = list(record_lines(models, traffic, batch=1, start=START, span=WEEK, service="onnx", fields=None))
    for line in lines:
        p = line["probabilities"][1] ** 0.5
        line["probabilities"] = [1 - p, p]
    write_lines(tmp_path / "record", lines)
    status, report = run_drift(tmp_path / "record")
    assert (status, alarms(report)) == (1, {"score (the model's)"})


def test_a_shift_of_the_last_days_is_found_in_their_windows(traffic, models, tmp_path, run_drift):
    rows = [*traffic[:3000], *changed(traffic[3000:], lambda row, _: {"hours_per_week": row["hours_per_week"] + 15})]
    write_record(tmp_path / "record", models, rows, span=timedelta(days=8))
    status, report = run_drift(tmp_path / "record")
    assert status == 1
    found = {finding.window for finding in report.alarms if finding.label == "hours_per_week" and finding.window}
    assert found == {datetime(2026, 11, day, tzinfo=UTC) for day in (29, 30)}
    assert "first in the window from 2026-11-29 00:00 UTC" in report.verdict
    assert run_drift(tmp_path / "record", "--ignore", "hours_per_week, age")[1].ignored == ("hours_per_week", "age")


def test_a_small_but_significant_difference_is_no_alarm_and_thresholds_move(traffic, models, tmp_path, run_drift):
    rows = changed(traffic, lambda row, draw: {"sex": "Female"} if draw.random() < 0.1 else {})
    write_record(tmp_path / "record", models, rows)
    status, report = run_drift(tmp_path / "record")
    sex = next(finding for finding in report.findings if finding.label == "sex")
    assert (status, sex.alarm, report.judge(sex)) == (0, False, "significant, but small")
    assert run_drift(tmp_path / "record", "--psi", "0.001")[0] == 1
    assert run_drift(tmp_path / "record", "--psi", "0.001", "--alpha", "1e-9")[0] == 0


def test_too_few_rows_give_no_verdict(traffic, models, tmp_path, run_drift, capsys):
    rows = changed(traffic[:150], lambda row, _: {"age": 17})
    write_record(tmp_path / "record", models, rows)
    status, report = run_drift(tmp_path / "record")
    assert (status, report.tests, report.alarms) == (3, 0, ())
    assert "Too few rows for a verdict" in capsys.readouterr().out
    assert run_drift(tmp_path / "record", "--min-rows", "100")[0] == 1
    few = tmp_path / "few"
    write_record(few, models, traffic, batch=200)
    assert run_drift(few)[1].tests == 0  # 4,000 rows, but 20 requests


def test_rows_of_a_request_that_are_alike_are_no_drift(held_out, models, tmp_path, run_drift):
    """Each request asks for one person 50 times, some of whom are older than others."""
    draw = random.Random(8)
    rows = [row for _ in range(60) for row in [draw.choice(held_out)] * 50]
    write_record(tmp_path / "record", models, rows, batch=50)
    _, report = run_drift(tmp_path / "record", "--min-rows", "50")
    age = next(finding for finding in report.findings if finding.label == "age")
    assert age.effective_rows == pytest.approx(60, rel=0.3)
    assert age.effect > 0.1  # taken for 3,000 rows it would be an alarm
    assert "age" not in alarms(report)


def test_left_out_fields_other_versions_and_damage_are_said(traffic, models, tmp_path, run_drift, capsys):
    record = tmp_path / "record"
    names = [name for name in traffic[0] if name != "race"]
    write_record(record, models, traffic[:1000], fields=names)
    write_record(record, models, traffic[:10], version="old", service="axum")
    min(record.iterdir()).rename(record / "record-20261123T080000.000000Z-onnx-1-1.jsonl.gz")
    with (record / "record-20261124T080000.000000Z-onnx-1-2.jsonl.gz").open("wb") as stream:
        stream.write(b"no gzip")
    status, report = run_drift(record)
    assert (status, report.not_recorded, report.record.damaged) == (3, ("race",), 1)
    out = capsys.readouterr().out
    assert "Not in the record (SERVE_RECORD_FIELDS): race." in out
    assert "Rows of other models and versions were not compared: adult_income_model old (10 rows from axum)." in out
    assert "Damaged: record-20261124T080000" in out


def test_what_cannot_be_done_ends_with_status_2_and_a_remedy(traffic, models, manifest, tmp_path, run_drift, capsys):
    record = tmp_path / "record"
    write_record(record, models, traffic[:50], version="old")
    assert run_drift(record)[0] == 2
    assert f"no row of {manifest.name} {manifest.version}" in capsys.readouterr().err
    assert run_drift(record, "--ignore", "ages")[0] == 2
    assert "IGNORE=ages: the model has no such feature" in capsys.readouterr().err
    without = tmp_path / "without"
    without.mkdir()
    bare = msgspec.structs.replace(manifest, distributions=None)
    (without / "m.json").write_bytes(encode_manifest(bare))
    assert run_drift(record, bundle=without)[0] == 2
    assert "has no distributions to compare with; `make train`, or `make package` with ROWS=" in capsys.readouterr().err
    wrong = msgspec.structs.replace(manifest.distributions, features={})
    (without / "m.json").write_bytes(encode_manifest(msgspec.structs.replace(manifest, distributions=wrong)))
    assert run_drift(record, bundle=without)[0] == 2
    assert "the manifest's distributions are not of its features" in capsys.readouterr().err
    write_record(tmp_path / "long", models, traffic[:200], span=timedelta(days=200))
    assert run_drift(tmp_path / "long")[0] == 2
    assert "WINDOW=24: the record would have 200 windows" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        run_drift(tmp_path / "record", "--window", "99999999999999")
    assert stopped.value.code == 2
    with pytest.raises(SystemExit) as stopped:
        main(["--record", str(record), "--alpha", "-1"])
    assert stopped.value.code == 2


@pytest.mark.parametrize("bundle", MODELS, ids=[bundle.name for bundle in MODELS])
def test_every_task_and_kind_of_feature_is_counted(bundle, tmp_path, run_drift):
    from monitoring.replay.model import interface_of, with_unseen  # noqa: PLC0415

    manifest = bundle.write(tmp_path / "m")
    rows = random.Random(1).choices(bundle.rows, k=600)
    write_record(tmp_path / "record", tmp_path / "m", rows)
    located = [one for piece in RecordReader(tmp_path / "record") for one in piece]
    (arranged,) = Shape(manifest).arrange(located)
    answers = Predictions(arranged.labels, arranged.numbers.astype(np.float32))
    found = packaged_distributions(interface_of(manifest), with_unseen(arranged, manifest), answers)
    found = json.loads(msgspec.json.encode(found))
    document = json.loads((tmp_path / f"m/{bundle.name}.json").read_text()) | {"distributions": found}
    (tmp_path / f"m/{bundle.name}.json").write_text(json.dumps(document))
    status, report = run_drift(tmp_path / "record", bundle=tmp_path / "m")
    assert status == 0
    places = [variable.place for variable in report.variables]
    assert places.count("feature") == len(bundle.features)
    assert places.count("answers") == bool(bundle.classes)
    for variable in report.variables:
        assert sum(variable.found) == pytest.approx(1), variable.name
        assert variable.found == pytest.approx(variable.expected, abs=1e-6), variable.name
    labels = {finding.label for finding in report.findings}
    for feature in bundle.features:
        assert (f"{feature.name}: missing" in labels) == feature.nullable
        categorical = feature.kind in ("ordinal", "nominal") and not feature.open
        assert (f"{feature.name}: unseen" in labels) == categorical


def test_a_request_is_never_cut(traffic, models, tmp_path, monkeypatch):
    write_record(tmp_path / "record", models, traffic[:500], batch=7)
    monkeypatch.setattr("monitoring.record.files.PIECE_BYTES", 3000)
    pieces = list(whole_requests(RecordReader(tmp_path / "record")))
    assert sum(map(len, pieces)) == 500
    owners = [{one.line.request_id for one in piece} for piece in pieces]
    assert sum(map(len, owners)) == len(set().union(*owners)) == 72
    monkeypatch.setattr("monitoring.drift.counting.LONGEST_REQUEST", 5)
    assert sum(map(len, whole_requests(RecordReader(tmp_path / "record")))) == 500


FEATURES = 20
REPETITIONS = 200


def made_up_manifest(manifest: Manifest, draw: np.random.Generator) -> tuple[Manifest, list[np.ndarray]]:
    """A regressor of many categorical features, the shares of their categories, and distributions of 5,000 rows."""
    every = [draw.dirichlet(np.full(int(draw.integers(2, 20)), 1.0)) for _ in range(FEATURES)]
    features, counts = [], {}
    for number, shares in enumerate(every):
        names = tuple(f"c{place}" for place in range(len(shares)))
        features.append(Feature(name=f"f{number}", kind="nominal", nullable=True, example="c0", categories=names))
        rows = draw.multinomial(5000, [*(shares * 0.95), 0.05])
        counts[f"f{number}"] = CategoryCounts(
            counts=dict(zip(names, rows[:-1].tolist(), strict=True)), missing=int(rows[-1])
        )
    edges = tuple(np.linspace(-2, 2, 9).tolist())
    score = np.histogram(draw.normal(size=5000), [-np.inf, *edges, np.inf])[0].tolist()
    found = Distributions(
        rows=5000, features=counts, answered=5000, answers_of="held_out", score=NumberCounts(edges=edges, counts=score)
    )
    changes = {"features": tuple(features), "task": "regression", "classes": (), "positive_class": None}
    expected = msgspec.structs.replace(manifest.expected, probabilities=())
    return msgspec.structs.replace(
        manifest, **changes, decision_threshold=None, expected=expected, distributions=found
    ), every


def recorded_lines(manifest, rows, batch):
    for row in range(rows):
        yield Line(
            time=START + timedelta(minutes=row), request_id=str(row // batch), row=row % batch, route="/predict/batch",
            service="onnx", model=manifest.name, version=manifest.version, features={}, missing=[], unseen=[],
            prediction=0.0,
        )  # fmt: skip


def drawn_rows(lines, every, draw):
    """Rows of the same population as the manifest's."""
    columns = []
    for number, shares in enumerate(every):
        cells = draw.choice(len(shares) + 1, len(lines), p=[*(shares * 0.95), 0.05])
        texts = [*(f"c{place}" for place in range(len(shares))), None]
        columns.append(pl.Series(f"f{number}", [texts[cell] for cell in cells], pl.String))
    scores = draw.normal(size=(len(lines), 1))
    return Rows(lines, pl.DataFrame(columns), {}, np.zeros(len(lines), dtype=np.int64), scores)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 5])
def test_false_alarms_stay_below_the_nominal_level(manifest, batch):
    """200 reports on 21 variables and their missing and unseen rates: by significance alone, without any threshold of
    effect, at most as many have a false alarm as alpha says; with the usual one fewer have.
    """
    draw = np.random.default_rng(11)
    significant = alarming = 0
    for _ in range(REPETITIONS):
        made_up, every = made_up_manifest(manifest, draw)
        variables = variables_of(made_up)
        counter = Counter(variables, made_up, timedelta(days=365))
        counter.add(drawn_rows(list(recorded_lines(made_up, 2000, batch)), every, draw))
        found = find(variables, counter.total(), counter.windows, Thresholds(alpha=0.05, index=1e-9, rate=1e-9))
        chance = [finding for finding in found if finding.alarm]
        significant += bool(chance)
        alarming += any(abs(f.effect) >= (0.1 if f.what == "distribution" else 0.01) for f in chance)
    assert significant <= stats.binom.ppf(0.999, REPETITIONS, 0.05)
    assert alarming <= min(significant, 2)


@pytest.mark.parametrize(
    ("p", "text"), [(None, ""), (1.0, "1.00"), (0.014, "0.01"), (0.0099, "9.9e-03"), (1e-120, "< 1e-99")]
)
def test_chances_are_written_in_decimals_as_long_as_these_say_something(p, text):
    assert chance_text(p) == text
