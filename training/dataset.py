"""What a data set must say about itself to be trained and served: the types that a dataset module fills in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bundle.graph_names import CATEGORICAL, LABEL, NUMERIC, PROBABILITIES


@dataclass(frozen=True, kw_only=True)
class Numeric:
    """A number. Missing values (if `nullable`) reach the trees as NaN."""

    name: str
    integer: bool = False
    nullable: bool = False
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Ordinal:
    """A category with a rank; `categories` from lowest to highest. Missing and unknown reach the trees as NaN."""

    name: str
    categories: tuple[str, ...]
    nullable: bool = False
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Nominal:
    """A category without a rank. Missing is a category of its own; unknown is none of them."""

    name: str
    nullable: bool = False
    description: str = ""


FeatureSpec = Numeric | Ordinal | Nominal


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A raw file: its name in the data folder, its digest, and where it can be had.

    Each source is a URL of the file itself, or `URL#member` for a member of a zip archive. They are tried in order.
    """

    name: str
    bytes: int
    sha256: str
    sources: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A tabular binary classification data set.

    `parse` turns the raw files (name to content) into one frame with a column per feature and the target: strings for
    categories and the target, Float64 for numbers, null for missing. It raises DataError naming file, row and column.
    `classes` are the target's two labels: the negative one, then the positive one. `source` names the real files in the
    manifest. `synthetic_statistics` is what `training.data.synthetic` samples from when the real files can't be had.
    """

    name: str
    source: str
    features: tuple[FeatureSpec, ...]
    target: str
    classes: tuple[str, str]
    files: tuple[RemoteFile, ...]
    parse: Callable[[Mapping[str, bytes]], pl.DataFrame]
    synthetic_statistics: Path | None = None
    synthetic_rows: int = 0
    held_out_fraction: float = 0.33
    split_seed: int = 42

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(
                f"{self.name!r} can't name a data set, which names files: use letters, digits, underscores"
            )
        names = [feature.name for feature in self.features]
        for name in [*names, self.target]:
            if not name.isidentifier() or name.startswith("_"):
                raise ValueError(f"{self.name}: {name!r} can't be a column: use letters, digits and inner underscores")
        if taken := {CATEGORICAL, NUMERIC, LABEL, PROBABILITIES}.intersection(names):
            raise ValueError(f"{self.name}: {sorted(taken)} can't be features: the exported graph has these names")
        if len(set(names)) != len(names) or self.target in names:
            raise ValueError(f"{self.name}: the feature and target names must all differ")
        if len(set(self.classes)) != 2:
            raise ValueError(f"{self.name}: two different classes are needed, not {self.classes}")

    @property
    def categorical(self) -> tuple[Ordinal | Nominal, ...]:
        """Ordinal and nominal features, in feature order."""
        return tuple(feature for feature in self.features if not isinstance(feature, Numeric))

    @property
    def numeric(self) -> tuple[Numeric, ...]:
        """Numeric features, in feature order."""
        return tuple(feature for feature in self.features if isinstance(feature, Numeric))
