"""What `make train` takes, what it leaves alone, and that its code knows no data set."""

import dataclasses
import importlib
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bundle.errors import BundleError
from bundle.manifest import read_manifest
from tests.contract.any_models import REGRESSION
from training import adult
from training import train as training
from training.data.prepare import split
from training.train import Options, main, parse_options, train

MODULES = {
    "no_dataset": "",
    "bad_dataset": """
import dataclasses
from training import adult
DATASET = dataclasses.replace(adult.DATASET, target="age")
""",
    "broken_module": "import nothing_of_this_name",
}


@pytest.fixture(scope="module", autouse=True)
def modules(tmp_path_factory):
    """Modules outside the project that are no data sets."""
    folder = tmp_path_factory.mktemp("modules")
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        importlib.invalidate_caches()
        yield


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Drawing takes longer than training here."""
    monkeypatch.setattr(training, "write_report", lambda *_: None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trials", "0"], "--trials: '0' is not a whole number above 0"),
        (["--trials", "-5"], "'-5' is not a whole number above 0"),
        (["--trials", "many"], "--trials: 'many' is not a whole number above 0"),
        (["--patience", "-1"], "--patience: '-1' is not a whole number"),
        (["--seed", "-1"], "'-1' is not a whole number from 0 to 2147483647"),
        (["--seed", str(1 << 31)], "is not a whole number from 0 to 2147483647"),
        (["--seed", "x"], "--seed: 'x' is not a whole number from 0"),
        (
            ["--dataset", "nothing_of_this_name"],
            "--dataset: nothing_of_this_name: No module named 'nothing_of_this_name'",
        ),
        (["--dataset", ""], "--dataset: "),
        (["--dataset", "broken_module"], "No module named 'nothing_of_this_name'"),
        (["--dataset", "no_dataset"], "--dataset: no_dataset: module 'no_dataset' has no attribute 'DATASET'"),
        (["--dataset", "bad_dataset"], "the target 'age' is among the features"),
        (["--what"], "unrecognized arguments"),
        (["more"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_why(arguments, message, capfd):
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert message in capfd.readouterr().err


def test_defaults_are_those_of_the_documentation():
    options = parse_options([])
    assert options == Options(
        dataset=adult.DATASET,
        data="auto",
        data_dir=Path("data/adult"),
        trials=100,
        seed=42,
        storage="sqlite:///reports/training/study.db",
        fresh=False,
        if_missing=False,
        tune_only=False,
        models=Path("models"),
        reports=Path("reports/training"),
    )
    assert parse_options(["--reports", "else"]).storage == "sqlite:///else/study.db"
    assert parse_options(["--storage", "sqlite:///mine.db"]).storage == "sqlite:///mine.db"


@pytest.fixture
def orchard_options(made_up, training_options, tmp_path):
    """Options of a run on another data set, whose rows come from `frame`."""

    def make(frame, name):
        dataset, _ = made_up.orchard()
        folder = tmp_path / name
        return dataclasses.replace(
            training_options,
            dataset=dataclasses.replace(dataset, parse=lambda _: frame),
            data="farm",
            data_dir=folder,
            storage=f"sqlite:///{folder / 'study.db'}",
            models=folder / "models",
            reports=folder / "reports",
        )

    return make


@pytest.mark.slow
def test_held_out_rows_choose_nothing(made_up, orchard_options):
    """With other values in the held-out rows the model is the same to the byte, and only its score there is not."""
    dataset, frame = made_up.orchard()
    held_out = split(dataset, frame.with_row_index("row"))[1]["row"]
    is_held_out = pl.Series(np.isin(np.arange(frame.height), held_out))
    changed = frame.with_columns(
        pl.when(is_held_out).then(-pl.col("weight")).otherwise(pl.col("weight")).alias("weight"),
        pl.when(is_held_out).then(pl.lit("sand")).otherwise(pl.col("soil")).alias("soil"),
    )
    first, second = (train(orchard_options(rows, name)) for rows, name in ((frame, "a"), (changed, "b")))
    assert first.study == second.study
    assert first.decision_threshold == second.decision_threshold
    assert first.metrics.out_of_fold == second.metrics.out_of_fold
    assert first.features == second.features
    for kind in ("onnx", "onnx_packed", "pickle"):
        assert first.artifacts[kind].sha256 == second.artifacts[kind].sha256
    assert first.metrics.held_out != second.metrics.held_out


def test_another_data_set_is_trained_by_the_same_code(made_up, orchard_options):
    _, frame = made_up.orchard()
    options = orchard_options(frame, "any")
    manifest = train(options)
    assert read_manifest(options.models) == manifest
    assert (manifest.name, manifest.target, manifest.classes, manifest.positive_class) == (
        "orchard",
        "sold",
        ("no", "yes"),
        "yes",
    )
    assert [(feature.name, feature.kind, feature.nullable) for feature in manifest.features] == [
        ("weight", "numeric", True),
        ("age", "numeric", False),
        ("grade", "ordinal", True),
        ("colour", "nominal", True),
        ("soil", "nominal", False),
    ]
    assert manifest.data.source == "farm"
    assert manifest.metrics.held_out["roc_auc"] > 0.7
    assert not list(options.models.glob("adult*"))


def test_a_folder_with_another_models_bundle_is_refused_before_anything_is_done(training_options, capsys, tmp_path):
    (tmp_path / "other_model.json").write_text("{}")
    with pytest.raises(BundleError, match=r"other_model\.json"):
        train(dataclasses.replace(training_options, models=tmp_path, storage=f"sqlite:///{tmp_path / 'never.db'}"))
    assert not (tmp_path / "never.db").exists()


def test_if_missing_leaves_a_whole_bundle_alone(training_options, models, capsys):
    before = {path: path.stat().st_mtime_ns for path in models.rglob("*")}
    assert main(["--if-missing", "--models", str(models), "--data", "nonsense"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in models.rglob("*")} == before


def test_if_missing_leaves_a_bundle_of_another_model_alone(tmp_path, capsys):
    REGRESSION.write(tmp_path)
    assert main(["--if-missing", "--models", str(tmp_path), "--data", "nonsense"]) == 0
    assert capsys.readouterr().out == f"{tmp_path} holds a whole bundle of all_kinds; nothing to do\n"


def test_if_missing_trains_where_the_bundle_is_damaged(models, capsys, tmp_path):
    damaged = Path(shutil.copytree(models, tmp_path / "models", symlinks=True))
    next(damaged.glob("*/*.pkl")).write_bytes(b"")
    folders = ["--models", str(damaged), "--reports", str(tmp_path / "reports")]
    assert main(["--if-missing", *folders, "--data", "nonsense"]) == 1
    assert "DATA='nonsense'" in capsys.readouterr().err
