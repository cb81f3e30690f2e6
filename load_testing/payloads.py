"""Request bodies and the answers that are expected for them, from the bundle's reference rows."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from bundle.artifacts import read_artifact
from bundle.manifest import Feature, Manifest, read_manifest
from bundle.reference import CASE, LABEL, PROBABILITIES, ROW, VALUE

_EXACT_INTEGER = 2**53  # a double holds every whole number up to here


@dataclass(frozen=True)
class Reference:
    """The reference rows of a bundle, in the file's order.

    `bodies[i]` is row i as a JSON object; `labels` int64 [rows] the expected class indices, 0 for a regressor;
    `numbers` float32 [rows, classes] the expected probabilities, or [rows, 1] the values; `cases[i]` the kind of row
    (`held_out` or an edge case).
    """

    manifest: Manifest
    bodies: list[bytes]
    labels: NDArray[np.int64]
    numbers: NDArray[np.float32]
    cases: list[str]


def read_reference(folder: Path) -> Reference:
    """Read the manifest and the reference rows of the bundle in `folder`.

    Raises:
        BundleError: there is no bundle, or a file of it is missing or altered.
    """
    manifest = read_manifest(folder)
    rows = pl.read_parquet(io.BytesIO(read_artifact(manifest, "reference", folder)))
    if manifest.task == "regression":
        labels, numbers = np.zeros(rows.height, dtype=np.int64), rows[VALUE].to_numpy().reshape(-1, 1)
    else:
        labels, numbers = rows[LABEL].to_numpy().astype(np.int64), np.array(rows[PROBABILITIES].to_list())
    return Reference(
        manifest=manifest,
        bodies=encode_rows(rows[ROW].struct.unnest(), manifest.features),
        labels=labels,
        numbers=numbers.astype(np.float32),
        cases=rows[CASE].to_list(),
    )


def encode_rows(rows: pl.DataFrame, features: Iterable[Feature]) -> list[bytes]:
    """One JSON object per row, null for missing; dates as ISO 8601 strings.

    Every other row has its whole numbers written as integers (`40`), the rest as floats (`40.0`): clients do both, and
    both must give the same answer.
    """
    columns = {feature.name: rows[feature.name].to_list() for feature in features}
    for feature in features:
        if feature.kind == "numeric":
            column = columns[feature.name]
            column[::2] = [_as_integer(value) for value in column[::2]]
    encode = msgspec.json.Encoder().encode
    return [encode(dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]


def batch_body(bodies: Iterable[bytes]) -> bytes:
    """The JSON array of already encoded rows."""
    return b"[" + b",".join(bodies) + b"]"


def _as_integer(value: float | None) -> float | int | None:
    whole = value is not None and abs(value) <= _EXACT_INTEGER and value == int(value)
    return int(value) if whole and value is not None else value
