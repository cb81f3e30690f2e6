"""A second data set, for proving that one module is all that it takes: apples, made up, with missing numbers."""

import hashlib
import io
import random
from collections.abc import Mapping

import polars as pl

from training.dataset import Dataset, Nominal, Numeric, Ordinal, RemoteFile

ROWS = 1200


def make_csv() -> bytes:
    draw = random.Random(7)
    lines = ["weight,variety,ripeness,sugar,verdict"]
    for _ in range(ROWS):
        weight, sugar = draw.gauss(150, 30), draw.gauss(12, 2)
        variety = draw.choice(["boskoop", "elstar", "topaz"])
        ripeness = draw.choice(["green", "turning", "ripe"])
        tasty = sugar + {"green": -3, "turning": 0, "ripe": 2}[ripeness] + draw.gauss(0, 1) > 13
        shown = "" if draw.random() < 0.1 else f"{sugar:.2f}"
        lines.append(
            f"{weight:.1f},{'' if draw.random() < 0.05 else variety},{ripeness},{shown},{'ja' if tasty else 'nein'}"
        )
    return "\n".join(lines).encode()


def parse(files: Mapping[str, bytes]) -> pl.DataFrame:
    schema = {
        "weight": pl.Float64,
        "variety": pl.String,
        "ripeness": pl.String,
        "sugar": pl.Float64,
        "verdict": pl.String,
    }
    return pl.read_csv(io.BytesIO(files["apples.csv"]), schema=schema)


_CONTENT = make_csv()

DATASET = Dataset(
    name="orchard_model",
    source="orchard",
    features=(
        Numeric(name="weight"),
        Nominal(name="variety", nullable=True),
        Ordinal(name="ripeness", categories=("green", "turning", "ripe")),
        Numeric(name="sugar", nullable=True, description="degrees Brix"),
    ),
    target="verdict",
    classes=("nein", "ja"),
    files=(
        RemoteFile(name="apples.csv", bytes=len(_CONTENT), sha256=hashlib.sha256(_CONTENT).hexdigest(), sources=()),
    ),
    parse=parse,
)
