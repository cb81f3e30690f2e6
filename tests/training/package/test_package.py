"""Models that exist become bundles, whole or not at all, and what can't be is refused in a sentence."""

import datetime as dt
import pickle
import re

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import polars as pl
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from xgboost import XGBClassifier

from bundle.artifacts import read_artifact
from bundle.manifest import read_manifest
from bundle.reference import CASE, ROW
from tests.training.export.tables import NUMBERS, TEXTS, in_frame, make_table
from training.errors import ConversionError
from training.package.columns import describe, read_rows
from training.package.command import main
from training.package.from_pipeline import tokens_for

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def package(tmp_path):
    """Pickle or save the model, write the rows, and run the command."""

    def run(model, frame, *more, target="sold"):
        rows = tmp_path / "rows.parquet"
        if frame is not None:
            frame.write_parquet(rows)
        arguments = ["--models", str(tmp_path / "models"), "--name", "made_up", *more]
        if frame is not None:
            arguments += ["--rows", str(rows), "--target", target]
        if isinstance(model, onnx.ModelProto):
            path = tmp_path / "model.onnx"
            path.write_bytes(model.SerializeToString())
            return main([*arguments, "--onnx", str(path)])
        path = tmp_path / "model.pkl"
        path.write_bytes(pickle.dumps(model))
        return main([*arguments, "--pipeline", str(path)])

    return run


@pytest.fixture
def bundle(tmp_path):
    """What was published: the manifest, its reference rows, and the answers of the packed graph to them."""

    def read():
        models = tmp_path / "models"
        manifest = read_manifest(models)
        reference = pl.read_parquet(models / manifest.artifacts["reference"].file)
        session = onnxruntime.InferenceSession(read_artifact(manifest, "onnx_packed", models))
        return manifest, reference, session

    return read


def table_of(kind, *, gaps=True):
    table = make_table(200, gaps=gaps)
    whole = in_frame(table.frame, kind, (*NUMBERS, *TEXTS))
    return table, whole


def columns(numbers, texts):
    return ColumnTransformer([("numbers", numbers, list(NUMBERS)), ("texts", texts, list(TEXTS))])


@pytest.mark.parametrize("labels", [["no", "yes"], [0, 1], [False, True], [3, 7]])
def test_a_pandas_pipeline_becomes_a_bundle_with_its_labels_as_they_are(package, bundle, capfd, labels):
    table, frame = table_of("pandas")
    target = np.array(labels)[table.binary]
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    model = make_pipeline(columns(make_pipeline(SimpleImputer(), StandardScaler()), texts), LogisticRegression())
    assert package(model.fit(frame, target), table.frame.with_columns(sold=pl.Series(target.tolist()))) == 0
    manifest, reference, session = bundle()
    assert (manifest.task, manifest.frame, manifest.classes) == ("binary_classification", "pandas", tuple(labels))
    assert all(feature.nullable for feature in manifest.features)
    assert reference["target"][:200].to_list() == table.binary.tolist()
    assert {"missing:all", "missing:weight", "unknown_category:colour"} <= set(reference[CASE])
    assert np.abs(np.stack(reference["probabilities"][:200]) - model.predict_proba(frame)).max() < 1e-6
    assert [node.name for node in session.get_inputs()] == ["categorical", "numeric"]
    out = capfd.readouterr().out
    assert "unpickling" in out
    assert "parity" in out
    assert "published" in out


@pytest.mark.parametrize("kind", ["polars", "numpy"])
def test_other_frames_are_recognised(package, bundle, kind):
    table = make_table(200, gaps=True)
    names = NUMBERS if kind == "numpy" else (*NUMBERS, *TEXTS)
    frame = in_frame(table.frame, kind, names)
    if kind == "numpy":
        model = HistGradientBoostingClassifier(max_iter=5)
    else:
        texts = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=30)
        model = make_pipeline(columns("passthrough", texts), HistGradientBoostingClassifier(max_iter=5))
        model[0].sparse_threshold = 0
    rows = table.frame.select(names).with_columns(sold=pl.Series(table.several))
    assert package(model.fit(frame, table.several), rows) == 0
    manifest, reference, _ = bundle()
    assert (manifest.frame, manifest.task, manifest.classes) == (kind, "multiclass_classification", (0, 1, 2))
    assert manifest.positive_class is None
    assert np.abs(np.stack(reference["probabilities"][:200]) - model.predict_proba(frame)).max() < 1e-6


def test_a_regressor_with_whole_numbers_and_booleans(package, bundle):
    """They stay what they are; an extreme whose value no service could answer is left out."""
    generator = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "size": generator.normal(size=150),
            "rooms": generator.integers(1, 9, 150),
            "lift": generator.random(150) < 0.5,
        }
    )
    value = frame["size"] * 3 + frame["rooms"] + frame["lift"]
    model = make_pipeline(StandardScaler(), Ridge()).fit(frame, value)
    rows = pl.DataFrame({name: frame[name].tolist() for name in frame}).with_columns(price=pl.Series(value.tolist()))
    assert package(model, rows, target="price") == 0
    manifest, reference, _ = bundle()
    assert [(f.kind, f.integer, f.nullable) for f in manifest.features] == [
        ("numeric", False, False), ("numeric", True, False), ("boolean", False, False)
    ]  # fmt: skip
    assert manifest.classes == ()
    assert np.abs(reference["value"][:150].to_numpy() - model.predict(frame)).max() < 1e-5
    assert reference["value"].is_finite().all()
    edges = reference.filter(pl.col(CASE) == "extreme:rooms")[ROW].struct.field("rooms")
    assert (edges == edges.floor()).all()
    found = manifest.distributions
    assert (found.rows, found.answered, found.answers_of, found.labels) == (150, 150, "rows", ())
    assert sum(found.score.counts) == sum(found.features["size"].counts) == 150
    assert found.features["lift"].counts == {"true": int(frame["lift"].sum()), "false": int((~frame["lift"]).sum())}


def test_encoders_that_refuse_unseen_categories_take_them_in_the_bundle_and_it_is_said(package, bundle, capfd):
    table, frame = table_of("pandas", gaps=False)
    model = make_pipeline(
        ColumnTransformer(
            [("c", OneHotEncoder(), ["colour"]), ("g", OrdinalEncoder(), ["grade"])], remainder="passthrough"
        ),
        RandomForestClassifier(5, random_state=1),
    ).fit(frame, table.binary)
    assert package(model, table.frame.with_columns(sold=pl.Series(table.binary))) == 0
    out = capfd.readouterr().out
    assert "c: OneHotEncoder(handle_unknown='error') becomes 'ignore'" in out
    assert "g: OrdinalEncoder(handle_unknown='error') encodes an unseen category as -1" in out


def test_sparse_matrices_reach_xgboost_as_they_do_in_python(package, bundle):
    table, frame = table_of("pandas", gaps=False)
    texts = OneHotEncoder(handle_unknown="ignore")
    sparse = ColumnTransformer([("t", texts, list(TEXTS))], sparse_threshold=1)
    model = make_pipeline(sparse, XGBClassifier(n_estimators=5, max_depth=3)).fit(frame, table.binary)
    assert package(model, table.frame.with_columns(sold=pl.Series(table.binary))) == 0
    _, reference, _ = bundle()
    assert np.abs(np.stack(reference["probabilities"][:200]) - model.predict_proba(frame)).max() < 1e-6


def square(values):
    return values**2


def refused_step():
    return make_pipeline(
        FunctionTransformer(square), LogisticRegression()
    ), r"FunctionTransformer\(square\) has no ONNX"


def refused_svc():
    return SVC(), "SVC gives no probabilities; wrap it in CalibratedClassifierCV"


def refused_width():
    return RandomForestRegressor().fit([[0.0], [1.0]], [0.0, 1.0]), "takes 1 columns without names, and ROWS has 3"


@pytest.mark.parametrize("refused", [refused_step, refused_svc, refused_width])
def test_what_cannot_be_converted_ends_in_one_sentence(package, tmp_path, capfd, refused):
    model, message = refused()
    table = make_table(100, gaps=False)
    if not hasattr(model, "n_features_in_"):
        model.fit(in_frame(table.frame, "numpy", NUMBERS), table.binary)
    assert package(model, table.frame.select(NUMBERS).with_columns(sold=pl.Series(table.binary))) == 1
    err = capfd.readouterr().err
    assert re.search(f"^error: .*{message}", err, re.MULTILINE)
    assert err.endswith("nothing was published\n")
    assert "Traceback" not in err
    assert not list((tmp_path / "models").glob("*.json"))


def test_missing_columns_and_wrong_targets_are_named(package, capfd):
    table, frame = table_of("pandas", gaps=False)
    model = LogisticRegression(max_iter=20).fit(frame[list(NUMBERS)], table.binary)
    rows = table.frame.select("weight", "age").with_columns(sold=pl.Series(table.binary))
    assert package(model, rows) == 1
    assert "ROWS has no column 'mean radius'" in capfd.readouterr().err
    assert package(model, rows, target="bought") == 1
    assert "column 'bought' is missing; there are " in capfd.readouterr().err


class Doubler(BaseEstimator, TransformerMixin):
    """A step that nobody has a converter for."""

    def fit(self, values, target=None):
        self.fitted_ = True
        return self

    def transform(self, values):
        return np.asarray(values) * 2


def test_all_that_is_wrong_is_said_at_once(package, capfd):
    table, frame = table_of("pandas", gaps=False)
    others = ("others", OneHotEncoder(), ["mean radius", "colour", "grade"])
    several = ColumnTransformer([("twice", Doubler(), ["weight"]), ("again", Doubler(), ["age"]), others])
    model = make_pipeline(several, LogisticRegression()).fit(frame, table.binary)
    assert package(model, table.frame.select("weight", "age").with_columns(sold=pl.Series(table.binary))) == 1
    err = capfd.readouterr().err
    assert "error: Doubler (step 'twice') has no ONNX converter here\n" in err
    assert "error: Doubler (step 'again') has no ONNX converter here\n" in err
    assert "error: ROWS has no column 'mean radius', 'colour', 'grade'" in err


def test_columns_that_the_pipeline_drops_are_no_features(package, bundle, capfd):
    """Among them the target, where the pipeline was fitted on the whole table."""
    table, frame = table_of("pandas", gaps=False)
    frame = frame.assign(sold=table.binary)
    kept = ColumnTransformer([("numbers", StandardScaler(), ["age", "weight"]), ("rest", "drop", ["grade"])])
    model = make_pipeline(kept, LogisticRegression()).fit(frame, table.binary)
    assert package(model, table.frame.select("weight", "age").with_columns(sold=pl.Series(table.binary))) == 0
    manifest, reference, _ = bundle()
    assert [feature.name for feature in manifest.features] == ["weight", "age"]
    assert np.abs(np.stack(reference["probabilities"][:200]) - model.predict_proba(frame)).max() < 1e-6
    passed = ColumnTransformer([("numbers", StandardScaler(), ["age"])], remainder="passthrough")
    model = make_pipeline(passed, LogisticRegression()).fit(frame[["age", "weight", "sold"]], table.binary)
    rows = table.frame.select("weight", "age").with_columns(sold=pl.Series(table.binary))
    assert package(model, rows) == 1
    assert "error: TARGET=sold is one of the columns that the pipeline was fitted on" in capfd.readouterr().err


@pytest.mark.parametrize(
    "chosen", [slice("weight", "age"), slice(None, "age"), slice(0, 3), [0, 1, 2], [True] * 3 + [False] * 2]
)
def test_columns_may_be_chosen_by_a_range_by_place_and_by_a_mask(package, bundle, chosen):
    table, frame = table_of("pandas", gaps=False)
    assert list(frame.columns) == [*NUMBERS, *TEXTS]
    model = make_pipeline(ColumnTransformer([("numbers", StandardScaler(), chosen)]), LogisticRegression())
    assert package(model.fit(frame, table.binary), table.frame.with_columns(sold=pl.Series(table.binary))) == 0
    _, reference, _ = bundle()
    assert np.abs(np.stack(reference["probabilities"][:200]) - model.predict_proba(frame)).max() < 1e-6


@pytest.mark.parametrize(
    ("labels", "written"),
    [
        (["01", "02"], ["01", "02"]),
        (["false", "true"], ["false", "true"]),
        ([False, True], ["0", "1"]),
        ([False, True], ["False", "True"]),
        ([0, 1], ["0", "1.0"]),
        (["NA", "EU"], ["NA", "EU"]),
    ],
)
def test_labels_in_a_csv_file_are_read_as_the_model_has_them(tmp_path, labels, written):
    values = np.arange(40) / 8
    model = LogisticRegression().fit(pd.DataFrame({"x": values}), np.array(labels)[np.arange(40) // 20])
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(model))
    lines = [f"{value},{written[i // 20]}" for i, value in enumerate(values)]
    (tmp_path / "rows.csv").write_text("\n".join(["x,sold", *lines, ""]))
    given = ["--pipeline", str(tmp_path / "m.pkl"), "--rows", str(tmp_path / "rows.csv"), "--target", "sold"]
    assert main([*given, "--models", str(tmp_path / "models")]) == 0
    manifest = read_manifest(tmp_path / "models")
    assert sorted(map(str, manifest.classes)) == sorted(map(str, labels))
    reference = pl.read_parquet(tmp_path / "models" / manifest.artifacts["reference"].file)
    expected = [manifest.classes.index(labels[i // 20]) for i in range(40)]
    assert reference["target"][:40].to_list() == expected


@pytest.mark.parametrize("number", [1e300, float("inf"), -3.5e38])
def test_a_number_that_services_refuse_is_named(package, capfd, number):
    model = LogisticRegression().fit(pd.DataFrame({"x": range(40)}), [0, 1] * 20)
    rows = pl.DataFrame({"x": [0.5, None, number], "sold": [0, 1, 0]})
    assert package(model, rows) == 1
    assert f"column 'x' of ROWS, row 2: {number:g} is beyond the range of float32" in capfd.readouterr().err


def test_labels_of_a_graph_are_not_put_in_another_order(package, capfd):
    table = make_table(150, gaps=False)
    numbers = table.frame.select("weight", "age").to_numpy()
    model = LogisticRegression().fit(numbers, np.array(["low", "mid", "top"])[table.several])
    graph = to_onnx(model, numbers.astype(np.float32)[:1], options={"zipmap": False})
    rows = table.frame.select("weight", "age").with_columns(sold=pl.Series(table.several))
    assert package(graph, rows, "--classes", "mid,low,top") == 1
    said = capfd.readouterr().err
    assert "the graph has the same labels in another order, low,mid,top; leave CLASSES out" in said
    assert package(graph, None, "--names", "weight,age", "--classes", "a,b,c") == 0


@pytest.mark.parametrize("more", [["--classes", "a,b"], ["--names", "x"], ["--task", "regression"]])
def test_what_only_a_graph_needs_is_refused_for_a_pipeline(package, capfd, more):
    model = LogisticRegression().fit(pd.DataFrame({"x": range(40)}), [0, 1] * 20)
    with pytest.raises(SystemExit, match="2"):
        package(model, pl.DataFrame({"x": range(40), "sold": [0, 1] * 20}), *more)
    assert f"{more[0]} is for --onnx only" in capfd.readouterr().err


def test_positive_and_threshold_decide_the_label(package, bundle):
    table = make_table(150, gaps=False)
    model = LogisticRegression(max_iter=50).fit(
        in_frame(table.frame, "numpy", NUMBERS), np.where(table.binary, "y", "n")
    )
    rows = table.frame.select(NUMBERS).with_columns(sold=pl.Series(np.where(table.binary, "y", "n")))
    assert package(model, rows, "--positive", "n", "--threshold", "0.7") == 0
    manifest, reference, _ = bundle()
    assert (manifest.positive_class, manifest.decision_threshold) == ("n", 0.7)
    probabilities = np.stack(reference["probabilities"].to_list())
    assert reference["label"].to_list() == np.where(probabilities[:, 0] >= np.float32(0.7), 0, 1).tolist()


def test_skl2onnx_graph_with_one_input_and_zipmap(package, bundle):
    table = make_table(150, gaps=False)
    matrix = in_frame(table.frame, "numpy", NUMBERS).astype(np.float32)
    labels = np.array(["low", "middle", "high"])[table.several]
    model = RandomForestClassifier(5, random_state=1).fit(matrix, labels)
    graph = to_onnx(model, matrix[:1], target_opset=15)
    rows = table.frame.select(NUMBERS).with_columns(sold=pl.Series(labels))
    assert package(graph, rows) == 0
    manifest, reference, session = bundle()
    assert manifest.classes == tuple(model.classes_)
    assert [feature.name for feature in manifest.features] == list(NUMBERS)
    assert set(manifest.artifacts) == {"onnx", "onnx_packed", "reference"}
    assert [node.name for node in session.get_inputs()] == ["numeric"]
    assert np.abs(np.stack(reference["probabilities"][:150]) - model.predict_proba(matrix)).max() < 1e-6


def network(outputs, *, fixed=False):
    """A graph as torch.onnx exports a small tabular network: Gemm, Relu, Gemm, one float input."""
    generator = np.random.default_rng(3)
    weights = {
        "fc1.weight": generator.normal(size=(8, 3)), "fc1.bias": generator.normal(size=8),
        "fc2.weight": generator.normal(size=(outputs, 8)), "fc2.bias": generator.normal(size=outputs),
    }  # fmt: skip
    nodes = [
        helper.make_node("Gemm", ["input", "fc1.weight", "fc1.bias"], ["hidden"], transB=1),
        helper.make_node("Relu", ["hidden"], ["relu"]),
        helper.make_node("Gemm", ["relu", "fc2.weight", "fc2.bias"], ["output"], transB=1),
    ]
    rows = 1 if fixed else "batch"
    body = helper.make_graph(
        nodes, "main_graph", [helper.make_tensor_value_info("input", TensorProto.FLOAT, [rows, 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [rows, outputs])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )  # fmt: skip
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


@pytest.mark.parametrize(
    ("outputs", "more", "task", "classes"),
    [
        (3, ["--classes", "a,b,c"], "multiclass_classification", ("a", "b", "c")),
        (2, [], "binary_classification", (0, 1)),
        (1, ["--task", "binary_classification", "--classes", "no,yes"], "binary_classification", ("no", "yes")),
        (1, [], "regression", ()),
    ],
)
def test_a_network_s_logits_become_probabilities(package, bundle, outputs, more, task, classes):
    graph = network(outputs)
    assert package(graph, None, "--names", "weight,mean radius,age", *more) == 0
    manifest, reference, session = bundle()
    assert (manifest.task, manifest.classes) == (task, classes)
    assert manifest.distributions is None  # no rows were given, and made-up ones say nothing of traffic
    assert [feature.name for feature in manifest.features] == ["weight", "mean radius", "age"]
    rows = np.stack([list(row.values()) for row in reference[ROW][:50]]).astype(np.float32)
    (raw,) = onnxruntime.InferenceSession(graph.SerializeToString()).run(None, {"input": rows})
    if task == "regression":
        assert np.allclose(reference["value"][:50], raw[:, 0], rtol=1e-5)
        return
    powers = (
        np.exp(raw.astype(float)) if outputs > 1 else np.column_stack([np.ones(50), np.exp(raw[:, 0].astype(float))])
    )
    expected = powers / powers.sum(axis=1, keepdims=True)
    assert np.abs(np.stack(reference["probabilities"][:50]) - expected).max() < 1e-6
    got = dict(zip([o.name for o in session.get_outputs()], session.run(None, {"numeric": rows}), strict=True))
    assert np.abs(got["probabilities"] - expected).max() < 1e-6


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--names", "a,b"], "NAMES has 2 different names, and the graph takes 3 columns"),
        (["--classes", "x,y,x"], "CLASSES=x,y,x: a label is there twice"),
        (["--classes", "x,y"], "CLASSES has 2 labels, and the graph gives probabilities of 3 classes"),
        (["--task", "regression"], "TASK=regression, but the graph gives 3 numbers for a row"),
    ],
)
def test_what_does_not_fit_a_graph_is_said(package, capfd, more, message):
    assert package(network(3), None, *more) == 1
    assert message in capfd.readouterr().err


def test_a_graph_whose_answers_depend_on_the_batch_is_refused(package, capfd):
    """As dynamic quantisation does it: what is divided by is the largest number of all rows."""
    graph = network(3)
    graph.graph.node.insert(0, helper.make_node("ReduceMax", ["input"], ["largest"], keepdims=0))
    graph.graph.node.insert(1, helper.make_node("Div", ["input", "largest"], ["scaled"]))
    graph.graph.node[2].input[0] = "scaled"
    assert package(graph, None) == 1
    assert "depends on the rows beside it" in capfd.readouterr().err


def test_wrong_usage(tmp_path, capfd):
    with pytest.raises(SystemExit, match="2"):
        main(["--models", str(tmp_path)])
    assert "--pipeline or --onnx is needed" in capfd.readouterr().err
    (tmp_path / "no.pkl").write_bytes(b"no pickle")
    pl.DataFrame({"a": [1], "d": [dt.date(2020, 1, 1)]}).write_csv(tmp_path / "r.csv")
    arguments = ["--pipeline", str(tmp_path / "no.pkl"), "--rows", str(tmp_path / "r.csv"), "--target", "a"]
    assert main([*arguments, "--models", str(tmp_path / "m")]) == 1
    assert "can't be unpickled" in capfd.readouterr().err


def test_rows_in_a_csv_file_are_read_strictly_and_rare_values_are_known_but_not_published(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(
        'kind,"flag",day,code\n' + 'a,true,2024-01-01,"7"\n' * 12 + '"",,,\n' * 3 + "z,false,2024-01-02,8\n"
    )
    rows = read_rows(path)
    assert rows.schema == {"kind": pl.String, "flag": pl.Boolean, "day": pl.Date, "code": pl.Float64}
    assert rows.null_count().row(0) == (3, 3, 3, 3)
    feature = describe(rows["kind"], nullable=True)
    assert (feature.categories, feature.rare, feature.example) == (("a",), ("z",), "a")
    path.write_text("kind,flag\na,true\nb\n")
    with pytest.raises(ConversionError, match=r"ROWS=.*rows\.csv, line 3: 1 field, but the header has 2"):
        read_rows(path)


@pytest.mark.parametrize(
    "names",
    [["label", "label_", "probabilities"], ["probabilities1", "variable", "features"], ["value", "0", "numeric"]],
)
def test_columns_called_like_tensors_of_a_graph(package, bundle, names):
    rows = pd.DataFrame(np.random.default_rng(5).normal(size=(60, 3)), columns=names)
    rows["case"] = np.where(rows[names[0]] > 0, "a", "b")
    label = (rows[names[0]] + rows[names[1]] > 0).astype(int)
    texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    transformer = ColumnTransformer([("texts", texts, ["case"]), ("numbers", StandardScaler(), names)])
    for estimator, used in (
        (make_pipeline(transformer, LogisticRegression()), [*names, "case"]),
        (make_pipeline(StandardScaler(), LogisticRegression()), names),
    ):
        estimator.fit(rows[used], label)
        assert package(estimator, pl.DataFrame(rows[used].to_dict("list")).with_columns(sold=pl.Series(label))) == 0
        manifest, _, _ = bundle()
        assert [feature.name for feature in manifest.features] == used
        inputs = [feature.graph_input or feature.name for feature in manifest.features]
        assert len({*inputs, "label", "probabilities", "value"}) == len(used) + 3


def test_rows_of_extreme_size_that_the_pipeline_refuses_are_no_reference_rows(package, bundle):
    """A scaled number may be beyond float32, which gradient boosting refuses with an exception."""
    rows = pd.DataFrame({"x": np.random.default_rng(6).normal(scale=0.01, size=80)})
    label = (rows["x"] > 0).astype(int)
    estimator = make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=3)).fit(rows, label)
    with pytest.raises(ValueError, match="too large"):
        estimator.predict(pd.DataFrame({"x": [3e38]}))
    assert package(estimator, pl.DataFrame(rows.to_dict("list")).with_columns(sold=pl.Series(label))) == 0
    _, reference, _ = bundle()
    assert reference[ROW].struct.field("x").abs().max() < 3e38


@pytest.mark.parametrize(
    ("estimator", "message"),
    [(Ridge(), "predicts 2 values for a row"), (RandomForestClassifier(2), "predicts several targets")],
)
def test_several_targets_are_refused(package, capfd, estimator, message):
    rows = pd.DataFrame({"x": range(40)})
    target = np.column_stack([rows["x"] % 2, rows["x"] % 3])
    assert package(estimator.fit(rows, target), pl.DataFrame({"x": range(40), "sold": [0, 1] * 20})) == 1
    assert message in capfd.readouterr().err


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"model": 1}, "holds dict, which is no classifier or regressor"),
        (LogisticRegression, "holds the class LogisticRegression, which is no"),
        (LogisticRegression(), "is not fitted"),
        (make_pipeline(StandardScaler(), Ridge()), "is not fitted"),
    ],
)
def test_pickles_of_something_else_are_refused(package, tmp_path, capfd, model, message):
    assert package(model, pl.DataFrame({"x": [1.0, 2.0], "sold": [0, 1]})) == 1
    assert message in capfd.readouterr().err
    assert not list((tmp_path / "models").glob("*.json"))


def test_a_target_without_a_label_of_the_model_is_refused(package, capfd):
    rows = pd.DataFrame({"x": range(40)})
    model = LogisticRegression().fit(rows, ["no", "yes"] * 20)
    assert package(model, pl.DataFrame({"x": range(40), "sold": range(40)})) == 1
    err = capfd.readouterr().err
    assert "TARGET=sold: no row has a label of the model, 'no' or 'yes'; there are " in err
    assert "Recode the column, or give an ONNX graph's labels in CLASSES=" in err


def test_labels_that_differ_in_case_only_stay_apart(package, bundle):
    rows = pd.DataFrame({"x": range(40)})
    label = ["a"] * 20 + ["A"] * 20
    model = LogisticRegression().fit(rows, label)
    assert package(model, pl.DataFrame({"x": range(40), "sold": label})) == 0
    manifest, reference, _ = bundle()
    assert manifest.classes == ("A", "a")
    assert reference.filter(pl.col(CASE) == "held_out")["target"].to_list() == [1] * 20 + [0] * 20


def test_a_regressor_s_target_must_be_a_number(package, capfd):
    rows = pd.DataFrame({"x": range(40)})
    assert package(Ridge().fit(rows, rows["x"]), pl.DataFrame({"x": range(40), "sold": ["a"] * 40})) == 1
    assert "TARGET=sold: the model predicts a number, and ROWS has String" in capfd.readouterr().err


def test_a_target_that_rows_for_a_graph_do_not_have_is_named(package, capfd):
    rows = pl.DataFrame({"a": [0.5], "b": [1.0], "c": [1.5], "kind": [0]})
    assert package(network(1), rows, target="kid") == 1
    assert "column 'kid' is missing; there are 'a', 'b', 'c', 'kind'" in capfd.readouterr().err
    assert package(network(1), rows.with_columns(more=pl.lit(1.0)), target="kind") == 1
    said = capfd.readouterr().err
    assert "ROWS has 4 columns beside the target, and the graph takes 3; NAMES= names those that it takes" in said


def test_a_graph_that_takes_only_one_row_is_refused(package, tmp_path, capfd):
    assert package(network(1, fixed=True), None, "--names", "a,b,c") == 1
    assert "rows at once; is its batch dimension dynamic?" in capfd.readouterr().err
    assert not list((tmp_path / "models").glob("*.json"))


def test_rows_without_a_row_are_refused(package, capfd):
    model = LogisticRegression().fit(pd.DataFrame({"x": range(40)}), [0, 1] * 20)
    assert package(model, pl.DataFrame({"x": [], "sold": []}, schema={"x": pl.Int64, "sold": pl.Int64})) == 1
    assert "has no rows to check the model on" in capfd.readouterr().err


def test_a_category_that_reads_like_a_token_is_told_apart_from_a_missing_one():
    text = "\N{REPLACEMENT CHARACTER}missing"
    column = pl.Series("c", [text] * 12 + ["b"] * 12 + [None] * 3)
    tokens = tokens_for([describe(column, nullable=True)])
    assert tokens.missing == f"{text}1"
    assert tokens.unseen == "\N{REPLACEMENT CHARACTER}unseen"
