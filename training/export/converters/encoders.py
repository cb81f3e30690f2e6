"""OneHotEncoder and OrdinalEncoder, on strings and on numbers.

One LabelEncoder gives every string a code, and Gather + Equal + Cast turn the codes into all one-hot columns at once:
skl2onnx's own conversion emits nodes for each column, which cost more than everything else for a single row.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from skl2onnx.common._topology import Variable
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from training.export.converters.emitter import Emitter, is_text

ABSENT = np.finfo(np.float64).max
"""What stands for NaN where numbers are compared for equality: no float32 has this value."""

Columns = Sequence[int]


def one_hot(emitter: Emitter, encoder: OneHotEncoder, inputs: Sequence[Variable]) -> str:
    """Float32 [N, output columns]: 1 where the row has the column's category."""
    return emitter.join(
        [
            (_one_hot_texts if text else _one_hot_numbers)(emitter, encoder, name, features)
            for text, name, features in _runs(emitter, inputs)
        ]
    )


def one_hot_width(encoder: OneHotEncoder, _inputs: Sequence[Variable]) -> int:
    """Output columns of a OneHotEncoder."""
    return len(encoder.get_feature_names_out())


def ordinal(emitter: Emitter, encoder: OrdinalEncoder, inputs: Sequence[Variable]) -> str:
    """Float32 [N, features]: ranks, and the encoder's own values for unknown and missing categories."""
    ranks = []
    for text, name, features in _runs(emitter, inputs):
        for place, feature in enumerate(features):
            column = name if len(features) == 1 else emitter.columns(name, [place])
            ranks.append((_rank_of_text if text else _rank_of_number)(emitter, encoder, column, feature))
    return emitter.join(ranks)


def ordinal_width(encoder: OrdinalEncoder, _inputs: Sequence[Variable]) -> int:
    """Output columns of an OrdinalEncoder."""
    return len(encoder.categories_)


def _runs(emitter: Emitter, inputs: Sequence[Variable]) -> list[tuple[bool, str, Columns]]:
    """Neighbouring inputs of one type as a matrix each: (whether they are strings, its name, the feature numbers)."""
    starts = [i for i, variable in enumerate(inputs) if i == 0 or is_text(variable) != is_text(inputs[i - 1])]
    runs: list[tuple[bool, str, Columns]] = []
    first = 0
    for start, end in pairwise([*starts, len(inputs)]):
        group = inputs[start:end]
        count = sum(int(variable.type.shape[1]) for variable in group)
        text = is_text(group[0])
        name = emitter.join([variable.full_name for variable in group]) if text else emitter.numbers(group)
        runs.append((text, name, range(first, first + count)))
        first += count
    return runs


def _output_codes(encoder: OneHotEncoder | OrdinalEncoder, feature: int) -> NDArray[np.int64]:
    """For each category of a feature, its code after infrequent categories have been merged."""
    count = len(encoder.categories_[feature])
    mappings = getattr(encoder, "_default_to_infrequent_mappings", None)
    mapping = mappings[feature] if mappings else None
    codes = np.arange(count)
    if mapping is not None:  # of an OrdinalEncoder, without the missing category, which is the last one
        codes[: len(mapping)] = mapping
    return codes


def _unknown_code(encoder: OneHotEncoder, feature: int) -> int:
    """The code of an unseen category: that of the infrequent ones if the encoder is set so, else none (-1)."""
    infrequent = getattr(encoder, "infrequent_categories_", None)
    if encoder.handle_unknown in ("infrequent_if_exist", "warn") and infrequent and infrequent[feature] is not None:
        return int(_output_codes(encoder, feature).max())
    return -1


def _kept(encoder: OneHotEncoder, feature: int) -> list[int]:
    """The codes of a feature that have a column; a dropped one has none."""
    codes = sorted(set(_output_codes(encoder, feature).tolist()))
    dropped = None if encoder.drop_idx_ is None else encoder.drop_idx_[feature]
    if dropped is not None:
        codes.remove(int(_output_codes(encoder, feature)[int(dropped)]))
    return codes


def _text(emitter: Emitter, category: object) -> str:
    return emitter.context.missing if is_missing(category) else str(category)


def is_missing(category: object) -> bool:
    """Whether a category is the one of missing values."""
    return category is None or category != category or str(category) == "<NA>"  # noqa: PLR0124 - NaN


def _one_hot_texts(emitter: Emitter, encoder: OneHotEncoder, name: str, features: Columns) -> str:
    texts = [[_text(emitter, category) for category in encoder.categories_[feature]] for feature in features]
    known = sorted({text for column in texts for text in column})
    number = {text: i for i, text in enumerate(known)}
    unseen = len(known)
    codes = emitter.ml(
        "LabelEncoder", name, keys_strings=known, values_int64s=list(number.values()), default_int64=unseen
    )
    # what each string is to each feature; a string that is another feature's category is unknown here
    table = np.array([[_unknown_code(encoder, feature)] * (unseen + 1) for feature in features], dtype=np.int64)
    for row, (feature, column) in enumerate(zip(features, texts, strict=True)):
        table[row, [number[text] for text in column]] = _output_codes(encoder, feature)
    wanted = [(row, code) for row, feature in enumerate(features) for code in _kept(encoder, feature)]
    matching = [np.flatnonzero(table[row] == code) for row, code in wanted]
    if all(found.size == 1 for found in matching):
        expected = [int(found[0]) for found in matching]
    else:
        offsets = np.arange(len(features), dtype=np.int64) * (unseen + 1)
        places = emitter.op("Add", codes, emitter.constant(offsets.reshape(1, -1)))
        codes = emitter.op("Gather", emitter.constant(table.ravel()), places, axis=0)
        expected = [code for _, code in wanted]
    spread = emitter.columns(codes, [row for row, _ in wanted])
    equal = emitter.op("Equal", spread, emitter.constant(np.array([expected], dtype=np.int64)))
    return emitter.cast(equal, TensorProto.FLOAT)


def _one_hot_numbers(emitter: Emitter, encoder: OneHotEncoder, name: str, features: Columns) -> str:
    categories = [_numbers(encoder.categories_[feature]) for feature in features]
    if any(np.isnan(column).any() for column in categories):
        name = emitter.op("Where", emitter.op("IsNaN", name), emitter.constant(np.array(ABSENT)), name)
    places = [place for place, column in enumerate(categories) for _ in column]
    values = np.concatenate([np.where(np.isnan(column), ABSENT, column) for column in categories])
    equal = emitter.op("Equal", emitter.columns(name, places), emitter.constant(values.reshape(1, -1)))
    found = emitter.cast(equal, TensorProto.FLOAT)
    weights, constants = _grouping(encoder, features)
    if weights.shape[0] == weights.shape[1] and (weights == np.eye(len(weights))).all():
        return found
    return emitter.op("Add", emitter.op("MatMul", found, emitter.constant(weights)), emitter.constant(constants))


def _grouping(encoder: OneHotEncoder, features: Columns) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Output columns as sums of category columns and constants; the infrequent column is 1 minus the frequent ones."""
    wanted = [(feature, code) for feature in features for code in _kept(encoder, feature)]
    rows = [(feature, code) for feature in features for code in _output_codes(encoder, feature).tolist()]
    weights = np.zeros((len(rows), len(wanted)), dtype=np.float32)
    constants = np.zeros((1, len(wanted)), dtype=np.float32)
    for j, (feature, code) in enumerate(wanted):
        complement = code == _unknown_code(encoder, feature)
        constants[0, j] = complement
        for i, (of, row_code) in enumerate(rows):
            if of == feature and (row_code == code) != complement:
                weights[i, j] = -1 if complement else 1
    return weights, constants


def _numbers(categories: NDArray[Any]) -> NDArray[np.float64]:
    return np.array([np.nan if is_missing(category) else float(category) for category in categories])


def _ranks(encoder: OrdinalEncoder, feature: int) -> list[float]:
    """The value that each category of the feature becomes."""
    codes = _output_codes(encoder, feature).astype(np.float64)
    nan = [isinstance(category, float) and np.isnan(category) for category in encoder.categories_[feature]]
    return [float(encoder.encoded_missing_value) if gone else code for gone, code in zip(nan, codes, strict=True)]


def _unknown_rank(encoder: OrdinalEncoder) -> float:
    return -1.0 if encoder.unknown_value is None else float(encoder.unknown_value)


def _rank_of_text(emitter: Emitter, encoder: OrdinalEncoder, column: str, feature: int) -> str:
    keys = [_text(emitter, category) for category in encoder.categories_[feature]]
    ranks = dict(zip(keys, _ranks(encoder, feature), strict=True))
    return emitter.ml(
        "LabelEncoder", column, keys_strings=list(ranks), values_floats=list(ranks.values()),
        default_float=_unknown_rank(encoder),
    )  # fmt: skip


def _rank_of_number(emitter: Emitter, encoder: OrdinalEncoder, column: str, feature: int) -> str:
    numbers, ranks = _numbers(encoder.categories_[feature]), _ranks(encoder, feature)
    # numbers that float32 can't represent never arrive: services have rounded what they were sent
    exact = numbers.astype(np.float32) == numbers
    pairs = [(numbers[i], ranks[i]) for i in np.flatnonzero(exact).tolist()] or [(np.inf, 0.0)]
    unknown = _unknown_rank(encoder)
    rank = emitter.ml(
        "LabelEncoder", emitter.cast(column, TensorProto.FLOAT), keys_floats=[number for number, _ in pairs],
        values_floats=[rank for _, rank in pairs], default_float=unknown,
    )  # fmt: skip
    missing = next((rank for number, rank in zip(numbers, ranks, strict=True) if np.isnan(number)), unknown)
    absent = emitter.constant(np.array(missing, dtype=np.float32))
    return emitter.op("Where", emitter.op("IsNaN", column), absent, rank)
