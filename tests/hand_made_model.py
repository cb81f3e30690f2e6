"""A model whose answers can be worked out with a pencil: a weighted sum of numbers and of what categories stand for.

It is what a hand-made bundle's pickle holds, and what its graph computes: see `hand_made_bundle.py`.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray


@dataclass(frozen=True)
class HandMadeModel:
    """`texts` is what each string stands for, `unseen` any other one, `missing` a null. `gap` is what a missing number
    counts as. `weights` float [numbers, outputs] and `text_weights` float [outputs] make the sums.
    """

    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    texts: dict[str, float]
    missing: float
    unseen: float
    gap: float
    weights: tuple[tuple[float, ...], ...]
    text_weights: tuple[float, ...]

    def sums(self, frame: pl.DataFrame) -> NDArray[np.float32]:
        """Float32 [rows, outputs]."""
        total = np.zeros((frame.height, len(self.text_weights)), dtype=np.float32)
        if self.numbers:
            values = frame.select(pl.col(self.numbers).cast(pl.Float32)).to_numpy().astype(np.float32)
            total += np.where(np.isnan(values), np.float32(self.gap), values) @ np.array(self.weights, dtype=np.float32)
        for name in self.categories:
            worth = [self.missing if text is None else self.texts.get(text, self.unseen) for text in frame[name]]
            total += np.outer(worth, self.text_weights).astype(np.float32)
        return total

    def predict_proba(self, frame: pl.DataFrame) -> NDArray[np.float32]:
        """Float32 [rows, outputs]: the softmax of the sums."""
        sums = self.sums(frame)
        powers = np.exp(sums - sums.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
        return probabilities

    def predict(self, frame: pl.DataFrame) -> NDArray[np.float32]:
        """Float32 [rows]: the sum itself, as a regressor."""
        return self.sums(frame)[:, 0]
