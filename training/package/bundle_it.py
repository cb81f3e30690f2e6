"""The last steps of packaging, whatever the model came as: the gate, the reference rows, the manifest, publishing."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import onnx
import polars as pl

from bundle.distributions import Distributions
from bundle.manifest import FORMAT_VERSION, ArtifactKind, Manifest, utc_now
from bundle.reference import CASE, HELD_OUT, ROW, TARGET
from bundle.training_record import Parity
from training.errors import ConversionError
from training.export.artifacts import example_row, expected_of, write_reference
from training.export.distributions import packaged_distributions
from training.export.edge_cases import edge_cases
from training.export.graphs import tree_count
from training.export.interface import Interface, Tensors
from training.export.parity import check_parity
from training.export.predictions import Predictions
from training.export.publish import StagedArtifacts, check_vacant, publish, stage
from training.export.splits import split_thresholds

REFERENCE_ROWS = 10_000
"""At most so many of the given rows become reference rows; the gate checks all of them."""


@dataclass(frozen=True)
class Source:
    """A model to be packaged: its answers to tensors, its graphs, its pickle if it has one, and the libraries in it.

    `made_up`: nobody gave rows, so that those it is checked on say nothing of the model's traffic.
    """

    interface: Interface
    graphs: Mapping[ArtifactKind, bytes]
    answer: Callable[[Tensors], Predictions]
    libraries: Sequence[str]
    pickled: bytes | None = None
    made_up: bool = False


def make_bundle(
    name: str, source: Source, rows: pl.DataFrame, target: pl.Series | None, target_name: str, models: Path,
    tolerance: float | None,
) -> tuple[Manifest, int]:  # fmt: skip
    """Check the graphs on all rows and edge cases, and publish. Returns the manifest, and how many rows the model and
    the graphs answer differently within the given tolerance, which are no reference rows.

    Raises:
        ParityError: the graphs don't give what the model gives.
        BundleError, OSError: it can't be published.
    """
    check_vacant(name, models)
    interface = source.interface
    reference = _reference(source, rows, target)
    tensors = interface.tensors(reference[ROW].struct.unnest())
    expected = answers = source.answer(tensors)
    finite = np.asarray(np.isfinite(expected.numbers).all(axis=1))
    if not finite[: rows.height].all():
        first = int(np.argmin(finite))
        raise ConversionError(f"the model's answer to row {first} of ROWS is no finite number: {reference[ROW][first]}")
    reference, expected = _chosen(reference, expected, finite)  # extremes may overflow: no service could answer them
    trees = tree_count(source.graphs["onnx_packed"])
    compared = check_parity(interface, reference, expected, source.graphs, trees=trees, tolerance=tolerance)
    kept = compared.equal & ((np.arange(reference.height) < REFERENCE_ROWS) | (reference[CASE] != HELD_OUT).to_numpy())
    contents: dict[ArtifactKind, bytes] = {**source.graphs}
    contents["reference"] = write_reference(interface, *_chosen(reference, expected, kept))
    if source.pickled is not None:
        contents["pickle"] = source.pickled
    distributions = None if source.made_up else packaged_distributions(interface, rows, _first(answers, rows.height))
    staged = stage(name, contents)
    manifest = _manifest(name, source, compared.parity, distributions, target_name, staged)
    publish(manifest, staged, models)
    return manifest, int((~compared.equal).sum())


def _chosen(reference: pl.DataFrame, answers: Predictions, rows: np.ndarray) -> tuple[pl.DataFrame, Predictions]:
    return reference.filter(pl.Series(rows)), Predictions(answers.labels[rows], answers.numbers[rows])


def _first(answers: Predictions, rows: int) -> Predictions:
    return Predictions(answers.labels[:rows], answers.numbers[:rows])


def _reference(source: Source, rows: pl.DataFrame, target: pl.Series | None) -> pl.DataFrame:
    interface = source.interface
    splits = split_thresholds(onnx.load_from_string(source.graphs["onnx_packed"]), interface, rows)
    edges = edge_cases(interface, rows, splits)
    kind = pl.Float64 if interface.task == "regression" else pl.Int32
    given = pl.DataFrame(
        {
            ROW: rows.select(pl.struct(feature.name for feature in interface.features).alias(ROW))[ROW],
            CASE: pl.Series([HELD_OUT] * rows.height, dtype=pl.String),
            TARGET: pl.Series([None] * rows.height if target is None else target, dtype=kind),
        }
    )
    return pl.concat([given, edges.select(ROW, CASE, pl.lit(None, dtype=kind).alias(TARGET))])


def _manifest(
    name: str, source: Source, parity: Parity, distributions: Distributions | None, target: str,
    staged: StagedArtifacts,
) -> Manifest:  # fmt: skip
    interface = source.interface
    binary = interface.task == "binary_classification"
    return Manifest(
        format_version=FORMAT_VERSION,
        name=name,
        version=staged.version,
        created=utc_now(),
        task=interface.task,
        features=interface.features,
        target=target,
        classes=interface.classes,
        positive_class=interface.classes[interface.positive] if binary else None,
        decision_threshold=interface.threshold if binary else None,
        tokens=interface.tokens,
        expected=expected_of(interface, source.answer(interface.tensors(example_row(interface)))),
        frame=interface.frame,
        parity=parity,
        distributions=distributions,
        libraries=_versions(("numpy", "onnx", "onnxruntime", *source.libraries)),
        artifacts=staged.artifacts,
    )


def _versions(names: Sequence[str]) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in names:
        for distribution in (name, f"{name}-cpu"):
            try:
                found[name] = version(distribution)
                break
            except PackageNotFoundError:
                continue
    return found
