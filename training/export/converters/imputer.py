"""SimpleImputer, for strings as well as for numbers."""

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto
from skl2onnx.common._topology import Variable
from sklearn.impute import SimpleImputer

from training.export.converters.emitter import Emitter, is_text, width_of
from training.export.converters.encoders import is_missing


def impute(emitter: Emitter, imputer: SimpleImputer, inputs: Sequence[Variable]) -> str:
    """The inputs with the fitted statistics where a value is missing: strings, or doubles with indicator columns.

    Raises:
        NotImplementedError: what it fills in has another type than its input.
    """
    if is_text(inputs[0]):
        return _impute_texts(emitter, imputer, inputs)
    matrix = emitter.numbers(inputs)
    if is_missing(imputer.missing_values):
        missing = emitter.op("IsNaN", matrix)
    else:
        missing = emitter.op("Equal", matrix, emitter.constant(np.array(float(imputer.missing_values))))
    statistics = np.asarray(imputer.statistics_, dtype=np.float64)
    filled = emitter.op("Where", missing, emitter.constant(statistics.reshape(1, -1)), matrix)
    kept = _kept(imputer)
    parts = [filled if len(kept) == statistics.size else emitter.columns(filled, kept)]
    if imputer.indicator_ is not None:
        indicated = emitter.columns(missing, [int(feature) for feature in imputer.indicator_.features_])
        parts.append(emitter.cast(indicated, TensorProto.DOUBLE))
    return emitter.join(parts)


def imputed_width(imputer: SimpleImputer, inputs: Sequence[Variable]) -> int:
    """Output columns: those that have a statistic, and the indicators."""
    if is_text(inputs[0]):
        return width_of(inputs)
    indicators = 0 if imputer.indicator_ is None else len(imputer.indicator_.features_)
    return len(_kept(imputer)) + indicators


def _kept(imputer: SimpleImputer) -> list[int]:
    """Columns that had no value in fitting are dropped, unless they are to be kept."""
    statistics = np.asarray(imputer.statistics_, dtype=np.float64)
    if imputer.keep_empty_features or imputer.strategy == "constant":
        return list(range(statistics.size))
    return [int(i) for i in np.flatnonzero(~np.isnan(statistics))]


def _impute_texts(emitter: Emitter, imputer: SimpleImputer, inputs: Sequence[Variable]) -> str:
    if imputer.indicator_ is not None:
        raise NotImplementedError("SimpleImputer(add_indicator=True) has no ONNX converter here for strings")
    if any(not isinstance(value, str) for value in imputer.statistics_):
        raise NotImplementedError("SimpleImputer fills a column of strings with something that is not a string")
    texts = emitter.join([variable.full_name for variable in inputs])
    gone = emitter.context.missing if is_missing(imputer.missing_values) else str(imputer.missing_values)
    found = emitter.ml("LabelEncoder", texts, keys_strings=[gone], values_int64s=[1], default_int64=0)
    fill = emitter.constant(np.array([list(imputer.statistics_)], dtype=object))
    return emitter.op("Where", emitter.cast(found, TensorProto.BOOL), fill, texts)
