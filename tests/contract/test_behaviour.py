"""What the model itself must do, whichever service answers: invariance, direction, and rows that leave no doubt.

The three kinds are those of M. T. Ribeiro et al., "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList",
ACL 2020. What is asked here are facts of the census; a model of other data is asked for other facts.
"""

import dataclasses
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundle.manifest import Manifest, read_manifest
from tests.contract.conftest import ReferenceAnswers
from tests.services import TestedService, running
from training.options import Options
from training.train import train

Row = dict[str, Any]
ROWS = 400
IRRELEVANT = 0.1
"""Mean change of P(positive) that a column without meaning may cause: hardly tuned trees split on noise, too."""


@dataclasses.dataclass
class ServedModel:
    """A served model, and held-out rows of its data."""

    service: TestedService
    manifest: Manifest
    rows: list[Row]

    def answers(self, rows: list[Row]) -> list[Row]:
        answer = self.service.client.post("/predict/batch", json=rows)
        assert answer.status_code == 200, answer.text
        return answer.json()["predictions"]

    def scores(self, rows: list[Row]) -> list[float]:
        positive = self.manifest.classes.index(self.manifest.positive_class)
        return [answer["probabilities"][positive] for answer in self.answers(rows)]

    def mean_change(self, before: Row, after: Row) -> float:
        """Of the score, over pairs of rows that are alike in all but these fields."""
        pairs = zip(
            self.scores([row | before for row in self.rows]),
            self.scores([row | after for row in self.rows]),
            strict=True,
        )
        return sum(new - old for old, new in pairs) / len(self.rows)


@pytest.fixture(scope="session")
def real_models(training_options: Options, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the original files, tuned as little as possible."""
    data_dir = Path(os.environ.get("DATA_DIR") or "nowhere").resolve()
    if not (data_dir / "adult.data").exists():
        pytest.skip("DATA_DIR names no folder with adult.data and adult.test")
    folder = tmp_path_factory.mktemp("real")
    own = {"storage": f"sqlite:///{folder / 'study.db'}", "models": folder / "models", "reports": folder / "reports"}
    train(dataclasses.replace(training_options, data="uci", data_dir=data_dir, **own))
    return folder / "models"


@pytest.fixture(scope="module", params=["synthetic", pytest.param("real", marks=pytest.mark.real_data)])
def model(
    request: pytest.FixtureRequest, backend: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedModel]:
    models: Path = request.getfixturevalue("models" if request.param == "synthetic" else "real_models")
    manifest = read_manifest(models)
    rows = ReferenceAnswers(manifest, models).rows[:ROWS]
    if request.param == "synthetic":
        yield ServedModel(request.getfixturevalue("service"), manifest, rows)
    else:
        with running(backend, models, tmp_path_factory.mktemp("real")) as service:
            yield ServedModel(service, manifest, rows)


def test_the_order_of_the_rows_does_not_matter(model: ServedModel):
    order = random.Random(2).sample(range(ROWS), ROWS)
    answers = model.answers(model.rows)
    assert model.answers([model.rows[place] for place in order]) == [answers[place] for place in order]


def test_the_order_of_the_fields_does_not_matter(model: ServedModel):
    assert model.answers([dict(reversed(row.items())) for row in model.rows]) == model.answers(model.rows)


def test_the_other_rows_of_a_batch_do_not_matter(model: ServedModel):
    answers = model.answers(model.rows)
    assert model.answers(model.rows[:7] * 3) == answers[:7] * 3


def test_the_census_weight_hardly_matters(model: ServedModel):
    """It says how many people a row stands for, and nothing about this one."""
    others = random.Random(3).sample(model.rows, ROWS)
    changed = [row | {"fnlwgt": other["fnlwgt"]} for row, other in zip(model.rows, others, strict=True)]
    pairs = zip(model.scores(model.rows), model.scores(changed), strict=True)
    assert sum(abs(new - old) for old, new in pairs) / ROWS < IRRELEVANT


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            {"education": "HS-grad", "education_num": 9}, {"education": "Masters", "education_num": 14}, id="education"
        ),
        pytest.param({"capital_gain": 0}, {"capital_gain": 15_024}, id="capital gain"),
        pytest.param({"hours_per_week": 15}, {"hours_per_week": 50}, id="hours"),
        pytest.param({"age": 18}, {"age": 45}, id="age"),
    ],
)
def test_more_of_what_earns_does_not_lower_the_score(model: ServedModel, before: Row, after: Row):
    assert model.mean_change(before, after) >= 0


def test_rows_that_leave_no_doubt(model: ServedModel):
    example = {feature.name: feature.example for feature in model.manifest.features}
    rich = example | {
        "age": 48, "workclass": "Self-emp-inc", "education": "Doctorate", "education_num": 16,
        "marital_status": "Married-civ-spouse", "occupation": "Exec-managerial", "relationship": "Husband",
        "capital_gain": 99_999, "capital_loss": 0, "hours_per_week": 55, "native_country": "United-States",
    }  # fmt: skip
    poor = example | {
        "age": 18, "workclass": "Private", "education": "10th", "education_num": 6,
        "marital_status": "Never-married", "occupation": "Priv-house-serv", "relationship": "Own-child",
        "capital_gain": 0, "capital_loss": 0, "hours_per_week": 12, "native_country": "United-States",
    }  # fmt: skip
    named = [answer[f"predicted_{model.manifest.target}"] for answer in model.answers([rich, poor])]
    assert named == [">50K", "<=50K"]
