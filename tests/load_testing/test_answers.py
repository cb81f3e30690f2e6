"""Decoding and checking answers."""

import json
import math

import msgspec
import pytest

from bundle import manifest as manifest_module
from load_testing.responses import Answers, ExpectedAnswer

EXPECTED = ExpectedAnswer(1, (0.25, 0.75), "held_out")
RIGHT = {"prediction": 1, "probabilities": [0.25, 0.75], "predicted_taste": "sweet"}


def three_classes(manifest):
    return msgspec.structs.replace(
        manifest,
        task="multiclass_classification",
        classes=(10, 20, 30),
        positive_class=None,
        decision_threshold=None,
        expected=manifest_module.Expected(prediction=0, probabilities=(1.0, 0.0, 0.0)),
    )


def regressor(manifest):
    return msgspec.structs.replace(
        manifest,
        task="regression",
        classes=(),
        positive_class=None,
        decision_threshold=None,
        expected=manifest_module.Expected(prediction=1.0),
    )


@pytest.fixture
def answers(taste_manifest):
    return Answers(taste_manifest)


def check(answers, content, *, expected=(EXPECTED,), batch=False):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return answers.check(body, expected=list(expected), batch=batch)


def test_right_answer_has_no_fault(answers):
    assert check(answers, RIGHT) is None
    assert check(answers, RIGHT | {"probabilities": [0.25 + 9e-7, 0.75 - 9e-7]}) is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"prediction": 0, "predicted_taste": "sour"}, "wrong class (held_out)"),
        ({"prediction": 7}, "wrong class (held_out)"),
        ({"predicted_taste": "sour"}, "class index and label text differ (held_out)"),
        ({"probabilities": [0.250002, 0.749998]}, "wrong probability (held_out)"),
        ({"probabilities": [0.75, 0.25]}, "wrong probability (held_out)"),
        ({"probabilities": [0.1, 0.75]}, "wrong probability (held_out)"),
    ],
)
def test_fault_is_named_without_values(answers, change, fault):
    assert check(answers, RIGHT | change) == fault


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"{",
        b"\xff",
        b'{"prediction":1,"probabilities":[0.25,NaN],"predicted_taste":"sweet"}',
        RIGHT | {"probabilities": [0.75]},
        RIGHT | {"probabilities": [0.25, None]},
        RIGHT | {"prediction": "1"},
        RIGHT | {"extra": 1},
        {"prediction": 1, "probabilities": [0.25, 0.75], "predicted_other": "sweet"},
        [RIGHT],
    ],
)
def test_answer_that_breaks_the_contract_is_malformed(answers, content):
    assert check(answers, content).startswith("malformed answer: ")


def test_fault_in_a_batch_is_found(answers):
    expected = [EXPECTED, ExpectedAnswer(0, (0.75, 0.25), "missing:half")]
    other = {"prediction": 0, "probabilities": [0.75, 0.25], "predicted_taste": "sour"}

    def fault(*predictions, size=2):
        return check(answers, {"predictions": predictions, "batch_size": size}, expected=expected, batch=True)

    assert fault(RIGHT, other) is None
    assert fault(other, RIGHT) == "wrong class (held_out)"
    assert fault(RIGHT, RIGHT) == "wrong class (missing:half)"
    assert fault(RIGHT, size=1) == "1 answers for 2 rows"
    assert fault(RIGHT, other, other, size=3) == "3 answers for 2 rows"
    assert fault(RIGHT, other, size=3) == "malformed answer: batch_size differs from the number of predictions"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_every_one_of_many_probabilities_counts(taste_manifest, place):
    answers = Answers(three_classes(taste_manifest))
    right = {"prediction": 2, "probabilities": [0.25, 0.25, 0.5], "predicted_taste": 30}
    expected = [ExpectedAnswer(2, (0.25, 0.25, 0.5), "held_out")]
    assert check(answers, right, expected=expected) is None
    wrong = [p + 2e-6 * (index == place) for index, p in enumerate(right["probabilities"])]
    assert check(answers, right | {"probabilities": wrong}, expected=expected) == "wrong probability (held_out)"
    assert answers.largest_difference == pytest.approx(2e-6, rel=1e-3)
    assert check(answers, right | {"predicted_taste": "30"}, expected=expected).startswith("malformed answer: ")
    assert check(answers, right | {"predicted_taste": 20}, expected=expected).startswith("class index and label")


@pytest.mark.parametrize(
    ("served", "expected", "fault"),
    [
        (200.0, 200.0, None),
        (200.0019, 200.0, None),
        (200.0021, 200.0, "wrong value (held_out)"),
        (9e-6, 0.0, None),
        (2e-5, 0.0, "wrong value (held_out)"),
        (None, math.inf, None),
        (None, 1.0, "wrong value (held_out)"),
        (1.0, math.nan, "wrong value (held_out)"),
        ("1", 1.0, "malformed answer: Expected `float | null`, got `str` - at `$.prediction`"),
    ],
)
def test_values_are_compared_relative_to_their_size(taste_manifest, served, expected, fault):
    answers = Answers(regressor(taste_manifest))
    assert check(answers, {"prediction": served}, expected=[ExpectedAnswer(0, (expected,), "held_out")]) == fault


@pytest.mark.parametrize("target", ["日本 語", 'a "quoted" one'])
def test_target_may_have_any_name(taste_manifest, target):
    answers = Answers(msgspec.structs.replace(taste_manifest, target=target))
    right = {"prediction": 1, "probabilities": [0.25, 0.75], f"predicted_{target}": "sweet"}
    assert check(answers, right) is None
    assert check(answers, {"predictions": [right], "batch_size": 1}, batch=True) is None
    assert check(answers, right | {f"predicted_{target}": "sour"}) == "class index and label text differ (held_out)"


def test_contradictions_never_match_the_reference(answers):
    def decoded(change):
        return answers.decode(json.dumps(RIGHT | change).encode(), batch=False)[0]

    assert answers.class_index(decoded({})) == 1
    assert answers.class_index(decoded({"prediction": 0})) == -1
    assert answers.class_index(decoded({"prediction": 2})) == -1
    assert answers.numbers(decoded({"probabilities": [0.5, 0.75]})) == (0.5, 0.75)
