"""The comparison of served with expected predictions."""

import numpy as np
import pytest

from load_testing.skew import Comparison, SkewResult, compare

LABELS = np.array([0, 1, 1, 0])
PROBABILITIES = np.array([0.25, 0.75, 0.5, 0.125], dtype=np.float32)
CASES = ["held_out", "held_out", "missing:half", "split:number"]


def both(positive):
    """The two classes' probabilities, [rows, 2]."""
    return np.column_stack([1 - np.asarray(positive), positive])


def compared(labels, probabilities, rows=range(4)):
    expected = Comparison(LABELS, both(PROBABILITIES), CASES, rows)
    return compare(expected, labels, both(probabilities), tolerance=1e-6, relative=False)


def test_equal_answers_are_clean():
    result = compared([0, 1, 1, 0], [0.25, 0.75, 0.5, 0.125])
    assert result == SkewResult(rows=4, equal_labels=4, equal_probabilities=4)
    assert result.clean
    assert (result.prediction_match, result.probability_match, result.mean_abs_difference) == (100, 100, 0)


def test_difference_within_the_tolerance_is_a_match_and_is_reported():
    result = compared([0, 1, 1, 0], [0.25, 0.75 + 8e-7, 0.5, 0.125])
    assert result.clean
    assert result.max_abs_difference == pytest.approx(8e-7)
    assert result.mean_abs_difference == pytest.approx(2e-7)


def test_difference_beyond_the_tolerance_is_not():
    result = compared([0, 1, 1, 0], [0.25, 0.75 + 2e-6, 0.5, 0.125])
    assert not result.clean
    assert (result.prediction_match, result.probability_match) == (100, 75)


def test_swapped_labels_are_found_with_row_and_case():
    result = compared([1, 1, 0, 0], [0.25, 0.75, 0.5, 0.125], rows=range(100, 104))
    assert (result.equal_labels, result.equal_probabilities) == (2, 4)
    assert result.prediction_match == 50
    assert [(m.row, m.case, m.expected_label, m.served_label) for m in result.mismatches] == [
        (100, "held_out", 0, 1),
        (102, "missing:half", 1, 0),
    ]


def test_not_a_number_counts_as_the_largest_difference():
    result = compared([0, 1, 1, 0], [float("nan"), 0.75, 0.5, 0.125])
    assert not result.clean
    assert result.max_abs_difference == 1
    assert result.mean_abs_difference == 0.25
    assert result.mismatches[0].served_probability is None


@pytest.mark.parametrize("count", [3, 5])
def test_other_number_of_answers_is_refused(count):
    with pytest.raises(ValueError, match=f"{count} answers for 4 rows"):
        compared([0] * count, [0.5] * count)


def test_merging_adds_counts_and_keeps_the_largest_difference():
    clean, skewed = compared([0, 1, 1, 0], [0.25, 0.75, 0.5, 0.125]), compared([1, 1, 1, 0], [0.75, 0.75, 0.5, 0.125])
    merged = clean + skewed
    assert (merged.rows, merged.equal_labels, merged.equal_probabilities) == (8, 7, 7)
    assert (merged.max_abs_difference, merged.mean_abs_difference) == (0.5, 0.0625)
    assert merged.mismatches == skewed.mismatches


def test_sample_of_mismatches_is_bounded():
    skewed = compared([1, 0, 0, 1], [0, 0, 0, 0])
    assert len((skewed + skewed + skewed).mismatches) == 10


def test_nothing_compared_is_not_clean():
    assert not SkewResult().clean
    assert SkewResult().prediction_match == 0


def test_one_of_many_probabilities_is_enough_to_differ():
    expected = Comparison(np.array([2]), np.array([[0.25, 0.25, 0.5]]), ["held_out"], [7])
    result = compare(expected, [2], [[0.25, 0.375, 0.5]], tolerance=1e-6, relative=False)
    assert (result.equal_labels, result.equal_probabilities, result.max_abs_difference) == (1, 0, 0.125)
    (mismatch,) = result.mismatches
    assert (mismatch.row, mismatch.expected_probability, mismatch.served_probability) == (7, 0.25, 0.375)


def test_values_are_compared_relative_to_their_size():
    values = np.array([[0.0], [1000.0], [-1000.0], [np.inf]], dtype=np.float32)
    expected = Comparison(np.zeros(4, dtype=np.int64), values, CASES, range(4))

    def compared(*served):
        return compare(expected, [0] * 4, [[value] for value in served], tolerance=1e-5, relative=True)

    result = compared(9e-6, 1000.009, -1000.009, np.nan)
    assert result.clean
    assert result.max_abs_difference == pytest.approx(9e-6, rel=0.01)
    assert compared(2e-5, 1000.02, -1000.02, 1.0).equal_probabilities == 0
    assert compared(0, np.nan, -1000, np.nan).mismatches[0].row == 1
