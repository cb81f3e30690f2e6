"""Synthetic rows: what they promise to the rest of training, for the embedded statistics and for any other data set."""

import dataclasses
import json

import numpy as np
import polars as pl
import pytest

from training.adult import CLASSES, DATASET, TARGET, parse
from training.data.fit_synthetic import fit, main, write
from training.data.synthetic import synthesize
from training.dataset import Dataset, Nominal, Numeric, Ordinal
from training.errors import DataError

RAW_ROW = (
    b"39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, "
    b"White, Male, 2174, 0, 40, ?, <=50K"
)


@pytest.fixture(scope="module")
def sample():
    return synthesize(DATASET, DATASET.synthetic_rows, seed=7)


def test_schema_is_that_of_the_real_rows(sample):
    real = parse({"adult.data": RAW_ROW, "adult.test": RAW_ROW + b"."})
    assert sample.schema == real.schema
    assert sample.columns == real.columns
    assert sample.height == DATASET.synthetic_rows


@pytest.mark.parametrize("rows", [0, 1, 300])
def test_row_count(rows):
    assert synthesize(DATASET, rows, seed=1).height == rows


def test_seed_decides_the_rows(sample):
    assert synthesize(DATASET, DATASET.synthetic_rows, seed=7).equals(sample)
    assert not synthesize(DATASET, DATASET.synthetic_rows, seed=8).equals(sample)


def test_class_fraction_is_near_the_real_one(sample):
    assert (sample[TARGET] == CLASSES[1]).mean() == pytest.approx(0.239, abs=0.01)
    assert set(sample[TARGET]) == set(CLASSES)


def test_nulls_only_where_declared(sample):
    nullable = {feature.name for feature in DATASET.features if feature.nullable}
    assert {name for name in sample.columns if sample[name].null_count()} == nullable


@pytest.mark.parametrize("feature", DATASET.numeric, ids=lambda feature: feature.name)
def test_numbers_are_finite_and_whole_where_declared(sample, feature):
    values = sample[feature.name].drop_nulls()
    assert values.is_finite().all()
    assert not feature.integer or (values % 1 == 0).all()


def test_ordinal_categories_are_declared_ones(sample):
    for feature in DATASET.features:
        if isinstance(feature, Ordinal):
            assert set(sample[feature.name]) == set(feature.categories)


def test_relations_between_columns_hold(sample):
    assert sample.group_by("education").agg(pl.col("education_num").n_unique())["education_num"].max() == 1
    husbands = sample.filter(pl.col("relationship") == "Husband")
    assert (husbands["sex"] == "Male").mean() > 0.99
    assert (husbands[TARGET] == CLASSES[1]).mean() > 0.4


def test_statistics_file_is_small():
    assert DATASET.synthetic_statistics.stat().st_size < 100_000


def broken(tmp_path, change):
    """The Adult data set with its statistics changed by `change`, which gets the decoded JSON."""
    statistics = json.loads(DATASET.synthetic_statistics.read_bytes())
    change(statistics)
    path = tmp_path / "statistics.json"
    path.write_text(json.dumps(statistics))
    return dataclasses.replace(DATASET, synthetic_statistics=path)


def first(statistics):
    return statistics["network"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(target="other"), "target 'other'"),
        (lambda s: s.update(classes=["no", "yes"]), "classes"),
        (lambda s: s.pop("classes"), "missing required field"),
        (lambda s: s["network"].pop(), "other features"),
        (lambda s: s["network"].append(first(s)), "one is there twice"),
        (lambda s: s["network"].reverse(), "parents must come before"),
        (lambda s: first(s).update(feature="unheard_of"), "unheard_of"),
        (lambda s: first(s)["bins"].__setitem__(0, "Unheard of"), "'Unheard of'"),
        (lambda s: first(s)["bins"].__setitem__(0, None), "unfit: \\[None\\]"),
        (lambda s: first(s)["bins"].__setitem__(0, 1), "unfit: \\[1.0\\]"),
        (lambda s: first(s)["log_odds"].pop(), "15 log-odds"),
        (lambda s: first(s)["tables"].append({}), "2 tables for 0 parents"),
        (lambda s: first(s)["tables"][0].update({"1": [0, 1000]}), "context 1"),
        (lambda s: first(s)["tables"][0].update({"0": [99, 1000]}), "context 0"),
        (lambda s: first(s)["tables"][0].update({"0": [0, 500, 1]}), "context 0"),
        (lambda s: first(s)["tables"][0].update({"0": [0, -1, 1, 1001]}), "context 0"),
        (lambda s: first(s)["tables"][0].update({"0": [0, 0]}), "context 0"),
    ],
)
def test_statistics_that_do_not_fit_are_named(tmp_path, change, message):
    with pytest.raises(
        DataError, match=f"^statistics.json: not the synthetic statistics of {DATASET.name}: .*{message}"
    ):
        synthesize(broken(tmp_path, change), 10, seed=1)


def test_statistics_of_other_features_are_refused():
    other = dataclasses.replace(DATASET, features=DATASET.features[1:])
    with pytest.raises(DataError, match=f"other features: .*{DATASET.features[0].name}"):
        synthesize(other, 10, seed=1)


@pytest.mark.parametrize("content", [b"", b"[1, 2", b"\xff\xfe", b"{}"])
def test_file_that_is_no_statistics(tmp_path, content):
    path = tmp_path / "statistics.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"statistics\.json: not the synthetic statistics"):
        synthesize(dataclasses.replace(DATASET, synthetic_statistics=path), 10, seed=1)


def test_no_statistics(tmp_path):
    with pytest.raises(DataError, match=r"gone.json: .* can't be read: No such file"):
        synthesize(dataclasses.replace(DATASET, synthetic_statistics=tmp_path / "gone.json"), 10, seed=1)
    with pytest.raises(DataError, match="has no synthetic statistics"):
        synthesize(dataclasses.replace(DATASET, synthetic_statistics=None), 10, seed=1)


@pytest.fixture(scope="module")
def weather():
    """Another data set: all kinds of features, with missing ones, a rare category and a column that follows another."""
    generator = np.random.default_rng(3)
    rows = 4000
    site = generator.choice(["coast", "hill", "town", None], rows, p=[0.5, 0.3, 0.15, 0.05])
    site[:2] = "lighthouse"
    wind = generator.normal(5, 2, rows) + 4 * (site == "coast")
    frame = pl.DataFrame(
        {
            "site": pl.Series(site, dtype=pl.String),
            "height": pl.Series([{"coast": 2.0, "hill": 300.0, "town": 40.0}.get(name) for name in site]),
            "wind": pl.Series(np.where(generator.random(rows) < 0.1, np.nan, wind)).fill_nan(None),
            "sky": pl.Series(generator.choice(["clear", "grey"], rows), dtype=pl.String),
            "rain": pl.Series(np.where(wind + generator.normal(0, 1, rows) > 8, "yes", "no"), dtype=pl.String),
        }
    )
    dataset = Dataset(
        name="weather",
        source="station",
        features=(
            Nominal(name="site", nullable=True),
            Numeric(name="height", nullable=True, integer=True),
            Numeric(name="wind", nullable=True),
            Ordinal(name="sky", categories=("clear", "grey", "black")),
        ),
        target="rain",
        classes=("no", "yes"),
        files=(),
        parse=lambda _: frame,
    )
    return dataset, frame


def test_statistics_can_be_fitted_to_any_data_set(weather, tmp_path):
    dataset, frame = weather
    dataset = dataclasses.replace(dataset, synthetic_statistics=tmp_path / "weather.json")
    size = write(fit(dataset, frame), dataset.synthetic_statistics)
    assert [path.name for path in tmp_path.iterdir()] == ["weather.json"]
    assert size == dataset.synthetic_statistics.stat().st_size
    rows = synthesize(dataset, 20_000, seed=1)
    assert rows.schema == frame.schema
    assert set(rows["site"]) == {"coast", "hill", "town", None}
    assert rows.filter(pl.col("site") == "hill")["height"].unique().to_list() == [300.0]
    for column in ("height", "wind"):
        assert rows[column].null_count() / rows.height == pytest.approx(
            frame[column].null_count() / frame.height, abs=0.02
        )
    for site in ("coast", "hill"):
        real, drawn = (part.filter(pl.col("site") == site) for part in (frame, rows))
        assert drawn["wind"].mean() == pytest.approx(real["wind"].mean(), abs=0.3)
        assert (drawn["rain"] == "yes").mean() == pytest.approx((real["rain"] == "yes").mean(), abs=0.05)


def test_statistics_keep_no_rare_value(weather):
    dataset, frame = weather
    statistics = fit(dataset, frame)
    bins = {node.feature: node.bins for node in statistics.network}
    assert "lighthouse" not in bins["site"]
    ends = [value for value in bins["wind"] if isinstance(value, tuple)]
    assert frame["wind"].min() < ends[0][0]
    assert ends[-1][1] < frame["wind"].max()


def test_too_few_rows_to_fit(weather):
    dataset, frame = weather
    with pytest.raises(DataError, match="weather: 4 rows are too few"):
        fit(dataset, pl.concat([frame.filter(pl.col("rain") == label).head(2) for label in dataset.classes]))


def test_script_refuses_files_with_another_digest(tmp_path, capsys):
    before = DATASET.synthetic_statistics.read_bytes()
    for file in DATASET.files:
        (tmp_path / file.name).write_bytes(RAW_ROW)
    assert main(["--dataset", "training.adult", "--data-dir", str(tmp_path)]) == 1
    assert DATASET.files[0].name in capsys.readouterr().err
    assert DATASET.synthetic_statistics.read_bytes() == before
