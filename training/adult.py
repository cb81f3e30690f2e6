"""The default data set: UCI Adult (census income). Its schema, where its files come from, and how they are cleaned.

Source: B. Becker and R. Kohavi, "Adult", UCI Machine Learning Repository, 1996, doi:10.24432/C5XW20, CC BY 4.0.
To train on other data, write a module like this one and run `make train DATASET=your.module`.
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from training.dataset import Dataset, Nominal, Numeric, Ordinal, RemoteFile
from training.errors import DataError

FEATURES = (
    Numeric(name="age", integer=True, description="Age in years"),
    Nominal(name="workclass", nullable=True, description="Kind of employer"),
    Numeric(name="fnlwgt", integer=True, description="Census weight: people that this row stands for"),
    Ordinal(
        name="education",
        description="Highest education, from none to doctorate",
        categories=(
            "Preschool",
            "1st-4th",
            "5th-6th",
            "7th-8th",
            "9th",
            "10th",
            "11th",
            "12th",
            "HS-grad",
            "Some-college",
            "Assoc-voc",
            "Assoc-acdm",
            "Bachelors",
            "Masters",
            "Prof-school",
            "Doctorate",
        ),
    ),
    Numeric(name="education_num", integer=True, description="Education as a number, 1 to 16"),
    Nominal(name="marital_status", description="Marital status"),
    Nominal(name="occupation", nullable=True, description="Occupation"),
    Nominal(name="relationship", description="Position in the family"),
    Nominal(name="race", description="Race as the census recorded it"),
    Nominal(name="sex", description="Sex as the census recorded it"),
    Numeric(name="capital_gain", integer=True, description="Capital gains in US dollars"),
    Numeric(name="capital_loss", integer=True, description="Capital losses in US dollars"),
    Numeric(name="hours_per_week", integer=True, description="Working hours per week"),
    Nominal(name="native_country", nullable=True, description="Country of birth"),
)
TARGET = "income"
CLASSES = ("<=50K", ">50K")

_UCI = "https://archive.ics.uci.edu"
_ARCHIVE = "https://web.archive.org/web/2023id_/" + _UCI


def _sources(name: str) -> tuple[str, ...]:
    direct = f"/ml/machine-learning-databases/adult/{name}"
    return (f"{_UCI}/static/public/2/adult.zip#{name}", _UCI + direct, _ARCHIVE + direct)


FILES = (
    RemoteFile(
        name="adult.data",
        bytes=3_974_305,
        sha256="5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
        sources=_sources("adult.data"),
    ),
    RemoteFile(
        name="adult.test",
        bytes=2_003_153,
        sha256="a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
        sources=_sources("adult.test"),
    ),
)


def parse(files: Mapping[str, bytes]) -> pl.DataFrame:
    """The rows of all files, in the order of `FILES`.

    Cleans what UCI left in: padding spaces, `?` for missing, the comment line and the label dots of `adult.test`.

    Raises:
        DataError: a file has lines without all 15 fields, a number that isn't one, or an unknown label.
    """
    return pl.concat(parse_file(file.name, files[file.name]) for file in FILES)


def parse_file(name: str, content: bytes) -> pl.DataFrame:
    """The rows of one file; errors count lines from 1, as an editor does."""
    columns = [feature.name for feature in FEATURES] + [TARGET]
    text = content.decode("utf-8", errors="replace").splitlines()
    lines = pl.DataFrame({"line": text}, schema={"line": pl.String}).with_row_index("number", 1)
    lines = lines.filter((pl.col("line").str.strip_chars() != "") & ~pl.col("line").str.starts_with("|"))
    fields = lines.with_columns(fields=pl.col("line").str.split(","))
    _refuse(name, fields, pl.col("fields").list.len() != len(columns), f"expected {len(columns)} fields", "line")
    frame = fields.select(
        "number", *(pl.col("fields").list.get(i).str.strip_chars().alias(c) for i, c in enumerate(columns))
    )
    frame = frame.with_columns(pl.col(columns).replace("?", None))
    frame = frame.with_columns(pl.col(TARGET).str.strip_suffix("."))
    _refuse(name, frame, ~pl.col(TARGET).is_in(CLASSES).fill_null(value=False), f"unknown {TARGET}", TARGET)
    for feature in FEATURES:
        column = pl.col(feature.name)
        if not feature.nullable:
            _refuse(name, frame, column.is_null(), f"{feature.name} is missing", feature.name)
        if isinstance(feature, Numeric):
            bad = column.is_not_null() & ~column.cast(pl.Float64, strict=False).is_finite().fill_null(value=False)
            _refuse(name, frame, bad, f"{feature.name} is not a number", feature.name)
        elif isinstance(feature, Ordinal):
            bad = column.is_not_null() & ~column.is_in(feature.categories)
            _refuse(name, frame, bad, f"unknown {feature.name}", feature.name)
    numbers = [feature.name for feature in FEATURES if isinstance(feature, Numeric)]
    return frame.select(columns).with_columns(pl.col(numbers).cast(pl.Float64))


def _refuse(name: str, frame: pl.DataFrame, bad: pl.Expr, problem: str, column: str) -> None:
    rows = frame.filter(bad)
    if rows.height:
        line, value = rows["number"][0], rows[column][0]
        raise DataError(f"{name}, line {line}: {problem}: {value!r} ({rows.height} such lines)")


DATASET = Dataset(
    name="adult_income_model",
    source="uci",
    features=FEATURES,
    target=TARGET,
    classes=CLASSES,
    files=FILES,
    parse=parse,
    synthetic_statistics=Path(__file__).with_name("adult_statistics.json"),
    synthetic_rows=48_842,
)
