"""Every estimator and encoder that is said to convert gives in the graph what it gives in Python, odd rows included."""

import numpy as np
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from xgboost import XGBClassifier, XGBRegressor

from tests.training.export.tables import MISSING, NUMBERS, TEXTS, in_frame, inputs_of, make_table, run, with_unseen
from training.export.estimators import threshold_of
from training.export.named_graph import named_graph
from training.export.rewrite.outputs import Decision
from training.export.rewrite.packing import pack

ALL = (*NUMBERS, *TEXTS)
TREES = {"n_estimators": 10, "random_state": 1}


def check(estimator, table, target, kind, columns, decision):
    """Fit, convert, and compare both graphs with the estimator on training rows and odd ones."""
    estimator.fit(in_frame(table.frame, kind, columns), target)
    named = named_graph("made_up", estimator, inputs_of(columns), decision, missing=MISSING)
    rows = with_unseen(table.odd.vstack(table.frame)) if set(TEXTS) & set(columns) else table.odd.vstack(table.frame)
    features = in_frame(rows, kind, columns)
    for model in (named, pack(named)):
        got = run(model.SerializeToString(), rows, columns)
        if decision.classes == 0:
            expected = np.asarray(estimator.predict(features)).ravel()
            assert got["value"].shape == (rows.height,)
            fits = np.abs(expected) < 3.4e38
            difference = np.abs(got["value"] - expected)[fits]
            assert np.all(difference <= 1e-5 * np.maximum(1, np.abs(expected[fits])))
            assert fits.sum() >= rows.height - 4
            continue
        expected = estimator.predict_proba(features)
        assert np.abs(got["probabilities"] - expected).max() <= 1e-6
        labels = np.searchsorted(estimator.classes_, estimator.predict(features))
        assert got["label"].tolist() == labels.tolist()
    return named


def binary(threshold=0.5):
    return Decision(2, 1, float(np.nextafter(np.float32(threshold), np.float32(1))))


CLASSIFIERS = {
    "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "logistic unscaled": lambda: LogisticRegression(max_iter=20),
    "mlp": lambda: make_pipeline(MinMaxScaler(), MLPClassifier((8, 4), max_iter=20, random_state=1)),
    "svc": lambda: make_pipeline(StandardScaler(), CalibratedClassifierCV(SVC(), cv=3)),
    "svc isotonic": lambda: make_pipeline(RobustScaler(), CalibratedClassifierCV(SVC(), method="isotonic", cv=2)),
    "linear svc": lambda: make_pipeline(StandardScaler(), CalibratedClassifierCV(LinearSVC(), cv=2)),
    "calibrated forest": lambda: CalibratedClassifierCV(RandomForestClassifier(5, random_state=1), cv=2),
    "calibrated boosting": lambda: CalibratedClassifierCV(GradientBoostingClassifier(n_estimators=5), cv=2),
    "temperature": lambda: CalibratedClassifierCV(LogisticRegression(max_iter=20), method="temperature", cv=2),
    "ridge classifier": lambda: CalibratedClassifierCV(RidgeClassifier(), cv=2),
    "tree": lambda: DecisionTreeClassifier(max_depth=4),
    "forest": lambda: RandomForestClassifier(**TREES),
    "scaled forest": lambda: make_pipeline(StandardScaler(), RandomForestClassifier(**TREES)),
    "extra trees": lambda: ExtraTreesClassifier(**TREES),
    "boosting": lambda: GradientBoostingClassifier(**TREES),
    "hist": lambda: HistGradientBoostingClassifier(max_iter=10),
    "scaled hist": lambda: make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=10)),
    "xgboost": lambda: XGBClassifier(n_estimators=10, max_depth=3),
    "scaled xgboost": lambda: make_pipeline(StandardScaler(), XGBClassifier(n_estimators=10, max_depth=3)),
    "xgboost base score": lambda: XGBClassifier(n_estimators=10, max_depth=1, base_score=0.3),
    "xgboost one leaf": lambda: XGBClassifier(n_estimators=3, gamma=1e9),
    "xgboost no split": lambda: XGBClassifier(n_estimators=3, max_depth=1, min_child_weight=1e6),
    "lightgbm": lambda: LGBMClassifier(n_estimators=10, verbose=-1),
    "polynomials": lambda: make_pipeline(StandardScaler(), PolynomialFeatures(2), LogisticRegression()),
    "grid": lambda: GridSearchCV(LogisticRegression(max_iter=20), {"C": [0.1, 1]}, cv=2),
}
TAKES_GAPS = {
    "tree",
    "forest",
    "scaled forest",
    "extra trees",
    "hist",
    "scaled hist",
    "xgboost",
    "scaled xgboost",
    "xgboost base score",
    "lightgbm",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "target"),
    [
        (name, target)
        for name in CLASSIFIERS
        for target in ("binary", "several")
        if name != "xgboost base score" or target == "binary"
    ],
)
def test_classifiers(name, target):
    table = make_table(gaps=name in TAKES_GAPS)
    decision = binary() if target == "binary" else Decision(3)
    check(CLASSIFIERS[name](), table, getattr(table, target), "numpy", NUMBERS, decision)


REGRESSORS = {
    "linear": LinearRegression,
    "ridge": lambda: make_pipeline(StandardScaler(), Ridge()),
    "mlp": lambda: make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(8,), max_iter=20, random_state=1)),
    "svr": lambda: make_pipeline(StandardScaler(), SVR()),
    "tree": lambda: DecisionTreeRegressor(max_depth=5),
    "forest": lambda: RandomForestRegressor(**TREES),
    "extra trees": lambda: ExtraTreesRegressor(**TREES),
    "boosting": lambda: GradientBoostingRegressor(**TREES),
    "hist": lambda: HistGradientBoostingRegressor(max_iter=10),
    "hist poisson": lambda: HistGradientBoostingRegressor(max_iter=10, loss="poisson"),
    "xgboost": lambda: XGBRegressor(n_estimators=10, max_depth=3),
    "xgboost base score": lambda: XGBRegressor(n_estimators=10, max_depth=3, base_score=1234.5),
    "xgboost poisson": lambda: XGBRegressor(n_estimators=10, max_depth=3, objective="count:poisson"),
    "xgboost logistic": lambda: XGBRegressor(n_estimators=10, max_depth=3, objective="reg:logistic"),
    "xgboost one leaf": lambda: XGBRegressor(n_estimators=2, max_depth=3, gamma=1e9),
    "xgboost forest": lambda: XGBRegressor(n_estimators=3, num_parallel_tree=4, subsample=0.5),
    "lightgbm": lambda: LGBMRegressor(n_estimators=10, verbose=-1),
    "lightgbm poisson": lambda: LGBMRegressor(n_estimators=10, verbose=-1, objective="poisson"),
    "lightgbm forest": lambda: LGBMRegressor(
        n_estimators=5, verbose=-1, boosting_type="rf", bagging_freq=1, bagging_fraction=0.6
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors(name):
    table = make_table(gaps=name.split()[0] in TAKES_GAPS)
    target = 1 / (1 + np.exp(-table.value)) if name.split()[-1] in ("poisson", "logistic") else table.value * 100
    check(REGRESSORS[name](), table, target, "numpy", NUMBERS, Decision(0))


def columns_of(numbers, texts):
    return ColumnTransformer([("numbers", numbers, list(NUMBERS)), ("texts", texts, list(TEXTS))])


ENCODERS = {
    "one-hot": lambda: OneHotEncoder(handle_unknown="ignore"),
    "one-hot dense": lambda: OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    "one-hot frequent": lambda: OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=60),
    "one-hot few": lambda: OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=2),
    "one-hot without first": lambda: OneHotEncoder(handle_unknown="ignore", drop="first"),
    "ordinal": lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
    "ordinal frequent": lambda: OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, min_frequency=60, encoded_missing_value=-2
    ),
    "target means": lambda: TargetEncoder(random_state=1),
    "imputed one-hot": lambda: make_pipeline(
        SimpleImputer(strategy="most_frequent", missing_values=MISSING_OF["now"]),
        OneHotEncoder(handle_unknown="ignore"),
    ),
    "filled one-hot": lambda: make_pipeline(
        SimpleImputer(strategy="constant", fill_value="none", missing_values=MISSING_OF["now"]),
        OneHotEncoder(handle_unknown="ignore"),
    ),
}
MISSING_OF = {"now": None}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["pandas", "polars"])
@pytest.mark.parametrize("name", ENCODERS)
def test_encoders(name, kind):
    table = make_table(gaps=True)
    MISSING_OF["now"] = np.nan if kind == "pandas" else None
    pipeline = make_pipeline(
        columns_of(make_pipeline(SimpleImputer(), StandardScaler()), ENCODERS[name]()), LogisticRegression(max_iter=200)
    )
    check(pipeline, table, table.binary, kind, ALL, binary())


NUMBER_STEPS = {
    "median": lambda: SimpleImputer(strategy="median"),
    "constant": lambda: SimpleImputer(strategy="constant", fill_value=-7.5),
    "indicator": lambda: SimpleImputer(add_indicator=True),
    "one-hot": lambda: OneHotEncoder(handle_unknown="ignore"),
    "one-hot frequent": lambda: OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=6),
    "ordinal": lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
    "passed": lambda: "passthrough",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NUMBER_STEPS)
def test_steps_for_numbers(name):
    table = make_table(gaps=True)
    pipeline = make_pipeline(
        columns_of(NUMBER_STEPS[name](), OneHotEncoder(handle_unknown="ignore", sparse_output=False)),
        XGBClassifier(n_estimators=10, max_depth=3),
    )
    check(pipeline, table, table.binary, "pandas", ALL, binary())


@pytest.mark.filterwarnings("ignore")
def test_hist_gradient_boosting_with_categories_of_its_own():
    table = make_table(gaps=True)
    pipeline = make_pipeline(
        columns_of("passthrough", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)),
        HistGradientBoostingClassifier(max_iter=10, categorical_features=[2, 3, 4]),
    )
    check(pipeline, table, table.several, "pandas", ALL, Decision(3))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("last", [FixedThresholdClassifier, TunedThresholdClassifierCV])
def test_decision_thresholds(last):
    table = make_table(gaps=False)
    options = (
        {"threshold": 0.3, "response_method": "predict_proba"}
        if last is FixedThresholdClassifier
        else {"response_method": "predict_proba"}
    )
    pipeline = make_pipeline(StandardScaler(), last(LogisticRegression(), **options))
    pipeline.fit(in_frame(table.frame, "numpy", NUMBERS), table.binary)
    threshold = threshold_of(pipeline)
    assert threshold == pipeline[-1].threshold if last is FixedThresholdClassifier else pipeline[-1].best_threshold_
    check(pipeline, table, table.binary, "numpy", NUMBERS, Decision(2, 1, threshold))


@pytest.mark.filterwarnings("ignore")
def test_pipeline_inside_frozen_inside_calibrated():
    table = make_table(gaps=True)
    inner = make_pipeline(
        columns_of(SimpleImputer(), OneHotEncoder(handle_unknown="ignore")), LogisticRegression(max_iter=200)
    ).fit(in_frame(table.frame, "pandas", ALL), table.binary)
    check(CalibratedClassifierCV(FrozenEstimator(inner)), table, table.binary, "pandas", ALL, binary())
