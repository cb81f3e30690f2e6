"""From feature columns to the packed graph's two tensors, as the services make them from a request."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bundle.manifest import Manifest


class Encoded(NamedTuple):
    """Rows ready for the graph.

    `codes` uint32 [rows, categorical features]: positions in `strings`, an object array of str. `numeric` float32
    [rows, other features], NaN for missing. `unseen`: per categorical feature, how many values training never saw.
    """

    strings: NDArray[np.object_]
    codes: NDArray[np.uint32]
    numeric: NDArray[np.float32]
    unseen: Mapping[str, int]


class Encoder:
    """Knows every string that the graph can tell apart; of an open feature they are those of the rows at hand.

    Columns are turned into positions in `strings` by polars: a row's string tensor is then a handful of references to
    strings that exist already, where converting each column would make new ones.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._categorical = manifest.categorical
        self._numeric = [feature.name for feature in manifest.numeric]
        self._known = [[*feature.categories, *feature.rare] for feature in manifest.categorical]
        self._tokens = [manifest.tokens.unseen, manifest.tokens.missing]
        self._strings = self._list_strings(self._known)

    def encode(self, features: pl.DataFrame) -> Encoded:
        """The columns of `scale.scoring.columns.read_features`, encoded."""
        codes = np.empty((features.height, len(self._categorical)), dtype=np.uint32)
        unseen = {}
        start = 0
        every, strings = self._known, self._strings
        if any(feature.open for feature in self._categorical):
            every = [
                features[feature.name].drop_nulls().unique().to_list() if feature.open else known
                for feature, known in zip(self._categorical, self._known, strict=True)
            ]
            strings = self._list_strings(every)
        for index, (feature, known) in enumerate(zip(self._categorical, every, strict=True)):
            column = features[feature.name]
            position = column.cast(pl.Enum(known), strict=False).to_physical().cast(pl.UInt32)
            unseen[feature.name] = position.null_count() - column.null_count()
            codes[:, index] = (position.fill_null(len(known) + column.is_null().cast(pl.UInt32)) + start).to_numpy()
            start += len(known) + 2
        numbers = features.select(pl.col(self._numeric).cast(pl.Float32).fill_null(float("nan")))
        numeric = np.ascontiguousarray(numbers.to_numpy()).reshape(features.height, len(self._numeric))
        return Encoded(strings, codes, numeric.astype(np.float32, copy=False), unseen)

    def _list_strings(self, every: list[list[str]]) -> NDArray[np.object_]:
        return np.array([text for known in every for text in (*known, *self._tokens)], dtype=object)
