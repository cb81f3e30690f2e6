"""Session options on a real bundle: nodes, quantisation, verdicts, and the whole command."""

import numpy as np
import pytest

from bundle.artifacts import read_artifact
from bundle.result import result_as_markdown
from experiments.__main__ import main
from experiments.study import session_options
from experiments.study.arguments import load
from experiments.study.comparison import distinct_batches, fit
from experiments.study.contestants import OnnxGraph, StudyBatch, product_options
from experiments.study.conversion import export_pipeline
from experiments.study.families import mlp
from experiments.study.node_profile import profile_nodes
from experiments.study.quantization import added_operators, dynamic, static
from experiments.study.session_measurement import LEAST_NOISE, noise_of, optimized
from experiments.study.session_options import measure_all
from experiments.study.session_results import verdict
from experiments.study.session_settings import all_settings
from experiments.study.timing import Budget, Rounds
from training.data.prepare import pipeline_frame

QUICK = Budget(seconds=0, round_seconds=0, least_rounds=3, most_rounds=3)


@pytest.fixture(scope="module")
def bundle_rows(small_dataset, training_options):
    return load(small_dataset, "synthetic", training_options.data_dir, seed=training_options.seed)


@pytest.fixture(scope="module")
def result(bundle_rows, manifest, models):
    return measure_all(bundle_rows, manifest, models, seed=3, budget=QUICK)


@pytest.mark.parametrize(
    ("ratios", "noise", "said"),
    [
        ((1.02, 1.02, 1.02), 0.03, "no difference"),
        ((0.5, 0.5, 0.6), 0.03, "50% less time"),
        ((1.4, 1.5, 1.6), 0.2, "50% more time"),
        ((0.9, 0.9, 0.9), 0.2, "no difference"),
        ((0.5, 1.5, 1.5, 0.6, 1.5), 0.1, "no difference"),
    ],
)  # fmt: skip
def test_verdict_depends_on_the_noise_and_on_the_rounds_agreeing(ratios, noise, said):
    assert verdict(ratios, noise) == said


def test_noise_is_the_spread_of_the_same_against_itself():
    quiet, loud = ((1.0,) * 4, (1.0, 1.001, 1.0, 0.999)), ((1.0,) * 4, (0.8, 1.2, 0.7, 1.3))
    assert noise_of(Rounds(quiet)) == LEAST_NOISE
    assert 0.2 < noise_of(Rounds(loud)) < 0.4


def test_every_session_gets_new_settings():
    settings = all_settings()
    assert len({setting.name for setting in settings}) == len(settings)
    assert settings[0].make() is not settings[0].make()
    assert settings[0].make().intra_op_num_threads == 1
    assert settings[0].make().get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_profile_says_which_nodes_run_and_how_long(manifest, models, bundle_rows):
    content = read_artifact(manifest, "onnx_packed", models)
    batch = StudyBatch.of(bundle_rows.dataset, pipeline_frame(bundle_rows.dataset, bundle_rows.held_out))
    profile = profile_nodes(content, product_options, batch, calls=2)
    assert profile.nodes["TreeEnsembleClassifier"] == 1
    assert profile.seconds["TreeEnsembleClassifier"] > 0
    assert "1 TreeEnsembleClassifier" in str(profile).split(", ")


def test_saved_optimised_graph_gives_the_same(manifest, models, bundle_rows):
    content = read_artifact(manifest, "onnx_packed", models)
    batch = StudyBatch.of(bundle_rows.dataset, pipeline_frame(bundle_rows.dataset, bundle_rows.held_out))
    before, after = (OnnxGraph(graph, 1).predict(batch) for graph in (content, optimized(content)))
    assert before.values.tolist() == after.values.tolist()


def test_dynamic_quantisation_finds_nothing_to_do_in_trees(manifest, models):
    content = read_artifact(manifest, "onnx_packed", models)
    assert not added_operators(content, dynamic(content))


def test_quantisation_works_on_the_layers_of_a_neural_network(rows):
    content = export_pipeline(rows.dataset, fit(rows, rows.features, mlp(16), seed=3), 0.5)
    calibration = distinct_batches(rows.dataset, rows.features, 50)
    assert added_operators(content, dynamic(content))["MatMulInteger"] == 2
    quantized = static(content, calibration, ("MatMul", "Gemm"))
    assert added_operators(content, quantized)["QuantizeLinear"] >= 2
    batch = StudyBatch.of(rows.dataset, pipeline_frame(rows.dataset, rows.held_out))
    exact, rounded = OnnxGraph(content, 1).predict(batch), OnnxGraph(quantized, 1).predict(batch)
    assert 0 < np.abs(exact.values - rounded.values).max() < 0.2


def test_every_setting_gives_what_the_bundle_says(result, manifest):
    assert [setting.name for setting in result.settings][:2] == ["the product's settings", "the same again"]
    for setting in result.settings:
        assert setting.skew.rows == manifest.parity.rows
        assert setting.skew.different_labels == 0
        assert setting.skew.max_difference <= manifest.parity.tolerance
        assert setting.load_ms > 0
        assert "1 TreeEnsembleClassifier" in setting.placement
        assert set(setting.latency) == {1, 1000}
    assert result.settings[0].latency[1].verdict == "basis"


def test_quantised_graphs_are_scored(result, manifest):
    trees = {found.way: found for found in result.quantization if found.graph == "trees"}
    assert trees["float32"].f2 == pytest.approx(manifest.metrics.held_out["f2"])
    assert trees["dynamic INT8"].added == ""
    assert trees["dynamic INT8"].skew.different_labels == 0
    network = {found.way: found for found in result.quantization if found.graph == "MLP"}
    assert network["dynamic INT8"].bytes < network["float32"].bytes
    assert "MatMulInteger" in network["dynamic INT8"].added


def test_the_report_has_both_graphs_in_every_way(result):
    text = result_as_markdown(result)
    assert text.count("| trees |") == text.count("| MLP |") == 5


def test_bundle_of_another_data_set_is_refused(models, tmp_path, capsys, monkeypatch, made_other):
    monkeypatch.setattr("training.adult.DATASET", made_other)
    arguments = ["--data", "farm", "--models", str(models), "--reports", str(tmp_path / "reports")]
    assert main(["session-options", *arguments]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert "not orchard" in error
    assert not (tmp_path / "reports").exists()


def test_command_writes_both_files(small_dataset, models, tmp_path, monkeypatch, result):
    monkeypatch.setattr("training.adult.DATASET", small_dataset)
    monkeypatch.setattr(session_options, "measure_all", lambda *_, **__: result)
    assert main(["session-options", "--data", "synthetic", "--models", str(models), "--reports", str(tmp_path)]) == 0
    assert {path.name for path in (tmp_path / "study").iterdir()} == {
        "session_options.json",
        "session_options.md",
    }


def test_missing_bundle_is_one_line(tmp_path, capsys):
    assert main(["session-options", "--data", "synthetic", "--models", str(tmp_path)]) == 1
    assert "no model bundle here" in capsys.readouterr().err
