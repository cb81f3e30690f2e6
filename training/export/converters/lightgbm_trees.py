"""LightGBM's scikit-learn estimators."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from skl2onnx.common._topology import Variable

from training.export.converters.emitter import Emitter
from training.export.converters.links import double, logistic, softmax
from training.export.converters.trees import AT_MOST, Trees, emit_sums

_IDENTITY = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")
_EXPONENTIAL = ("poisson", "gamma", "tweedie")


def lightgbm_classifier(emitter: Emitter, model: Any, inputs: Sequence[Variable]) -> str:  # noqa: ANN401 - LightGBM
    """Probabilities, double [N, classes].

    Raises:
        NotImplementedError: the booster is of a kind that ONNX's trees can't express.
    """
    scores, objective, parameters = _scores(emitter, model, inputs)
    if objective == "multiclass":
        return softmax(emitter, scores)
    if objective != "binary":
        raise NotImplementedError(f"LGBMClassifier(objective={objective!r}) has no ONNX converter here")
    slope = float(parameters.get("sigmoid", 1))
    return logistic(emitter, emitter.op("Mul", scores, emitter.constant(np.array(slope))) if slope != 1 else scores)


def lightgbm_regressor(emitter: Emitter, model: Any, inputs: Sequence[Variable]) -> str:  # noqa: ANN401 - LightGBM
    """The value, double [N, 1].

    Raises:
        NotImplementedError: as for the classifier.
    """
    scores, objective, parameters = _scores(emitter, model, inputs)
    if objective in _EXPONENTIAL:
        return emitter.op("Exp", scores)
    if objective not in _IDENTITY or "sqrt" in parameters:
        raise NotImplementedError(f"LGBMRegressor(objective={objective!r}) has no ONNX converter here")
    return scores


def _scores(emitter: Emitter, model: Any, inputs: Sequence[Variable]) -> tuple[str, str, dict[str, str]]:  # noqa: ANN401
    """What the trees add up to, double [N, trees per iteration]; the objective, and the parameters it names."""
    dump = model.booster_.dump_model()
    if dump["pandas_categorical"]:
        raise NotImplementedError("LightGBM on pandas' category columns has no ONNX converter here; use an encoder")
    objective, *words = dump["objective"].split()
    targets, count = dump["num_tree_per_iteration"], len(dump["tree_info"])
    share = targets / count if dump["average_output"] else 1.0
    trees = Trees()
    for number, tree in enumerate(dump["tree_info"]):
        _add_tree(trees, number, tree, number % targets, share)
    sums = double(emitter, emit_sums(emitter, trees, emitter.numbers(inputs), targets, np.zeros(targets)))
    return sums, objective, dict((*word.split(":"), "")[:2] for word in words)


def _add_tree(trees: Trees, number: int, tree: Mapping[str, Any], target: int, share: float) -> None:
    count = 1
    pending = [(0, tree["tree_structure"])]
    while pending:
        place, node = pending.pop()
        if "leaf_value" in node:
            if "leaf_coeff" in node:
                raise NotImplementedError("LightGBM(linear_tree=True) has no ONNX converter here")
            trees.leaf(number, place, {target: float(node["leaf_value"]) * share})
            continue
        left, right, count = count, count + 1, count + 2
        pending += [(right, node["right_child"]), (left, node["left_child"])]
        feature = int(node["split_feature"])
        if node["decision_type"] == "==":
            values = [float(text) for text in node["threshold"].split("||")]
            chain = [place, *range(count, count + len(values) - 1)]
            count += len(values) - 1
            trees.member(number, chain, feature=feature, values=values, true=left, false=right)
            continue
        trees.split(
            number, place, feature=feature, mode=AT_MOST, value=float(node["threshold"]), true=left, false=right,
            missing=_missing_goes_left(node),
        )  # fmt: skip


def _missing_goes_left(node: Mapping[str, Any]) -> bool:
    """As `Tree::NumericalDecision` has it (LightGBM's include/LightGBM/tree.h): without missing values, NaN is 0."""
    if node["missing_type"] == "Zero":
        raise NotImplementedError("LightGBM(zero_as_missing=True) has no ONNX converter here")
    return bool(node["default_left"]) if node["missing_type"] == "NaN" else float(node["threshold"]) >= 0.0
