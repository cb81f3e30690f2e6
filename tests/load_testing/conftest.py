"""A bundle of another data set than the repository's, and a stub service for it: see `stub_service.py`."""

import hashlib
import io
import signal
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bundle.manifest import (
    FORMAT_VERSION,
    Artifact,
    Expected,
    Feature,
    Manifest,
    Tokens,
    encode_manifest,
    utc_now,
)
from bundle.reference import CASE, HELD_OUT, LABEL, PROBABILITIES, ROW, TARGET
from bundle.training_record import Data, Metrics, Parity, Study
from load_testing.services import ServiceSpec

STUB = Path(__file__).with_name("stub_service.py")
ROWS = 250


def make_manifest(reference: bytes = b"") -> Manifest:
    artifact = Artifact(file="m.reference.parquet", bytes=len(reference), sha256=hashlib.sha256(reference).hexdigest())
    return Manifest(
        format_version=FORMAT_VERSION,
        name="m",
        version="abc123",
        created=utc_now(),
        task="binary_classification",
        features=(
            Feature(name="number", kind="numeric", nullable=False, example=1),
            Feature(name="half", kind="numeric", nullable=True, example=0.5),
            Feature(name="colour", kind="nominal", nullable=True, example="red"),
        ),
        target="taste",
        classes=("sour", "sweet"),
        positive_class="sweet",
        decision_threshold=0.5,
        tokens=Tokens(missing="<missing>", unseen="<unseen>"),
        expected=Expected(prediction=0, probabilities=(0.999, 0.001)),
        metrics=Metrics(out_of_fold={}, held_out={}),
        study=Study(
            objective="F2",
            score="f2",
            seed=0,
            folds=2,
            trials=1,
            completed=1,
            pruned=0,
            best_value=0.0,
            best_parameters={},
        ),
        data=Data(
            source="synthetic",
            files=(),
            rows=ROWS,
            training_rows=0,
            held_out_rows=ROWS,
            positive_fraction=0.5,
            split_seed=0,
        ),
        parity=Parity(
            rows=0,
            edge_case_rows=0,
            label_mismatches=0,
            max_abs_difference=0.0,
            mean_abs_difference=0.0,
            tolerance=1e-6,
            trees=1,
        ),
        libraries={},
        artifacts={"reference": artifact, "pickle": Artifact(file="f/m.pkl", bytes=1500, sha256="")},
    )


def reference_rows() -> pl.DataFrame:
    """P(positive) is number / 1000, as the stub service has it."""
    number = np.arange(ROWS, dtype=np.float64) * 4
    rows = pl.DataFrame(
        {
            "number": number,
            "half": [None if i % 5 == 0 else i + 0.5 for i in range(ROWS)],
            "colour": [None if i % 7 == 0 else 'bl"ue' for i in range(ROWS)],
        }
    )
    return pl.DataFrame(
        {
            ROW: rows.to_struct(),
            CASE: [HELD_OUT] * (ROWS - 10) + ["missing:half"] * 10,
            TARGET: pl.Series([0] * ROWS, dtype=pl.Int32),
            LABEL: pl.Series(number >= 500).cast(pl.Int32),
            PROBABILITIES: pl.Series([[1 - p, p] for p in number / 1000], dtype=pl.List(pl.Float32)),
        }
    )


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    content = io.BytesIO()
    reference_rows().write_parquet(content)
    (folder / "m.reference.parquet").write_bytes(content.getvalue())
    (folder / "m.json").write_bytes(encode_manifest(make_manifest(content.getvalue())))
    return folder


@pytest.fixture
def stub():
    """Specs of stub services by behaviour."""

    def spec(behaviour: str) -> ServiceSpec:
        return ServiceSpec(behaviour, (sys.executable, str(STUB), behaviour), "pickle")

    return spec


@pytest.fixture
def keep_signal_handlers():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def taste_manifest() -> Manifest:
    return make_manifest()
