"""Scores and the threshold, against scikit-learn and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from training.model import evaluation
from training.model.evaluation import Scored, calibrated, f_beta_curve, measure, standard_error, trivial_output, tuned
from training.model.score import parse_score

F2 = parse_score("f2", "binary_classification")

FEW_SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])
ANY_SCORE = st.floats(0, 1, width=32)


@st.composite
def scored_rows(draw):
    """Targets with both classes, and their scores: with many ties, with none, or neighbouring floats."""
    neighbours = st.integers(0, 8).map(lambda steps: float(np.float32(0.5) + steps * np.float32(2**-24)))
    scores = draw(st.sampled_from([FEW_SCORES, ANY_SCORE, neighbours]))
    rows = draw(st.lists(st.tuples(st.integers(0, 1), scores), min_size=1, max_size=30))
    rows += [(1, draw(scores))] if draw(st.booleans()) else [(1, draw(scores)), (0, draw(scores))]
    target, probability = zip(*rows, strict=True)
    return np.array(target), np.array(probability, dtype=np.float32)


def best_threshold(target, probability):
    return evaluation.best_threshold(F2, target, probability)


def tuned_f_beta(target, probability):
    return tuned(F2, target, probability)


def score(target, probability, threshold):
    return measure(F2, Scored(target, probability), threshold)


def f2(target, probability, threshold):
    return metrics.fbeta_score(target, probability >= np.float32(threshold), beta=2, zero_division=0)


@given(scored_rows())
@settings(max_examples=60, deadline=None)
def test_curve_has_the_f2_of_every_distinct_score(rows):
    target, probability = rows
    thresholds, scores = f_beta_curve(target, probability, 2.0)
    assert thresholds.tolist() == sorted(set(probability.tolist()), reverse=True)
    assert scores == pytest.approx([f2(target, probability, threshold) for threshold in thresholds])


@given(scored_rows())
@settings(max_examples=60, deadline=None)
def test_tuned_f2_is_that_of_the_rows_at_their_threshold(rows):
    target, probability = rows
    assert tuned_f_beta(target, probability) == pytest.approx(
        f2(target, probability, best_threshold(target, probability))
    )


def drawn_rows(seed, rows=20_000):
    """Scores that are the very probabilities of their rows' targets."""
    generator = np.random.default_rng(seed)
    probability = generator.beta(0.5, 1.5, rows).astype(np.float32)
    return (generator.random(rows) < probability).astype(int), probability


@pytest.mark.parametrize("seed", range(5))
def test_threshold_of_calibrated_scores_is_a_fifth_of_the_best_f2(seed):
    target, probability = drawn_rows(seed)
    threshold = best_threshold(target, probability)
    assert threshold == pytest.approx(tuned_f_beta(target, probability) / 5, abs=0.01)


@pytest.mark.parametrize("distort", [np.sqrt, np.square, lambda p: p / (p + 3 * (1 - p))])
def test_distorted_scores_are_cut_at_nearly_the_same_rows(distort):
    target, probability = drawn_rows(7)
    distorted = distort(probability).astype(np.float32)
    best = f_beta_curve(target, distorted, 2.0)[1].max()
    assert best - 0.005 <= tuned_f_beta(target, distorted) <= best


@pytest.mark.parametrize("seed", range(3))
def test_calibrated_scores_stay_as_they_are(seed):
    target, probability = drawn_rows(seed)
    assert calibrated(target, probability) == pytest.approx(probability, abs=0.03)


@given(scored_rows())
@settings(max_examples=150, deadline=None)
def test_best_threshold_is_a_float32_between_two_scores(rows):
    target, probability = rows
    threshold = best_threshold(target, probability)
    assert float(np.float32(threshold)) == threshold
    above = probability[probability >= np.float32(threshold)].min()
    below = probability[probability < np.float32(threshold)]
    if below.size:
        lower = below.max()
        assert lower < threshold <= above
        assert threshold - lower == pytest.approx(above - threshold, abs=float(np.spacing(above)))
    else:
        assert threshold == above


def test_threshold_keeps_its_labels_when_every_score_moves_by_one_step():
    probability = np.array([0.1, 0.2, 0.4, 0.8], dtype=np.float32)
    target = np.array([0, 0, 1, 1])
    threshold = best_threshold(target, probability)
    assert threshold == pytest.approx(0.3)
    for side in (-np.inf, np.inf):
        moved = np.nextafter(probability, np.float32(side))
        assert ((moved >= np.float32(threshold)) == target).all()


def test_between_neighbouring_scores_the_threshold_is_one_of_them():
    upper = np.float32(0.5)
    lower = np.nextafter(upper, np.float32(0))
    assert best_threshold(np.array([0, 1, 1]), np.array([lower, upper, upper])) in {lower, upper}


def test_tied_rows_are_positive_together():
    target = np.array([1, 0, 1, 0])
    probability = np.array([0.5, 0.5, 0.5, 0.1], dtype=np.float32)
    thresholds, scores = f_beta_curve(target, probability, 2.0)
    assert thresholds.tolist() == [0.5, pytest.approx(0.1)]
    assert scores == pytest.approx([5 * 2 / (4 * 2 + 3), 5 * 2 / (4 * 2 + 4)])
    assert best_threshold(target, probability) == pytest.approx(0.3)


def test_single_score_is_the_threshold():
    target, probability = np.array([0, 1, 1]), np.full(3, 0.25, dtype=np.float32)
    assert best_threshold(target, probability) == 0.25
    assert tuned_f_beta(target, probability) == pytest.approx(10 / 11)


def test_a_score_of_zero_can_be_the_threshold():
    assert best_threshold(np.array([1]), np.zeros(1, dtype=np.float32)) == 0


@given(scored_rows().filter(lambda rows: 0 < rows[0].sum() < rows[0].size), ANY_SCORE)
@settings(max_examples=50, deadline=None)
def test_scores_are_those_of_scikit_learn(rows, threshold):
    target, probability = rows
    predicted = (probability >= np.float32(threshold)).astype(int)
    negatives, false_positives, false_negatives, positives = metrics.confusion_matrix(target, predicted).ravel()
    assert score(target, probability, threshold) == pytest.approx(
        {
            "f2": metrics.fbeta_score(target, predicted, beta=2, zero_division=0),
            "f1": metrics.f1_score(target, predicted, zero_division=0),
            "precision": metrics.precision_score(target, predicted, zero_division=0),
            "recall": metrics.recall_score(target, predicted),
            "accuracy": metrics.accuracy_score(target, predicted),
            "pr_auc": metrics.average_precision_score(target, probability),
            "roc_auc": metrics.roc_auc_score(target, probability),
            "brier": metrics.brier_score_loss(target, probability),
            "log_loss": metrics.log_loss(target, probability.astype(np.float64)),
            "true_positives": positives,
            "false_positives": false_positives,
            "false_negatives": false_negatives,
            "true_negatives": negatives,
        }
    )


def test_score_at_the_threshold_counts_as_positive():
    probability = np.array([0.3, 0.3, 0.2], dtype=np.float32)
    scores = score(np.array([1, 0, 0]), probability, float(np.float32(0.3)))
    assert (scores["true_positives"], scores["false_positives"], scores["true_negatives"]) == (1, 1, 1)


def test_threshold_that_makes_nothing_positive_scores_zero():
    scores = score(np.array([1, 0]), np.array([0.2, 0.1], dtype=np.float32), 0.9)
    assert (scores["f2"], scores["f1"], scores["precision"], scores["recall"], scores["accuracy"]) == (0, 0, 0, 0, 0.5)


def drawn(generator, rows=2000):
    target = (generator.random(rows) < 0.25).astype(int)
    return Scored(target, np.clip(0.3 * target + 0.7 * generator.random(rows), 0, 1).astype(np.float32))


@pytest.mark.parametrize("name", ["f2", "f0.5", "roc_auc", "accuracy", "neg_log_loss"])
def test_standard_error_is_what_samples_of_rows_scatter(name):
    generator, one = np.random.default_rng(5), parse_score(name, "binary_classification")
    samples = [drawn(generator) for _ in range(200)]
    scatter = np.std([one(sample.target, sample.output, 0.5) for sample in samples])
    assert standard_error(one, samples[0], 0.5) == pytest.approx(scatter, rel=0.3)
    assert standard_error(one, samples[0], 0.5) == standard_error(one, samples[0], 0.5)


def test_standard_error_without_a_mistake_is_zero():
    target = np.array([0, 1, 1, 0] * 100)
    assert standard_error(F2, Scored(target, target.astype(np.float32)), 0.5) == 0


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "matthews_corrcoef"])
def test_threshold_of_another_score_of_labels_is_nearly_the_best_there_is(name):
    scored, one = drawn(np.random.default_rng(1)), parse_score(name, "binary_classification")
    threshold = evaluation.best_threshold(one, scored.target, scored.output)
    best = max(one(scored.target, scored.output, float(t)) for t in np.linspace(0, 1, 500))
    assert one(scored.target, scored.output, threshold) >= best - 0.02
    assert float(np.float32(threshold)) == threshold


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "neg_log_loss"])
def test_a_score_of_probabilities_knows_no_threshold(name):
    scored = drawn(np.random.default_rng(1))
    assert evaluation.best_threshold(parse_score(name, "binary_classification"), scored.target, scored.output) == 0.5


def test_scores_of_three_classes_are_those_of_scikit_learn():
    generator = np.random.default_rng(2)
    target = generator.integers(0, 3, 300)
    output = generator.dirichlet([1, 1, 1], 300).astype(np.float32)
    found = measure(parse_score("f1_weighted", "multiclass_classification"), Scored(target, output), None)
    predicted = output.argmax(axis=1)
    exact = output.astype(np.float64) / output.astype(np.float64).sum(axis=1, keepdims=True)
    assert found == pytest.approx(
        {
            "f1_weighted": metrics.f1_score(target, predicted, average="weighted"),
            "accuracy": metrics.accuracy_score(target, predicted),
            "balanced_accuracy": metrics.balanced_accuracy_score(target, predicted),
            "f1_macro": metrics.f1_score(target, predicted, average="macro"),
            "roc_auc_ovr": metrics.roc_auc_score(target, exact, multi_class="ovr"),
            "log_loss": metrics.log_loss(target, exact),
        }
    )


def test_scores_of_values_are_those_of_scikit_learn():
    generator = np.random.default_rng(3)
    target = generator.normal(100, 20, 200)
    output = (target + generator.normal(3, 5, 200)).astype(np.float32)
    found = measure(parse_score("r2", "regression"), Scored(target, output), None)
    assert found == pytest.approx(
        {
            "r2": metrics.r2_score(target, output),
            "rmse": metrics.root_mean_squared_error(target, output),
            "mae": metrics.mean_absolute_error(target, output),
            "median_ae": metrics.median_absolute_error(target, output),
            "bias": float(np.mean(output.astype(np.float64) - target)),
        }
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [("f2", 5 * 0.25 / (4 * 0.25 + 1)), ("accuracy", 0.75), ("roc_auc", 0.5), ("average_precision", 0.25)],
)
def test_what_a_model_that_looks_at_no_feature_scores(name, expected):
    target = np.array([0, 0, 0, 1] * 50)
    one = parse_score(name, "binary_classification")
    output, threshold = trivial_output(one, target, 200)
    assert one(target, output, threshold) == pytest.approx(expected)


def test_the_trivial_answer_of_a_regression_is_the_mean():
    target = np.array([1.0, 2.0, 6.0])
    output, threshold = trivial_output(parse_score("r2", "regression"), target, 2)
    assert output.tolist() == [3.0, 3.0]
    assert threshold is None
