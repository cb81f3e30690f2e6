"""Skew of running services, and the command."""

import subprocess
import sys

import msgspec
import pytest

from bundle.table import to_text
from load_testing.cpus import available_cpus
from load_testing.payloads import read_reference
from load_testing.services import ROOT, running
from load_testing.skew import Mismatch, SkewResult
from load_testing.skew_measurement import SkewRow, measure_skew, served_model
from load_testing.skew_report import SkewReport, skew_table


@pytest.fixture
def rows_of(stub, model_folder):
    """The skew rows (batch, single) of a stub service."""

    def measured(behaviour):
        with running(stub(behaviour), model_folder, available_cpus(), workers=1) as service:
            return measure_skew(behaviour, service.url, read_reference(model_folder))

    return measured


def test_right_answers_are_clean(rows_of):
    batch, single = rows_of("honest")
    assert (batch.route, single.route) == ("/predict/batch", "/predict")
    assert (batch.result.rows, single.result.rows) == (250, 250)
    assert batch.clean
    assert single.clean
    assert batch.result.max_abs_difference < 1e-7


def test_wrong_labels_are_counted(rows_of):
    for row in rows_of("lying"):
        assert (row.result.rows, row.result.equal_labels, row.result.equal_probabilities) == (250, 200, 250)
        assert not row.clean
        assert row.result.mismatches[0].row == 0
        assert "row 5 (held_out): expected 0 with P 0.0200000, served 1" in to_text(skew_table([row]))


def test_a_regressor_is_compared_by_its_value_alone():
    mismatch = Mismatch(
        row=7, case="split:size", expected_label=0, served_label=0, expected_probability=12345.678,
        served_probability=12340.5,
    )  # fmt: skip
    result = SkewResult(
        rows=4, equal_labels=4, equal_probabilities=3, max_abs_difference=4.2e-4, sum_abs_difference=4e-4,
        mismatches=(mismatch,),
    )  # fmt: skip
    row = SkewRow(service="onnx", route="/predict", result=result, failures={}, seconds=0.25, values=True)
    table = skew_table([row])
    assert table.heads[3:6] == ("value match %", "max relative diff", "mean relative diff")
    assert table.rows[0][2:6] == ("4", "75.000", "4.2e-04", "1.0e-04")
    assert len(table.heads) == len(table.rows[0])
    assert table.notes == ("onnx /predict, row 7 (split:size): expected 12345.68, served 12340.5",)


def test_failed_requests_are_counted_and_patience_is_limited(rows_of):
    batch, single = rows_of("failing")
    assert batch.failures == {'HTTP 500: {"detail": "broken"}': 1}
    assert batch.result.rows == 150
    assert single.failures == {'HTTP 500: {"detail": "broken"}': 10}
    assert not single.clean


def test_answers_that_break_the_contract_are_failures(rows_of):
    batch, single = rows_of("garbled")
    (reason,) = batch.failures
    assert "missing required field `probabilities`" in reason
    assert single.failures == {"Object missing required field `probabilities`": 10}


def test_a_service_of_another_model_is_named_and_asked_nothing(stub, model_folder, tmp_path):
    with running(stub("other"), model_folder, available_cpus(), workers=1) as service:
        assert served_model(service.url) == ("churn", "0123456789ab")
        command = [sys.executable, "-m", "load_testing", "skew", "--hosts", service.url]
        command += ["--models", model_folder, "--reports", tmp_path / "reports"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {service.url} serves churn 0123456789ab, and {model_folder} holds m ")
    assert "name the folder of its bundle with MODELS=" in done.stderr
    assert not (tmp_path / "reports").exists()  # an earlier report is left as it is
    assert served_model(service.url) is None  # it has ended


@pytest.mark.parametrize(("behaviour", "status"), [("honest", 0), ("lying", 1), ("failing", 1)])
def test_exit_status_of_the_command(stub, model_folder, tmp_path, behaviour, status):
    with running(stub(behaviour), model_folder, available_cpus(), workers=1) as service:
        command = [sys.executable, "-m", "load_testing", "skew", "--hosts", service.url]
        command += ["--models", model_folder, "--reports", tmp_path]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert "prediction match" in done.stdout
    assert ("80.000" in done.stdout) == (behaviour == "lying")
    assert ("HTTP 500" in done.stdout) == (behaviour == "failing")
    report = msgspec.json.decode((tmp_path / "skew.json").read_bytes(), type=SkewReport)
    assert [row.clean for row in report.skew] == [status == 0] * 2
    assert (report.model, report.machine.cpus) == ("m", len(available_cpus()))
