"""What a file must hold to be packaged."""

from pathlib import Path

import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from training.errors import ConversionError
from training.package.estimator import load_estimator, text_columns


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(ConversionError, match=r"^PIPELINE=.*/no\.pkl: No such file or directory$"):
        load_estimator(tmp_path / "no.pkl")


@pytest.mark.parametrize("searched", [False, True])
def test_columns_of_text_are_those_in_which_encoders_and_imputers_saw_text(searched):
    frame = pd.DataFrame(
        {"zip": ["01067", "20095"] * 5, "day": ["2024-01-01", None] * 5, "rooms": [1, 2] * 5, "size": [0.5, 1.5] * 5}
    )
    steps = [
        ("texts", OneHotEncoder(), ["zip"]),
        ("gaps", make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), ["day"]),
        ("codes", OneHotEncoder(), ["rooms"]),
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["size"]),
    ]
    model = make_pipeline(ColumnTransformer(steps), LogisticRegression())
    model = GridSearchCV(model, {"logisticregression__C": [1.0]}, cv=2) if searched else model
    assert text_columns(model.fit(frame, [0, 0, 1, 1, 0, 0, 1, 1, 0, 1])) == {"zip", "day"}
    assert text_columns(LogisticRegression().fit([[0.0], [1.0]], [0, 1])) == set()
