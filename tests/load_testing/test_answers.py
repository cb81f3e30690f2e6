"""Decoding and checking answers."""

import json

import msgspec
import pytest

from load_testing.responses import Answers, Expected

EXPECTED = Expected(1, 0.75, "held_out")
RIGHT = {"prediction": 1, "probabilities": [0.25, 0.75], "predicted_taste": "sweet"}


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
    expected = [EXPECTED, Expected(0, 0.25, "missing:half")]
    other = {"prediction": 0, "probabilities": [0.75, 0.25], "predicted_taste": "sour"}

    def fault(*predictions, size=2):
        return check(answers, {"predictions": predictions, "batch_size": size}, expected=expected, batch=True)

    assert fault(RIGHT, other) is None
    assert fault(other, RIGHT) == "wrong class (held_out)"
    assert fault(RIGHT, RIGHT) == "wrong class (missing:half)"
    assert fault(RIGHT, size=1) == "1 answers for 2 rows"
    assert fault(RIGHT, other, other, size=3) == "3 answers for 2 rows"
    assert fault(RIGHT, other, size=3) == "malformed answer: batch_size differs from the number of predictions"


@pytest.mark.parametrize(("positive", "probability"), [("sweet", 0.75), ("sour", 0.25)])
def test_positive_class_decides_which_probability_counts(taste_manifest, positive, probability):
    answers = Answers(msgspec.structs.replace(taste_manifest, positive_class=positive))
    (prediction,) = answers.decode(json.dumps(RIGHT).encode(), batch=False)
    assert answers.positive(prediction) == probability


def test_contradictions_never_match_the_reference(answers):
    def decoded(change):
        return answers.decode(json.dumps(RIGHT | change).encode(), batch=False)[0]

    assert answers.class_index(decoded({})) == 1
    assert answers.class_index(decoded({"prediction": 0})) == -1
    assert answers.class_index(decoded({"prediction": 2})) == -1
    inconsistent = answers.positive(decoded({"probabilities": [0.5, 0.75]}))
    assert inconsistent != inconsistent  # noqa: PLR0124 - not a number
