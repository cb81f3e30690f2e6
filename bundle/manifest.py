"""The manifest: the typed description of a bundle, as `<name>.json` holds it.

Every fact about the data set that a service, a load test or a report needs (column names, categories, class labels, the
threshold) is read from here and stands nowhere else in their code.
"""

import hashlib
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec

from bundle.errors import BundleError
from bundle.files import read_regular

FORMAT_VERSION = 1

MAX_MANIFEST_BYTES = 16 << 20
"""A longer manifest is not read."""

FeatureKind = Literal["numeric", "ordinal", "nominal"]
ArtifactKind = Literal["onnx", "onnx_packed", "pickle", "reference"]


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """One input column, in the order in which the pipeline was fitted.

    `categories` are the strings seen in training (ordinal: in rank order); `minimum` and `maximum` the observed range
    of a numeric feature. A null in a `nullable` feature means missing: NaN for a numeric one, `missing_token` for the
    rest.
    """

    name: str
    kind: FeatureKind
    nullable: bool
    example: str | int | float | None
    description: str = ""
    categories: tuple[str, ...] = ()
    missing_token: str | None = None
    minimum: float | None = None
    maximum: float | None = None


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the bundle: its path relative to the manifest, size in bytes, and SHA-256 in hexadecimal."""

    file: str
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        """Raises ValueError: the path could lead out of the bundle's folder."""
        parts = self.file.split("/")
        if not set(parts).isdisjoint(("", ".", "..")) or "\\" in self.file or "\0" in self.file:
            raise ValueError(f"{self.file!r} is not a relative path inside the bundle, with '/' between its parts")


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """A raw data file that training read."""

    name: str
    bytes: int
    sha256: str


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """Where the rows came from. `source` is the data set's own name for its real files, or `synthetic`."""

    source: str
    files: tuple[SourceFile, ...]
    rows: int
    training_rows: int
    held_out_rows: int
    positive_fraction: float
    split_seed: int


class FrontTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A trial on the Pareto front of F2 against latency.

    `f2` is out of fold, `standard_error` its own over samples of such rows. `us_per_row` is ONNX Runtime's time for the
    packed graph in microseconds, one row a call; `us_per_row_of_100` that of a row in calls of a hundred. `depth` is
    the largest one allowed; `nodes` are all trees' inner nodes and leaves.
    """

    trial: int
    f2: float
    standard_error: float
    us_per_row: float
    us_per_row_of_100: float
    trees: int
    depth: int
    nodes: int
    graph_bytes: int


class Study(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The hyperparameter search: F2 on out-of-fold predictions of the training split, alone or against latency.

    `best_value` and `best_parameters` are F2 and parameters of the trial that was published. `chosen_trial` is its
    number and `choice` says how it was chosen, if it wasn't for the best F2; `front` is empty where F2 was the only
    objective. None of these three stands in the manifest of a run that doesn't need them.
    """

    objective: str
    seed: int
    folds: int
    trials: int
    completed: int
    pruned: int
    best_value: float
    best_parameters: dict[str, int | float]
    chosen_trial: int | None = None
    choice: str = ""
    front: tuple[FrontTrial, ...] = ()


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """What the parity gate measured between the pickled pipeline and ONNX Runtime, over both graphs."""

    rows: int
    edge_case_rows: int
    label_mismatches: int
    max_abs_difference: float
    mean_abs_difference: float
    tolerance: float
    trees: int


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Scores at the decision threshold (F2, precision, recall, ...) and over all thresholds (areas, losses)."""

    out_of_fold: dict[str, float]
    held_out: dict[str, float]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The whole manifest. `classes[i]` is the label of class index i; the services' `prediction` is that index."""

    format_version: int
    name: str
    version: str
    created: datetime
    task: Literal["binary_classification"]
    features: tuple[Feature, ...]
    target: str
    classes: tuple[str, str]
    positive_class: str
    decision_threshold: float
    metrics: Metrics
    study: Study
    data: Data
    parity: Parity
    libraries: dict[str, str]
    artifacts: dict[ArtifactKind, Artifact]

    @cached_property
    def categorical(self) -> tuple[Feature, ...]:
        """Ordinal and nominal features, in feature order: the columns of the packed graph's string input."""
        return tuple(feature for feature in self.features if feature.kind != "numeric")

    @cached_property
    def numeric(self) -> tuple[Feature, ...]:
        """Numeric features, in feature order: the columns of the packed graph's float input."""
        return tuple(feature for feature in self.features if feature.kind == "numeric")


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode_manifest(content: bytes, origin: str) -> Manifest:
    """Parse a manifest; `origin` names it in errors.

    Raises:
        BundleError: not JSON, not a manifest, or of a format that this code doesn't read.
    """
    try:
        version = msgspec.json.decode(content, type=dict[str, object]).get("format_version")
        if version != FORMAT_VERSION:
            raise BundleError(f"{origin}: bundle format {version!r}, but this code reads {FORMAT_VERSION}; train again")
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{origin}: not a valid manifest: {error}") from error
    except RecursionError:
        raise BundleError(f"{origin}: not a valid manifest: nested too deeply") from None


def find_manifest(folder: Path) -> Path:
    """The one manifest in a model folder.

    Raises:
        BundleError: there is no manifest in the folder, or more than one.
    """
    found = sorted(folder.glob("*.json"))
    if not found:
        raise BundleError(f"{folder}: no model bundle here; `make train` publishes one")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise BundleError(f"{folder}: more than one manifest ({names}); keep one model in a folder")
    return found[0]


def read_manifest(folder: Path, *, pin: str | None = None) -> Manifest:
    """Read the manifest of the bundle in `folder`.

    `pin` is the SHA-256 that its bytes must have, in lower-case hexadecimal. Since the manifest holds the digests of
    the artifacts, it pins them, too: who can write to the folder can then stop a service, but not change its model.

    Raises:
        BundleError: as `find_manifest` and `decode_manifest`, or the file can't be read, or is not the pinned one.
    """
    path = find_manifest(folder)
    try:
        content = read_regular(path, most=MAX_MANIFEST_BYTES)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    digest = hashlib.sha256(content).hexdigest()
    if pin is not None and digest != pin:
        raise BundleError(f"{path}: SHA-256 {digest[:12]}… differs from the pinned {pin[:12]}…: not the bundle meant")
    return decode_manifest(content, str(path))


def utc_now() -> datetime:
    """The current time in UTC, to the second, as the manifest records it."""
    return datetime.now(UTC).replace(microsecond=0)
