"""What a data set must say about itself to be trained and served: the types that a dataset module fills in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import polars as pl
from sklearn.base import BaseEstimator

from bundle.graph_names import Task
from bundle.manifest import ClassLabel


@dataclass(frozen=True, kw_only=True)
class Numeric:
    """A number. Missing values (if `nullable`) reach the trees as NaN."""

    name: str
    integer: bool = False
    nullable: bool = False
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Boolean:
    """True or false. The trees get 1 and 0, and NaN for a missing one."""

    name: str
    nullable: bool = False
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Date:
    """A calendar date. The trees get days since 1970-01-01, and NaN for a missing one."""

    name: str
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


FeatureSpec = Numeric | Boolean | Date | Ordinal | Nominal


FEATURE_TYPES = (Numeric, Boolean, Date, Ordinal, Nominal)

Parameters = Mapping[str, Any]
"""A model's parameters, as a search space has suggested them."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A raw file: its name in the data folder, and where it can be downloaded.

    Each source is a URL of the file itself, or `URL#member` for a member of a zip archive. They are tried in order.
    With a `sha256` the file must have that digest; without one, any file will do, and the manifest has its digest.
    """

    name: str
    bytes: int | None = None
    sha256: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A tabular data set, and what is to be predicted.

    `parse` turns the raw files (name to content) into one frame with a column per feature and the target: String for
    categories, Float64 or integers for numbers, Boolean, Date, and null for missing. It raises DataError naming file,
    row and column. `classes` are the target's labels, of one type; of two the second is the positive one; without any
    the target is a number. `source` names the real files in the manifest. `synthetic_statistics` is what
    `training.data.synthetic` samples from when the real files can't be had.

    `score` is what the study maximises: f<beta>, or the name of a scorer of scikit-learn. `pipeline` makes an unfitted
    scikit-learn pipeline of the parameters that `space` suggests, and of a seed; both together take the place of
    XGBoost behind the preprocessing of `training.model.pipeline`. Categories of fewer than `min_frequency` training
    rows are treated as one, together with those never seen, and published nowhere.

    `missing_token` has no effect: a missing value reaches the pipeline as null. Modules from the time when it was
    filled in for missing values may still give it.
    """

    name: str
    source: str
    features: tuple[FeatureSpec, ...]
    target: str
    files: tuple[RemoteFile, ...]
    parse: Callable[[Mapping[str, bytes]], pl.DataFrame]
    classes: tuple[ClassLabel, ...] = ()
    score: str = ""
    pipeline: Callable[[Parameters, int], BaseEstimator] | None = None
    space: Callable[[optuna.Trial], Parameters] | None = None
    min_frequency: int = 10
    missing_token: str = ""
    synthetic_statistics: Path | None = None
    synthetic_rows: int = 0
    held_out_fraction: float = 0.33
    split_seed: int = 42

    def __post_init__(self) -> None:
        problems = [*self._name_problems(), *self._class_problems()]
        if (self.pipeline is None) != (self.space is None):
            problems.append("pipeline and space belong together: give both or neither")
        if not 0 < self.held_out_fraction < 1:
            problems.append(f"held_out_fraction is {self.held_out_fraction}, but must lie between 0 and 1")
        if problems:
            raise ValueError(f"data set {self.name!r}: " + "; ".join(problems))

    def _name_problems(self) -> list[str]:
        problems = []
        if not self.name.isidentifier():
            problems.append(f"{self.name!r} can't name files: use letters, digits and underscores")
        others = [feature for feature in self.features if not isinstance(feature, FEATURE_TYPES)]
        if others or not self.features:
            kinds = ", ".join(kind.__name__ for kind in FEATURE_TYPES)
            return [*problems, f"features must be of {kinds}, not {others or 'none at all'}"]
        names = [feature.name for feature in self.features]
        if not all(isinstance(name, str) and name for name in (*names, self.target)):
            problems.append("every feature and the target needs a name")
        twice = sorted({name for name in names if names.count(name) > 1})
        problems += [f"two features are named {name!r}" for name in twice]
        if self.target in names:
            problems.append(f"the target {self.target!r} is among the features")
        return problems

    def _class_problems(self) -> list[str]:
        kinds = sorted({type(label).__name__ for label in self.classes})
        problems = []
        if len(kinds) > 1 or not set(kinds) <= {"str", "int", "bool"}:
            problems.append(f"classes must all be strings, all integers or all booleans, not {self.classes}")
        if len(set(self.classes)) != len(self.classes) or len(self.classes) == 1:
            problems.append(f"at least two different classes are needed, not {self.classes}")
        return problems

    @property
    def task(self) -> Task:
        """What kind of target it is."""
        if not self.classes:
            return "regression"
        return "binary_classification" if len(self.classes) == 2 else "multiclass_classification"

    @property
    def categorical(self) -> tuple[Ordinal | Nominal, ...]:
        """Ordinal and nominal features, in feature order."""
        return tuple(feature for feature in self.features if isinstance(feature, Ordinal | Nominal))

    @property
    def numeric(self) -> tuple[Numeric | Boolean | Date, ...]:
        """All other features, which the trees take as numbers, in feature order."""
        return tuple(feature for feature in self.features if not isinstance(feature, Ordinal | Nominal))


def feature_names(features: Sequence[FeatureSpec]) -> list[str]:
    """The names of the features, in order."""
    return [feature.name for feature in features]
