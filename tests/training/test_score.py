"""Scores by name: what they are, which task they are for, and what they say of wrong names."""

import numpy as np
import pytest
from sklearn import metrics

from training.errors import TrainingError
from training.model.evaluation import Scored
from training.model.score import DEFAULTS, number_text, parse_score
from training.model.worth import judge

BINARY, MULTI, REGRESSION = "binary_classification", "multiclass_classification", "regression"
TARGET = np.array([0, 1, 0, 1, 1, 0])
PROBABILITY = np.array([0.1, 0.9, 0.4, 0.35, 0.8, 0.6], dtype=np.float32)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("f2", metrics.fbeta_score(TARGET, PROBABILITY >= 0.5, beta=2)),
        ("f0.5", metrics.fbeta_score(TARGET, PROBABILITY >= 0.5, beta=0.5)),
        ("f1", metrics.f1_score(TARGET, PROBABILITY >= 0.5)),
        ("accuracy", metrics.accuracy_score(TARGET, PROBABILITY >= 0.5)),
        ("roc_auc", metrics.roc_auc_score(TARGET, PROBABILITY)),
        ("average_precision", metrics.average_precision_score(TARGET, PROBABILITY)),
        ("neg_log_loss", -metrics.log_loss(TARGET, PROBABILITY.astype(float))),
    ],
)
def test_scores_of_two_classes(name, expected):
    assert parse_score(name, BINARY)(TARGET, PROBABILITY, 0.5) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "needs"), [("f2", True), ("accuracy", True), ("roc_auc", False), ("neg_log_loss", False)]
)
def test_scores_of_labels_need_a_threshold(name, needs):
    assert parse_score(name, BINARY).needs_threshold is needs


def test_scores_of_the_other_tasks():
    target = np.array([0, 2, 1, 1])
    output = np.array([[0.8, 0.1, 0.1], [0.2, 0.3, 0.5], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1]], dtype=np.float32)
    assert parse_score("accuracy", MULTI)(target, output) == 0.75
    assert not parse_score("accuracy", MULTI).needs_threshold
    values = np.array([1.0, 2.0, 4.0])
    assert parse_score("neg_mean_absolute_error", REGRESSION)(values, values.astype(np.float32) + 1) == -1


@pytest.mark.parametrize("task", DEFAULTS)
def test_each_task_has_a_default(task):
    assert parse_score("", task).name == DEFAULTS[task]


def test_labels_are_as_people_write_them():
    assert [parse_score(name, BINARY).label for name in ("f2", "f0.5", "roc_auc")] == ["F2", "F0.5", "roc_auc"]


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("rocauc", BINARY, "did you mean roc_auc"),
        ("xyz", REGRESSION, "for example r2"),
        ("f2", REGRESSION, "F-beta is for two classes"),
        ("f2", MULTI, "F-beta is for two classes"),
        ("f0", BINARY, "F-beta is for two classes"),
        ("roc_auc", MULTI, "not for multiclass classification"),
        ("accuracy", REGRESSION, "not for regression"),
    ],
)
def test_wrong_names_are_told_with_a_right_one(name, task, message):
    with pytest.raises(TrainingError, match=f"SCORE={name}: .*{message}"):
        parse_score(name, task)


def test_a_model_that_has_learnt_something_is_worth_it():
    generator = np.random.default_rng(0)
    target = generator.integers(0, 2, 500)
    output = np.clip(0.3 + 0.4 * target + generator.normal(0, 0.2, 500), 0, 1).astype(np.float32)
    worth = judge(parse_score("f2", BINARY), target, Scored(target, output), 0.4)
    assert worth.warnings() == []
    assert worth.score > worth.trivial


def test_noise_and_a_single_answer_are_told():
    generator = np.random.default_rng(0)
    target = generator.integers(0, 2, 500)
    worth = judge(parse_score("f2", BINARY), target, Scored(target, np.full(500, 0.5, dtype=np.float32)), 0.4)
    nothing, alike = worth.warnings()
    assert "the model has learnt nothing that shows: F2" in nothing
    assert "every held-out row gets the same answer, class index 1" in alike


def test_a_regression_has_no_single_answer_to_tell():
    target = np.arange(50.0)
    worth = judge(parse_score("r2", REGRESSION), target, Scored(target, target.astype(np.float32)), None)
    assert worth.warnings() == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.81234, "0.8123"), (0.0, "0.0000"), (-59130.7221, "-59,130.7"), (0.000029, "3e-05"), (999.99999, "1000.0000")],
)
def test_scores_of_any_size_are_written_so_that_they_say_something(value, text):
    assert number_text(value) == text
