"""What is watched for drift, and what is expected of it: the cells of a bundle's distributions."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bundle.distributions import CategoryCounts, Counts, Distributions, NumberCounts
from bundle.errors import BundleError
from bundle.manifest import CATEGORICAL_KINDS, Feature, Manifest

Place = Literal["feature", "score", "answers"]

OTHERS = "others"
"""The cell of known categories that are not named."""


@dataclass(frozen=True)
class Variable:
    """What is watched: a feature, the score, or the predicted classes. `cells` name the columns of the counts, and
    `reference` are the counts that the manifest has for them; `ordered` ones are intervals of numbers, of
    dates if `days`.
    """

    name: str
    place: Place
    cells: tuple[str, ...]
    reference: NDArray[np.float64]
    ordered: bool
    edges: tuple[float, ...] = ()
    days: bool = False
    missing: int | None = None
    unseen: int | None = None

    @property
    def rows(self) -> int:
        """Rows that the reference was counted on, missing and unseen ones included."""
        return int(self.reference.sum()) + (self.missing or 0) + (self.unseen or 0)


def variables_of(manifest: Manifest) -> list[Variable]:
    """Every feature, the score and, of a classifier, the predicted classes.

    Raises:
        BundleError: the manifest has no distributions, or not those of its features.
    """
    found = _distributions_of(manifest)
    variables = [_of_feature(feature, found.features[feature.name]) for feature in manifest.features]
    score = _of_numbers("score", found.score)
    missing = found.score.missing if manifest.task == "regression" else None
    variables.append(replace(score, place="score", missing=missing))
    if manifest.classes:
        labels = tuple(map(str, manifest.classes))
        reference = np.array(found.labels, dtype=np.float64)
        variables.append(Variable("answers", "answers", labels, reference, ordered=False))
    return variables


def _distributions_of(manifest: Manifest) -> Distributions:
    found = manifest.distributions
    if found is None:
        raise BundleError(
            f"{manifest.name} {manifest.version}: its manifest has no distributions to compare with; `make train`, or "
            "`make package` with ROWS=, makes a bundle that has them"
        )
    kinds = {
        feature.name: CategoryCounts if feature.kind in (*CATEGORICAL_KINDS, "boolean") else NumberCounts
        for feature in manifest.features
    }
    if {name: type(counts) for name, counts in found.features.items()} != kinds:
        raise BundleError(f"{manifest.name} {manifest.version}: the manifest's distributions are not of its features")
    if len(found.labels) != len(manifest.classes):
        raise BundleError(f"{manifest.name} {manifest.version}: the manifest's distributions are not of its classes")
    return found


def _of_feature(feature: Feature, counts: Counts) -> Variable:
    missing = counts.missing if feature.nullable else None
    if isinstance(counts, NumberCounts):
        return replace(_of_numbers(feature.name, counts), missing=missing, days=feature.kind == "date")
    reference = np.array([*counts.counts.values(), counts.other], dtype=np.float64)
    can_be_unseen = feature.kind in CATEGORICAL_KINDS and not feature.open
    unseen = counts.unseen if can_be_unseen else None
    return Variable(
        feature.name, "feature", (*counts.counts, OTHERS), reference, ordered=False, missing=missing, unseen=unseen
    )


def _of_numbers(name: str, counts: NumberCounts) -> Variable:
    texts = [f"{edge:g}" for edge in counts.edges]
    cells = (*(f"to {text}" for text in texts), f"above {texts[-1]}" if texts else "any")
    reference = np.array(counts.counts, dtype=np.float64)
    return Variable(name, "feature", cells, reference, ordered=True, edges=counts.edges)
