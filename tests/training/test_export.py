"""Both graphs give what the pickle gives, on any rows and for any kind of data set, and the pickle needs no project."""

import contextlib
import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest

from bundle.artifacts import read_artifact
from bundle.reference import ROW
from bundle.tolerance import PROBABILITY_TOLERANCE
from tests.training.exporting import TOKENS, export_onnx, predict_onnx, predict_pickle, splits_of
from training.data.prepare import pipeline_frame
from training.dataset import Dataset, Nominal, Numeric, Ordinal
from training.errors import ParityError
from training.export.artifacts import interface_of, make_contents
from training.export.edge_cases import edge_cases
from training.export.graphs import export_pickle, tree_count
from training.export.rewrite.graph import IR_VERSION, ML_OPSET, OPSET
from training.model.fitting import feature_importance
from training.model.pipeline import apply_threshold

ODD_TEXTS = ["unseen", "", " ", "?", "null", "nan", "0", "POOR", "poor ", "größer 🍏", "a\nb", "x" * 300]
ODD_NUMBERS = [0.0, -0.0, 1e-42, -1.0, 1e6, 16_777_217.0, 3.4e38, -3.4e38, float("nan"), None]


def random_rows(dataset, training, count=1500, seed=0):
    """Rows of seen values and of values that nobody has ever seen, nulls in every column."""
    generator = np.random.default_rng(seed)
    columns = []
    for feature in dataset.features:
        seen = training[feature.name].drop_nulls()
        if isinstance(feature, Numeric):
            spread = seen.to_numpy()[generator.integers(0, seen.len(), count)] + generator.normal(0, 1, count)
            picks = generator.integers(0, 40, count)
            drawn = [ODD_NUMBERS[i] if i < len(ODD_NUMBERS) else usual for i, usual in zip(picks, spread, strict=True)]
            columns.append(pl.Series(feature.name, drawn, dtype=pl.Float64, strict=False))
        else:
            texts = [*seen.unique(maintain_order=True), *ODD_TEXTS, None]
            drawn = [texts[i] for i in generator.integers(0, len(texts), count)]
            columns.append(pl.Series(feature.name, drawn, dtype=pl.String))
    return pl.DataFrame(columns)


def graphs(dataset, classifier):
    return {packed: export_onnx(dataset, classifier, TOKENS, packed=packed) for packed in (False, True)}


def assert_agree(dataset, classifier, rows):
    expected = predict_pickle(export_pickle(classifier), dataset, rows)
    for graph in graphs(dataset, classifier).values():
        got = predict_onnx(graph, dataset, rows, TOKENS)
        assert got.labels.tolist() == expected.labels.tolist()
        assert np.abs(got.probabilities - expected.probabilities).max() <= PROBABILITY_TOLERANCE
    return expected


@pytest.fixture(scope="module")
def model(made_up):
    return made_up.fitted(made_up.rows)


@pytest.fixture(scope="module")
def named(made_up, model):
    return export_onnx(made_up.rows.dataset, model.estimator, TOKENS, packed=False)


@pytest.fixture(scope="module")
def packed(made_up, model):
    return export_onnx(made_up.rows.dataset, model.estimator, TOKENS, packed=True)


def signature(values):
    kinds = {onnx.TensorProto.FLOAT: "float", onnx.TensorProto.STRING: "string", onnx.TensorProto.INT64: "int64"}
    return {
        value.name: (
            kinds[value.type.tensor_type.elem_type],
            [dimension.dim_value or dimension.dim_param for dimension in value.type.tensor_type.shape.dim],
        )
        for value in values
    }


def test_named_graph_has_an_input_per_feature_in_feature_order(named):
    inputs = signature(onnx.load_from_string(named).graph.input)
    assert list(inputs) == ["weight", "age", "grade", "colour", "soil"]
    assert inputs == {
        "weight": ("float", ["N", 1]),
        "age": ("float", ["N", 1]),
        "grade": ("string", ["N", 1]),
        "colour": ("string", ["N", 1]),
        "soil": ("string", ["N", 1]),
    }


def test_packed_graph_has_one_input_of_strings_and_one_of_numbers(packed):
    inputs = signature(onnx.load_from_string(packed).graph.input)
    assert inputs == {"categorical": ("string", ["N", 3]), "numeric": ("float", ["N", 2])}


@pytest.mark.parametrize("graph", ["named", "packed"])
def test_outputs_and_versions_are_as_documented(graph, request):
    model = onnx.load_from_string(request.getfixturevalue(graph))
    onnx.checker.check_model(model, full_check=True)
    assert signature(model.graph.output) == {"label": ("int64", ["N"]), "probabilities": ("float", ["N", 2])}
    assert {opset.domain: opset.version for opset in model.opset_import} == {"": OPSET, "ai.onnx.ml": ML_OPSET}
    assert (OPSET, ML_OPSET) == (18, 3)
    assert model.ir_version == IR_VERSION


def test_shapes_that_come_out_are_those_that_are_declared(made_up, packed):
    for count in (1, 2, 7):
        got = predict_onnx(packed, made_up.rows.dataset, made_up.rows.held_out.head(count), TOKENS)
        assert (got.labels.shape, got.labels.dtype) == ((count,), np.int64)
        assert (got.probabilities.shape, got.probabilities.dtype) == ((count, 2), np.float32)
        assert got.probabilities.sum(axis=1) == pytest.approx(1)


def test_same_model_gives_the_same_bytes(made_up, model, named, packed):
    again = graphs(made_up.rows.dataset, model.estimator)
    assert (again[False], again[True]) == (named, packed)


def test_graph_has_the_trained_trees(model, named, packed):
    assert tree_count(named) == tree_count(packed) == model.booster.num_boosted_rounds() == 12


def test_graphs_agree_with_the_pickle_on_random_rows(made_up, model):
    rows = random_rows(made_up.rows.dataset, made_up.rows.training)
    expected = assert_agree(made_up.rows.dataset, model.estimator, rows)
    assert 0.1 < expected.labels.mean() < 0.9


def test_published_graphs_agree_with_the_published_pickle_on_random_rows(manifest, models, small_dataset):
    training = pl.read_parquet(models / manifest.artifacts["reference"].file)[ROW].struct.unnest()
    rows = random_rows(small_dataset, training, count=3000, seed=5)
    expected = predict_pickle(read_artifact(manifest, "pickle", models), small_dataset, rows)
    for kind in ("onnx", "onnx_packed"):
        got = predict_onnx(read_artifact(manifest, kind, models), small_dataset, rows, manifest.tokens)
        assert got.labels.tolist() == expected.labels.tolist()
        assert np.abs(got.probabilities - expected.probabilities).max() <= PROBABILITY_TOLERANCE


def test_a_row_alone_gives_what_it_gives_in_a_batch(made_up, model, packed):
    rows = random_rows(made_up.rows.dataset, made_up.rows.training, count=50)
    whole = predict_onnx(packed, made_up.rows.dataset, rows, TOKENS)
    for index in range(rows.height):
        alone = predict_onnx(packed, made_up.rows.dataset, rows[index], TOKENS)
        assert alone.probabilities[0] == pytest.approx(whole.probabilities[index], abs=PROBABILITY_TOLERANCE)
        assert alone.labels[0] == whole.labels[index]


@pytest.mark.parametrize("threshold", [0.05, 0.95])
def test_label_output_applies_the_threshold(made_up, model, threshold):
    rows = made_up.rows
    pipeline = model.estimator.estimator_.estimator
    classifier = apply_threshold(pipeline, threshold, rows.features, rows.target)
    expected = assert_agree(rows.dataset, classifier, rows.training)
    assert expected.labels.tolist() == (expected.probabilities[:, 1] >= np.float32(threshold)).tolist()
    untuned = pipeline.predict(rows.features)
    assert (expected.labels != untuned).mean() > 0.1


def test_probability_that_equals_the_threshold_is_positive(made_up, model):
    rows = made_up.rows
    pipeline = model.estimator.estimator_.estimator
    graph = export_onnx(rows.dataset, model.estimator, TOKENS, packed=True)
    for probability in np.unique(predict_onnx(graph, rows.dataset, rows.held_out, TOKENS).probabilities[:, 1])[:20]:
        classifier = apply_threshold(pipeline, float(probability), rows.features, rows.target)
        graph = export_onnx(rows.dataset, classifier, TOKENS, packed=True)
        got = predict_onnx(graph, rows.dataset, rows.held_out, TOKENS)
        assert got.labels.tolist() == (got.probabilities[:, 1] >= probability).tolist()


def test_graph_does_not_contain_the_label_of_the_trees_alone(made_up, model, packed):
    """What a converter without the threshold would give differs, so that the tests above do test something."""
    expected = predict_onnx(packed, made_up.rows.dataset, made_up.rows.training, TOKENS)
    assert (expected.labels != expected.probabilities.argmax(axis=1)).any()


SHAPES = [
    ("numeric",),
    ("ordinal",),
    ("nominal",),
    ("numeric", "ordinal"),
    ("numeric", "nominal"),
    ("ordinal", "nominal"),
    ("nominal", "ordinal", "numeric"),
]


@pytest.mark.parametrize("kinds", SHAPES, ids="+".join)
def test_data_sets_without_some_kinds_export_and_agree(made_up, kinds):
    dataset, frame = made_up.orchard(*kinds)
    rows = made_up.prepared(dataset, frame)
    model = made_up.fitted(rows)
    assert make_contents(rows, model).parity.label_mismatches == 0
    assert_agree(dataset, model.estimator, random_rows(dataset, rows.training, count=500))
    assert set(feature_importance(rows, model)) == {feature.name for feature in dataset.features}
    inputs = {value.name for value in onnx.load_from_string(graphs(dataset, model.estimator)[True]).graph.input}
    assert inputs == {"numeric"} & set(kinds) | ({"categorical"} if {"ordinal", "nominal"} & set(kinds) else set())


def awkward():
    """Names as the graph uses them inside, categories that two columns share, and texts that need quoting."""
    generator = np.random.default_rng(2)
    texts = ["", " ", "same", "it's", 'quo"te', "back\\slash", "line\nbreak", "日本語 🎌", "None"]
    count = 500
    columns = {name: generator.choice(texts, count) for name in ("codes", "features", "a")}
    columns["a_b"] = generator.choice(["same", "c", "0"], count)
    numbers = {"f0": generator.normal(0, 1, count), "one_hot": generator.normal(0, 1, count)}
    positive = numbers["one_hot"] + (columns["codes"] == "same") + (columns["a_b"] == "c") > 0.5
    frame = pl.DataFrame(
        {name: pl.Series(values, dtype=pl.String) for name, values in columns.items()}
        | numbers
        | {"label": pl.Series(np.where(positive, "+", "-"), dtype=pl.String)}
    )
    dataset = Dataset(
        name="awkward",
        source="nowhere",
        features=(
            Nominal(name="codes"),
            Numeric(name="f0"),
            Ordinal(name="features", categories=tuple(texts)),
            Nominal(name="a"),
            Numeric(name="one_hot"),
            Nominal(name="a_b"),
        ),
        target="label",
        classes=("-", "+"),
        files=(),
        parse=lambda _: frame,
    )
    return dataset, frame


def test_awkward_names_and_categories_export_and_agree(made_up):
    dataset, frame = awkward()
    rows = made_up.prepared(dataset, frame)
    model = made_up.fitted(rows)
    assert make_contents(rows, model).parity.label_mismatches == 0
    assert_agree(dataset, model.estimator, random_rows(dataset, rows.training, count=800))


def test_splits_are_found_for_a_feature_that_is_named_like_a_column_of_the_trees(made_up):
    rows = made_up.prepared(*awkward())
    model = made_up.fitted(rows)
    cases = edge_cases(interface_of(rows, model.threshold), rows.training, splits_of(rows, model))["case"]
    assert "split:one_hot" in cases
    assert not any(case == "split:codes" for case in cases)


def test_category_that_looks_like_a_token_is_told_apart_from_a_missing_one(made_up):
    usual = made_up.rows.tokens.missing
    dataset, frame = made_up.orchard()
    frame = frame.with_columns(pl.col("colour").replace("yellow", usual))
    rows = made_up.prepared(dataset, frame)
    assert rows.tokens.missing != usual
    model = made_up.fitted(rows)
    graph = export_onnx(dataset, model.estimator, rows.tokens, packed=True)
    sample = random_rows(dataset, rows.training, count=300)
    expected = predict_pickle(export_pickle(model.estimator), dataset, sample)
    got = predict_onnx(graph, dataset, sample, rows.tokens)
    assert got.labels.tolist() == expected.labels.tolist()
    assert np.abs(got.probabilities - expected.probabilities).max() <= PROBABILITY_TOLERANCE


def grown(rows, **parameters):
    return lambda classifier, matrix: classifier.set_params(**parameters).fit(matrix, rows.target)


def stopped_early(rows):
    def fit(classifier, matrix):
        classifier.set_params(n_estimators=100, learning_rate=1.0, early_stopping_rounds=2)
        classifier.fit(matrix[:180], rows.target[:180], eval_set=[(matrix[180:], rows.target[180:])], verbose=False)
        assert classifier.best_iteration + 1 < classifier.get_booster().num_boosted_rounds() < 100

    return fit


def continued(more):
    def prepare(rows):
        def fit(classifier, matrix):
            classifier.fit(matrix, rows.target)
            classifier.set_params(n_estimators=more).fit(matrix, rows.target, xgb_model=classifier.get_booster())
            assert classifier.get_booster().num_boosted_rounds() == 12 + more

        return fit

    return prepare


UNUSUAL = {
    "early stopping": stopped_early,
    "training continued by fewer trees": continued(5),
    "training continued by as many trees": continued(12),
    "training continued by more trees": continued(30),
    "parallel trees": lambda rows: grown(rows, num_parallel_tree=3, subsample=0.5),
    "base score": lambda rows: grown(rows, base_score=0.9),
    "class weight": lambda rows: grown(rows, scale_pos_weight=5),
    "trees of one leaf": lambda rows: grown(rows, gamma=1e9),
    "trees of many shapes": lambda rows: grown(rows, gamma=1.0, max_depth=8, grow_policy="lossguide", max_leaves=9),
}


@pytest.mark.parametrize("way", UNUSUAL)
def test_model_that_was_fitted_in_an_unusual_way_is_converted_or_refused(made_up, way):
    """Known traps of the converter. Either it is right about them, or the gate says that it isn't."""
    rows = made_up.rows
    model = made_up.fitted(rows, UNUSUAL[way](rows))
    with contextlib.suppress(ParityError):
        artifacts = make_contents(rows, model).artifacts
        sample = random_rows(rows.dataset, rows.training)
        expected = predict_pickle(artifacts["pickle"], rows.dataset, sample)
        for kind in ("onnx", "onnx_packed"):
            got = predict_onnx(artifacts[kind], rows.dataset, sample, rows.tokens)
            assert got.labels.tolist() == expected.labels.tolist()
            assert np.abs(got.probabilities - expected.probabilities).max() <= PROBABILITY_TOLERANCE


@pytest.mark.parametrize("way", ["class weight", "base score", "trees of many shapes"])
def test_what_the_search_space_may_reach_is_converted(made_up, way):
    assert make_contents(made_up.rows, made_up.fitted(made_up.rows, UNUSUAL[way](made_up.rows))).parity.trees == 12


PREDICT_ALONE = """
import json, pickle, sys
from importlib.util import find_spec
from pathlib import Path
import polars as pl

assert not any(find_spec(name) for name in ("training", "bundle", "serving", "load_testing", "tests"))
folder, name = Path(sys.argv[1]), sys.argv[2]
classifier = pickle.loads((folder / f"{name}.pkl").read_bytes())
rows = pl.read_parquet(folder / f"{name}.reference.parquet")
features = rows["row"].struct.unnest()
labels = classifier.predict(features).tolist()
probability = classifier.predict_proba(features)[:, 1].astype("float32")
assert labels == rows["label"].to_list()
assert probability.tolist() == [both[1] for both in rows["probabilities"].to_list()]
foreign = sorted(name for name in sys.modules if name.split(".")[0] in ("training", "bundle"))
print(json.dumps([len(labels), sum(labels), foreign]))
"""


@pytest.mark.slow
def test_pickle_predicts_the_same_where_there_is_no_project_code(manifest, models, tmp_path):
    finished = subprocess.run(
        [sys.executable, "-I", "-c", PREDICT_ALONE, models, manifest.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    count, positive, foreign = json.loads(finished.stdout)
    assert count == manifest.parity.rows
    assert 0 < positive < count
    assert foreign == []


def test_named_graph_runs_with_nothing_but_onnx_runtime(manifest, models):
    """As a stranger would use it: inputs by their names, one row, from the manifest's own example values."""
    session = onnxruntime.InferenceSession(models / f"{manifest.name}.onnx", providers=["CPUExecutionProvider"])
    row = {
        feature.name: np.array([[feature.example]], dtype=np.float32 if feature.kind == "numeric" else object)
        for feature in manifest.features
    }
    label, probabilities = session.run(["label", "probabilities"], row)
    assert label.tolist() == [int(probabilities[0, 1] >= np.float32(manifest.decision_threshold))]


def test_fitting_does_not_touch_the_rows(made_up):
    before = made_up.rows.features.clone()
    model = made_up.fitted(made_up.rows)
    predict_pickle(export_pickle(model.estimator), made_up.rows.dataset, made_up.rows.training)
    assert made_up.rows.features.equals(before)
    assert pipeline_frame(made_up.rows.dataset, made_up.rows.training).equals(before)


def test_threshold_of_the_manifest_is_the_one_in_the_pickle_and_in_the_graphs(manifest, models, small_dataset):
    reference = pl.read_parquet(models / manifest.artifacts["reference"].file)
    expected = reference["probabilities"].to_numpy()[:, 1] >= np.float32(manifest.decision_threshold)
    assert reference["label"].to_list() == expected.tolist()
    for kind in ("onnx", "onnx_packed"):
        content, rows = read_artifact(manifest, kind, models), reference[ROW].struct.unnest()
        got = predict_onnx(content, small_dataset, rows, manifest.tokens)
        assert got.labels.tolist() == expected.tolist()
