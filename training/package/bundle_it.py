"""The last steps of packaging, whatever the model came as: the gate, the reference rows, the manifest, publishing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import polars as pl

from bundle.manifest import ArtifactKind, Manifest
from bundle.reference import CASE, HELD_OUT, ROW
from training.errors import ConversionError
from training.export.artifacts import example_row, expected_of, reference_rows, write_reference
from training.export.distributions import packaged_distributions
from training.export.edge_cases import edge_cases
from training.export.graphs import tree_count
from training.export.interface import Interface, Tensors
from training.export.parity import check_parity
from training.export.predictions import Predictions
from training.export.publish import check_vacant, publish, stage
from training.export.splits import split_thresholds
from training.manifest import library_versions, make_manifest
from training.package.quality import Rounding, TargetScore, compare_unrounded, score_rows

REFERENCE_ROWS = 10_000
"""The most of the given rows that become reference rows; the gate checks all of them."""


@dataclass(frozen=True)
class Source:
    """A model to be packaged: its answers to tensors, its graphs, its pickle if it has one, and the libraries in it.

    `made_up`: no rows were given, so that those it is checked on say nothing about the model's traffic.
    """

    interface: Interface
    graphs: Mapping[ArtifactKind, bytes]
    answer: Callable[[Tensors], Predictions]
    libraries: Sequence[str]
    pickled: bytes | None = None
    made_up: bool = False


@dataclass(frozen=True)
class Packaged:
    """The published manifest, and what was measured on the way. `apart`: how many rows the model and the graphs answer
    differently within the given tolerance; they are left out of the reference rows.
    """

    manifest: Manifest
    apart: int
    rounding: Rounding | None
    score: TargetScore | None


def make_bundle(
    name: str, source: Source, rows: pl.DataFrame, target: pl.Series | None, target_name: str, models: Path,
    tolerance: float | None,
) -> Packaged:  # fmt: skip
    """Check the graphs on all rows and edge cases, and publish.

    Raises:
        ParityError: the graphs don't give what the model gives.
        BundleError, OSError: it can't be published.
    """
    check_vacant(name, models)
    interface = source.interface
    reference, expected = _answered(source, rows, target)
    trees = tree_count(source.graphs["onnx_packed"])
    compared = check_parity(interface, reference, expected, source.graphs, trees=trees, tolerance=tolerance)
    kept = compared.equal & ((np.arange(reference.height) < REFERENCE_ROWS) | (reference[CASE] != HELD_OUT).to_numpy())
    contents: dict[ArtifactKind, bytes] = {**source.graphs}
    contents["reference"] = write_reference(interface, reference.filter(pl.Series(kept)), expected.at(kept))
    if source.pickled is not None:
        contents["pickle"] = source.pickled
    answers = expected.at(slice(rows.height))
    staged = stage(name, contents)
    manifest = make_manifest(
        interface,
        name,
        target_name,
        expected_of(interface, source.answer(interface.tensors(example_row(interface)))),
        staged,
        library_versions(("numpy", "onnx", "onnxruntime", *source.libraries)),
        parity=compared.parity,
        distributions=None if source.made_up else packaged_distributions(interface, rows, answers),
    )
    rounding = compare_unrounded(interface, source.answer, rows, answers)
    score = None if target is None else score_rows(interface, answers, target)
    publish(manifest, staged, models)
    return Packaged(manifest, int((~compared.equal).sum()), rounding, score)


def _answered(source: Source, rows: pl.DataFrame, target: pl.Series | None) -> tuple[pl.DataFrame, Predictions]:
    """The rows and the edge cases with the model's answers. Edge cases whose answer overflows, which no service could
    give, are left out.

    Raises:
        ConversionError: the answer to one of the rows is not a finite number.
    """
    interface = source.interface
    splits = split_thresholds(onnx.load_from_string(source.graphs["onnx_packed"]), interface, rows)
    reference = reference_rows(interface, rows, target, edge_cases(interface, rows, splits))
    answers = source.answer(interface.tensors(reference[ROW].struct.unnest()))
    finite = np.asarray(np.isfinite(answers.numbers).all(axis=1))
    if not finite[: rows.height].all():
        first = int(np.argmin(finite))
        raise ConversionError(f"the model's answer to row {first} of ROWS is not finite: {reference[ROW][first]}")
    return reference.filter(pl.Series(finite)), answers.at(finite)
