"""A user's own data and model, made up: `python -m tests.e2e.customers FOLDER` writes customers.csv and churn.pkl."""

import pickle
import random
import sys
from pathlib import Path

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

ROWS = 2000
FEES = {"basic": 9.9, "plus": 19.9, "pro": 39.9}


def make_customers(rows: int = ROWS) -> pd.DataFrame:
    """Every kind of column that is inferred, and a target that depends on two of them."""
    draw = random.Random(1)
    customers = []
    for _ in range(rows):
        plan, calls = draw.choice(list(FEES)), draw.randrange(13)
        customers.append(
            {
                "joined": f"20{draw.randint(15, 25)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}",
                "plan": plan,
                "monthly fee": FEES[plan] + draw.choice([0, 0, 5]),
                "calls": calls,
                "newsletter": draw.choice(["true", "false", None]),
                "churn": "yes" if draw.random() < 0.05 + 0.05 * calls - 0.1 * (plan == "pro") else "no",
            }
        )
    return pd.DataFrame(customers)


def fit(customers: pd.DataFrame) -> Pipeline:
    """A pipeline as one is fitted on pandas every day."""
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["plan"]),
        ("passthrough", ["monthly fee", "calls"]),
    )
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=30, random_state=0))
    return model.fit(customers.drop(columns="churn"), customers["churn"])


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    made = make_customers()
    made.to_csv(folder / "customers.csv", index=False)
    (folder / "churn.pkl").write_bytes(pickle.dumps(fit(made)))
