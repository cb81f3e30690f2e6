"""Every family's graph gives what its pipeline gives, with and without missing values."""

import io

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest
from sklearn.impute import SimpleImputer

from experiments.study.comparison import fit
from experiments.study.contestants import NativePipeline, OnnxGraph, StudyBatch
from experiments.study.conversion import export_pipeline
from experiments.study.families import ESTIMATOR, all_families, build_pipeline, xgboost
from training.data.prepare import pipeline_frame
from training.export.graphs import tree_count
from training.export.rewrite.graph import ML_OPSET, OPSET

FAMILIES = {f"{family.name} {family.description}".strip(): family for family in all_families()}
SMALL = {name: family for name, family in FAMILIES.items() if "1000" not in name}


def both(rows, family, threshold=0.5):
    pipeline = fit(rows, rows.features, family, seed=3)
    content = export_pipeline(rows.dataset, pipeline, threshold)
    batch = StudyBatch.of(rows.dataset, pipeline_frame(rows.dataset, rows.held_out))
    native = NativePipeline(pipeline, threshold)
    with native.on_threads(1):
        return native.predict(batch), OnnxGraph(content, 1).predict(batch), content


def test_names_and_parameters_tell_families_apart():
    assert len(FAMILIES) == len(all_families())


@pytest.mark.parametrize("name", SMALL)
def test_graph_gives_what_the_pipeline_gives(rows, name):
    native, onnx_answer, content = both(rows, FAMILIES[name])
    assert np.abs(native.values - onnx_answer.values).max() < 5e-6
    assert onnx_answer.values.shape == (rows.held_out.height,)
    assert onnx_answer.values.dtype == np.float32
    assert native.values.std() > 0.05
    if native.labels is None:
        assert onnx_answer.labels is None
    else:
        assert native.labels.tolist() == onnx_answer.labels.tolist()
        assert 0.1 < native.labels.mean() < 0.9
    model = onnx.load_model(io.BytesIO(content))
    assert {opset.domain: opset.version for opset in model.opset_import} == {"": OPSET, "ai.onnx.ml": ML_OPSET}


@pytest.mark.parametrize("name", ["logistic regression", "XGBoost trees=100, depth=5", "linear regression"])
def test_data_sets_without_categories_have_one_input(numbers_only, name):
    native, onnx_answer, content = both(numbers_only, FAMILIES[name])
    assert np.abs(native.values - onnx_answer.values).max() < 5e-6
    assert [node.name for node in onnxruntime.InferenceSession(content).get_inputs()] == ["numeric"]


def test_threshold_decides_the_label(rows):
    native, onnx_answer, _ = both(rows, FAMILIES["logistic regression"], threshold=0.9)
    assert onnx_answer.labels.tolist() == (onnx_answer.values >= np.float32(0.9)).tolist() == native.labels.tolist()


def test_graph_has_the_trained_trees(rows):
    _, _, content = both(rows, xgboost(17, 2))
    assert tree_count(content) == 17


def test_nothing_in_the_graph_is_there_for_an_output_that_nobody_asks_for(rows):
    _, _, content = both(rows, FAMILIES["MLP layers=64x32"])
    model = onnx.load_model(io.BytesIO(content))
    used = {name for node in model.graph.node for name in node.input} | {value.name for value in model.graph.output}
    assert all(used.intersection(node.output) for node in model.graph.node)
    assert "ArgMax" not in {node.op_type for node in model.graph.node}


def test_estimators_that_take_no_missing_values_get_an_imputer_where_there_can_be_any(rows, rows_without_gaps):
    def imputes(prepared, name):
        estimator = build_pipeline(prepared.dataset, prepared.features, FAMILIES[name], seed=1).named_steps[ESTIMATOR]
        return any(isinstance(step, SimpleImputer) for _, step in getattr(estimator, "steps", ()))

    forest = "random forest trees=200, depth=12"
    assert imputes(rows, "logistic regression")
    assert imputes(rows, forest)
    assert not imputes(rows_without_gaps, "logistic regression")
    assert not imputes(rows_without_gaps, forest)
    assert not imputes(rows, "XGBoost trees=100, depth=5")


def test_numbers_that_float32_cannot_tell_apart_change_what_histogram_boosting_says(rows_without_gaps):
    """What the study's column of large numbers is about: the graph compares float32, the pipeline float64."""
    prepared = rows_without_gaps
    family = FAMILIES["histogram boosting trees=200, leaves=31"]
    shifted = pl.col(["weight", "trees"]) + 1e8
    pipeline = fit(prepared, prepared.features.with_columns(shifted), family, seed=3)
    content = export_pipeline(prepared.dataset, pipeline, 0.5)
    batch = StudyBatch.of(prepared.dataset, pipeline_frame(prepared.dataset, prepared.held_out).with_columns(shifted))
    contestant = NativePipeline(pipeline, 0.5)
    with contestant.on_threads(1):
        native, graph = contestant.predict(batch), OnnxGraph(content, 1).predict(batch)
    assert np.abs(native.values - graph.values).max() > 0.1
    assert (native.labels != graph.labels).any()
