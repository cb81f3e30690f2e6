"""The small bundle's reference rows, and a run of the command on them."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest

from bundle.artifacts import read_artifact
from bundle.manifest import Manifest
from scale.scoring.score import main

Run = Callable[..., int]


@pytest.fixture(scope="session")
def reference(models: Path, manifest: Manifest) -> pl.DataFrame:
    """Held-out rows and edge cases with what the in-process pipeline gave for them."""
    return pl.read_parquet(io.BytesIO(read_artifact(manifest, "reference", models)))


@pytest.fixture
def features(reference: pl.DataFrame, manifest: Manifest) -> pl.DataFrame:
    return reference["row"].struct.unnest()


@pytest.fixture
def run(models: Path) -> Run:
    """`run(input, output, *further arguments)` gives the exit status of the command."""

    def command(given: Path | str, output: Path, *further: str) -> int:
        arguments: Sequence[str] = ["--input", str(given), "--output", str(output), "--models", str(models), *further]
        return main(arguments)

    return command
