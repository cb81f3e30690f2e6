"""The manifest: the typed description of a bundle, as `<name>.json` holds it.

Every fact about the data set that a service, a load test or a report needs (column names, categories, class labels, the
threshold) is read from here and appears nowhere in their code. docs/bundle.md describes it field by field.
"""

import hashlib
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec

from bundle.distributions import Distributions
from bundle.errors import BundleError
from bundle.files import read_regular
from bundle.graph_names import Task
from bundle.training_record import Data, Metrics, Parity, Study, TrainingRecord

FORMAT_VERSION = 2

MAX_MANIFEST_BYTES = 16 << 20
"""A longer manifest is not read."""

FeatureKind = Literal["numeric", "boolean", "date", "ordinal", "nominal"]
CATEGORICAL_KINDS: tuple[FeatureKind, ...] = ("ordinal", "nominal")
"""Kinds whose values are strings, in JSON and in the graphs."""

ArtifactKind = Literal["onnx", "onnx_packed", "pickle", "reference"]
Frame = Literal["polars", "pandas", "numpy"]
ClassLabel = bool | int | str
"""A class label as it is in the data; all labels of a model have one type."""


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """One input column, in the order in which the pipeline was fitted. `name` is the JSON key and the column's name.

    A null in a `nullable` feature means missing. `integer` numbers are whole. `categories` are the published strings
    (ordinal: in rank order); `rare` are those that the model also knows but that few rows had, and that are never
    published. An `open` feature has no known categories: every string is passed on unchanged. `minimum` and `maximum`
    are the observed range of a numeric feature, or of a date in days since 1970-01-01. `dtype` is the column type that
    the pickle expects, by its name in the library of `Manifest.frame`; empty for the usual one. `graph_input` is the
    name of the named graph's input if it can't be the feature's own name.
    """

    name: str
    kind: FeatureKind
    nullable: bool
    example: str | int | float | bool | None
    integer: bool = False
    description: str = ""
    categories: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()
    open: bool = False
    minimum: float | None = None
    maximum: float | None = None
    dtype: str = ""
    graph_input: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError: the parts contradict each other."""
        categorical = self.kind in CATEGORICAL_KINDS
        if not self.name:
            raise ValueError("a feature has no name")
        if self.example is None and not self.nullable:
            raise ValueError(f"feature {self.name!r} is not nullable, but its example is null")
        if not categorical and (self.categories or self.rare or self.open):
            raise ValueError(f"feature {self.name!r} is {self.kind}, and can't have categories")
        if self.open and (self.categories or self.rare or self.nullable or self.kind != "nominal"):
            raise ValueError(f"feature {self.name!r} is open: it must be nominal, not nullable, without categories")
        if self.integer and self.kind != "numeric":
            raise ValueError(f"feature {self.name!r} is {self.kind}, and can't be integer")


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """The strings that stand for a missing and for an unseen category in a string tensor.

    They differ from each other and from all categories of the bundle, so that no string from a client has a special
    meaning.
    """

    missing: str
    unseen: str

    def __post_init__(self) -> None:
        """Raises ValueError: the two are the same."""
        if self.missing == self.unseen:
            raise ValueError("the tokens for missing and unseen categories are the same")


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """The model's answer to the row of all features' examples: class index and probabilities, or a value."""

    prediction: int | float
    probabilities: tuple[float, ...] = ()


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


class Manifest(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The whole manifest. `classes[i]` is the label of class index i; the services' `prediction` is that index.

    `classes` is empty for a regressor; only a binary classifier has `positive_class` and `decision_threshold`. Fields
    that only training can fill are None in a packaged bundle. `frame` is the type in which the pickle takes rows. Drift
    is measured against `distributions`.
    """

    format_version: int
    name: str
    version: str
    created: datetime
    task: Task
    features: tuple[Feature, ...]
    target: str
    classes: tuple[ClassLabel, ...] = ()
    positive_class: ClassLabel | None = None
    decision_threshold: float | None = None
    tokens: Tokens
    expected: Expected
    frame: Frame = "polars"
    metrics: Metrics | None = None
    study: Study | None = None
    data: Data | None = None
    parity: Parity | None = None
    distributions: Distributions | None = None
    libraries: dict[str, str]
    artifacts: dict[ArtifactKind, Artifact]

    def __post_init__(self) -> None:
        """Raises ValueError: the parts contradict each other."""
        names = [feature.name for feature in self.features]
        if not names or len(set(names)) != len(names):
            raise ValueError("there must be features, and their names must differ")
        for feature in self.features:
            if taken := {self.tokens.missing, self.tokens.unseen}.intersection(feature.categories + feature.rare):
                raise ValueError(f"feature {feature.name!r} has a token as a category: {sorted(taken)}")
        self._check_classes()

    def _check_classes(self) -> None:
        kinds = {type(label) for label in self.classes}
        if len(kinds) > 1 or len(set(self.classes)) != len(self.classes):
            raise ValueError("the classes must differ, and be of one type")
        least, most = {"binary_classification": (2, 2), "multiclass_classification": (3, None), "regression": (0, 0)}[
            self.task
        ]
        if len(self.classes) < least or (most is not None and len(self.classes) > most):
            raise ValueError(f"{len(self.classes)} classes are not those of {self.task}")
        binary = self.task == "binary_classification"
        if (self.positive_class is not None, self.decision_threshold is not None) != (binary, binary):
            raise ValueError("positive_class and decision_threshold belong to binary_classification, and only there")
        if binary and self.positive_class not in self.classes:
            raise ValueError(f"positive_class {self.positive_class!r} is none of the classes")
        if len(self.expected.probabilities) != len(self.classes):
            raise ValueError("the expected answer needs a probability for every class")

    @cached_property
    def categorical(self) -> tuple[Feature, ...]:
        """Ordinal and nominal features, in feature order: the columns of the packed graph's string input."""
        return tuple(feature for feature in self.features if feature.kind in CATEGORICAL_KINDS)

    @cached_property
    def numeric(self) -> tuple[Feature, ...]:
        """All other features, in feature order: the columns of the packed graph's float input."""
        return tuple(feature for feature in self.features if feature.kind not in CATEGORICAL_KINDS)

    @property
    def data_source(self) -> str:
        """Where the training rows came from, as far as it is known."""
        return self.data.source if self.data else "unknown"

    @property
    def record(self) -> TrainingRecord:
        """What training recorded about the model.

        Raises:
            BundleError: the model was not trained here.
        """
        if self.metrics is None or self.study is None or self.data is None or self.parity is None:
            raise BundleError(f"{self.name}: the bundle was packaged, so it holds no record of its training")
        return TrainingRecord(metrics=self.metrics, study=self.study, data=self.data, parity=self.parity)


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode_manifest(content: bytes, origin: str) -> Manifest:
    """Parse a manifest; `origin` names it in errors.

    Raises:
        BundleError: not JSON, not a manifest, of a format that this code doesn't read, or its parts contradict each
            other.
    """
    try:
        version = msgspec.json.decode(content, type=dict[str, object]).get("format_version")
        if version != FORMAT_VERSION:
            raise BundleError(
                f"{origin}: bundle format {version!r}, but this code reads {FORMAT_VERSION}; "
                "`make train` (or `make package`) makes a new one"
            )
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
    the artifacts, it pins them, too: whoever can write to the folder can then stop a service, but not change its model.

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
