"""Whether a model gives a row the same answer, to the bit, alone and among others: then rows may share its runs.

ONNX does not promise it, and it is not true of every model: ONNX Runtime multiplies a matrix with a different routine
than a vector, which adds in a different order. That changes the last bit of one in a hundred of a linear model's
answers, or of one in three: a few similar rows don't show it.
"""

import logging
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bundle.manifest import Feature, Manifest
from serving.predictor import Batch, Predictions, Predictor

TRIED_ROWS = 1024
"""How many rows a model is tried with. They take a tree ensemble some 20 ms."""

TRIAL_SECONDS = 1.0
"""How long that may take at startup. A model that needs longer answers each row by itself."""

_MISSING_PART = 0.05
"""The fraction of missing values, where values may be missing."""

_LARGEST = float(np.finfo(np.float32).max)

logger = logging.getLogger("serving")


def rows_to_try(manifest: Manifest) -> Batch:
    """TRIED_ROWS rows, always the same ones, with everything that the features may have: numbers in their range and
    somewhat beyond, known and unseen categories, missing values.
    """
    random = np.random.default_rng(0)
    texts = [_texts(feature, manifest, random) for feature in manifest.categorical]
    numbers = [_numbers(feature, random) for feature in manifest.numeric]
    return Batch(
        np.column_stack(texts) if texts else np.empty((TRIED_ROWS, 0), dtype=object),
        np.column_stack(numbers) if numbers else np.empty((TRIED_ROWS, 0), dtype=np.float32),
    )


def can_share(predictor: Predictor, rows: Batch) -> bool:
    """Whether these rows get the same answers alone and together, to the bit. A model can't share if it fails on one of
    them, or takes longer than TRIAL_SECONDS for them one by one.
    """
    deadline = time.perf_counter() + TRIAL_SECONDS
    alone = []
    try:
        for at in range(len(rows.numeric)):
            alone.append(_bits(predictor.predict(_part(rows, at, at + 1))))
            if time.perf_counter() > deadline:
                logger.info("rows don't share runs of the model: the trial takes too long")
                return False
        return all(_bits(predictions) == alone[at] for at, predictions in _together(predictor, rows))
    except Exception as error:  # noqa: BLE001 - a model may raise anything, and may still be right for valid rows
        logger.info("rows don't share runs of the model: it fails on a row of the trial: %s", error)
        return False


def _together(predictor: Predictor, rows: Batch) -> Iterator[tuple[int, Predictions]]:
    """The answers to every row, with its index, from runs of two rows, three rows and so on, and from one run of all
    rows.
    """
    count = len(rows.numeric)
    start, size = 0, 2
    while start < count:
        yield from _answers(predictor, rows, start, min(start + size, count))
        start, size = start + size, size + 1
    yield from _answers(predictor, rows, 0, count)


def _answers(predictor: Predictor, rows: Batch, start: int, end: int) -> Iterator[tuple[int, Predictions]]:
    predictions = predictor.predict(_part(rows, start, end))
    return ((start + i, predictions.row(i)) for i in range(end - start))


def _part(rows: Batch, start: int, end: int) -> Batch:
    return Batch(rows.categorical[start:end], rows.numeric[start:end])


def _bits(predictions: Predictions) -> list[bytes]:
    return [part.tobytes() for part in predictions]


def _texts(feature: Feature, manifest: Manifest, random: np.random.Generator) -> NDArray[np.object_]:
    known = [*feature.categories, *feature.rare] or [str(feature.example)]
    values = np.array([*known, manifest.tokens.unseen], dtype=object)[random.integers(0, len(known) + 1, TRIED_ROWS)]
    if feature.nullable:
        values[random.random(TRIED_ROWS) < _MISSING_PART] = manifest.tokens.missing
    return values


def _numbers(feature: Feature, random: np.random.Generator) -> NDArray[np.float32]:
    """Booleans are numbers here, and so are dates, as in a batch."""
    if feature.kind == "boolean":
        values = random.integers(0, 2, TRIED_ROWS).astype(np.float32)
    else:
        example = float(feature.example) if isinstance(feature.example, int | float) else 0.0
        low = max(example - abs(example) - 1 if feature.minimum is None else feature.minimum, -_LARGEST)
        high = min(example + abs(example) + 1 if feature.maximum is None else feature.maximum, _LARGEST)
        exact = np.clip(random.normal((low + high) / 2, (high - low) / 3, TRIED_ROWS), -_LARGEST, _LARGEST)
        values = (np.round(exact) if feature.integer or feature.kind == "date" else exact).astype(np.float32)
    if feature.nullable:
        values[random.random(TRIED_ROWS) < _MISSING_PART] = np.nan
    return values
