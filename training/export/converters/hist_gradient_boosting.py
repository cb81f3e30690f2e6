"""HistGradientBoosting: missing values, booleans and categorical splits included."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from skl2onnx.common._topology import Variable

from training.export.converters.emitter import Emitter
from training.export.converters.links import double, probabilities
from training.export.converters.trees import AT_MOST, Trees, emit_sums

_BITS = 32


def hist_scores(emitter: Emitter, model: Any, inputs: Sequence[Variable]) -> str:  # noqa: ANN401 - two classes
    """The decision function or raw value, double [N, trees per iteration].

    The inputs are as the estimator's own preprocessing gives them: categorical features, as ranks, come first.
    """
    trees = Trees()
    known = _known_categories(model)
    members = [(target, member) for stage in model._predictors for target, member in enumerate(stage)]  # noqa: SLF001
    for number, (target, member) in enumerate(members):
        _add_tree(trees, number, member, target, known)
    start = np.ravel(model._baseline_prediction)  # noqa: SLF001 - no public name
    return double(emitter, emit_sums(emitter, trees, emitter.numbers(inputs), start.size, start))


def hist_classifier(emitter: Emitter, model: Any, inputs: Sequence[Variable]) -> str:  # noqa: ANN401 - as above
    """HistGradientBoostingClassifier's probabilities."""
    return probabilities(emitter, hist_scores(emitter, model, inputs), model.n_trees_per_iteration_)


def hist_regressor(emitter: Emitter, model: Any, inputs: Sequence[Variable]) -> str:  # noqa: ANN401 - as above
    """HistGradientBoostingRegressor's value, double [N, 1]."""
    scores = hist_scores(emitter, model, inputs)
    return emitter.op("Exp", scores) if model.loss in ("poisson", "gamma") else scores


def _known_categories(model: Any) -> dict[int, set[int]]:  # noqa: ANN401 - two classes
    """Feature number to the categories, as ranks, that it had in training."""
    if model._preprocessor is None:  # noqa: SLF001 - no public name
        return {}
    bitsets, positions = model._bin_mapper.make_known_categories_bitsets()  # noqa: SLF001
    categorical = np.flatnonzero(model._is_categorical_remapped)  # noqa: SLF001
    return {int(feature): _members(bitsets[positions[feature]]) for feature in categorical}


def _members(bitset: Any) -> set[int]:  # noqa: ANN401 - uint32 [8]
    return {_BITS * word + bit for word, value in enumerate(bitset) for bit in range(_BITS) if int(value) >> bit & 1}


def _add_tree(trees: Trees, number: int, member: Any, target: int, known: dict[int, set[int]]) -> None:  # noqa: ANN401
    following = len(member.nodes)
    for index, node in enumerate(member.nodes):
        left, right, feature = int(node["left"]), int(node["right"]), int(node["feature_idx"])
        if node["is_leaf"]:
            trees.leaf(number, index, {target: float(node["value"])})
        elif node["is_categorical"]:
            # an unseen category goes the way of a missing one, so the chain lists the categories of the other branch
            lefts = _members(member.raw_left_cat_bitsets[int(node["bitset_idx"])])
            way, other, values = (left, right, lefts)
            if node["missing_go_to_left"]:
                way, other, values = (right, left, known[feature] - lefts)
            chain = [index, *range(following, following + max(len(values) - 1, 0))]
            following += len(chain) - 1
            # no value at all (all known categories go the same way) still needs a node: nothing equals a negative rank
            trees.member(number, chain, feature=feature, values=sorted(values) or [-1.0], true=way, false=other)
        else:
            trees.split(
                number, index, feature=feature, mode=AT_MOST, value=float(node["num_threshold"]), true=left,
                false=right, missing=bool(node["missing_go_to_left"]),
            )  # fmt: skip
