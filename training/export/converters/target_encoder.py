"""TargetEncoder: every category becomes the mean target that was learnt for it."""

from collections.abc import Sequence

import numpy as np
from skl2onnx.common._topology import Variable
from sklearn.preprocessing import TargetEncoder

from training.export.converters.emitter import Emitter, is_text
from training.export.converters.encoders import is_missing


def target_means(emitter: Emitter, encoder: TargetEncoder, inputs: Sequence[Variable]) -> str:
    """Double [N, features] (of several classes: a column for each), with the mean of all rows for unseen categories.

    Raises:
        NotImplementedError: a column has numbers.
    """
    if not all(is_text(variable) for variable in inputs):
        raise NotImplementedError("TargetEncoder on numbers has no ONNX converter here; on strings it has one")
    texts = emitter.join([variable.full_name for variable in inputs])
    columns = []
    for feature, categories in enumerate(encoder.categories_):
        column = emitter.columns(texts, [feature])
        keys = [emitter.context.missing if is_missing(category) else str(category) for category in categories]
        code = emitter.ml(
            "LabelEncoder", column, keys_strings=keys, values_int64s=list(range(len(keys))), default_int64=len(keys)
        )
        for means, everywhere in zip(_of(encoder, feature), np.atleast_1d(encoder.target_mean_), strict=True):
            table = emitter.constant(np.append(means, everywhere).astype(np.float64))
            columns.append(emitter.op("Gather", table, code, axis=0))
    return emitter.join(columns)


def target_means_width(encoder: TargetEncoder, _inputs: Sequence[Variable]) -> int:
    """A column for each feature, or for each of its classes where there are several."""
    return len(encoder.encodings_)


def _of(encoder: TargetEncoder, feature: int) -> Sequence[np.ndarray]:
    """A feature's means: of one target, or of each class."""
    share = len(encoder.encodings_) // len(encoder.categories_)
    means: Sequence[np.ndarray] = encoder.encodings_[feature * share : (feature + 1) * share]
    return means
